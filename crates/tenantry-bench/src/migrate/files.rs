//! Folders of migration files.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use tenantry::migrate::Migrations;

use crate::failure::Failure;

/// A folder of migration files, which goes with this value.
#[derive(Debug)]
pub(super) struct Files(PathBuf);

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Files {
    fn new(files: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("tenantry-bench-{}-{number}", process::id()));
        fs::create_dir_all(&folder)?;
        let folder = Self(folder);
        for (name, text) in files {
            fs::write(folder.0.join(name), text)?;
        }
        Ok(folder)
    }

    /// One file with ten tables, two indexes each, and a table that counts how often a file was run.
    pub(super) fn ten_tables() -> Result<Self, Failure> {
        Self::new([base()])
    }

    /// The same, and a file that changes one of the tables.
    pub(super) fn and_a_change() -> Result<Self, Failure> {
        let change = "alter table t0 add column extra text;\n\
                      create index t0_extra on t0 (extra);\n\
                      insert into ran values (2);\n";
        Self::new([base(), ("0002_change.sql".to_owned(), change.to_owned())])
    }

    /// Thirty files: ten that make a table each, and twenty that change one.
    pub(super) fn thirty() -> Result<Self, Failure> {
        let make = (0..10).map(|table| table_sql(table));
        let change = (0..10).map(|table| format!("alter table t{table} add column extra text;\n"));
        let index = (0..10).map(|table| format!("create index on t{table} (extra);\n"));
        let files = make.chain(change).chain(index).enumerate();
        Self::new(files.map(|(number, text)| (format!("{:04}_file.sql", number + 1), text)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn migrations(&self) -> Result<Migrations, Failure> {
        Ok(Migrations::from_dir(&self.0)?)
    }
}

fn base() -> (String, String) {
    let tables: String = (0..10).map(|table| table_sql(table)).collect();
    ("0001_tables.sql".to_owned(), format!("{tables}create table ran (version int);\n"))
}

fn table_sql(table: usize) -> String {
    format!(
        "create table t{table} (id bigint primary key, name text, at timestamptz);\n\
         create index on t{table} (name);\ncreate index on t{table} (at);\n"
    )
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}
