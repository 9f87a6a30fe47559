use std::{fmt::Write, sync::LazyLock};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use tenantry::migrate::Migrations;

use crate::{failure::Failure, trusted::trusted};

/// The tables of a tenant, each with two indexes. All but `audit` have a key.
const TABLES: [&str; 10] = [
    "customers",
    "addresses",
    "products",
    "orders",
    "order_lines",
    "invoices",
    "payments",
    "shipments",
    "notes",
    "audit",
];

/// The version of the file that is new.
pub(super) const NEW: i64 = 3 * TABLES.len() as i64 + 1;

/// The index that the new file makes.
pub(super) const NEW_INDEX: &str = "notes_pinned";

const CHANGE: &str = "alter table notes add column pinned boolean not null default false; \
                      create index notes_pinned on notes (pinned);";

/// Leaves a row each time that it is run, without any constraint against a second one.
const CHANGE_WITH_TRACE: &str = "alter table notes add column if not exists pinned boolean not null default false; \
     create index if not exists notes_pinned on notes (pinned); \
     insert into audit (name) values ('pinned');";

/// The sets of files. All contenders get the same ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files {
    /// The files that all tenants have: 30 files that create ten tables and change each of them twice.
    Old,
    /// One more file, which adds a column and an index.
    WithChange,
    /// One more file, which also leaves a row whenever it is run.
    WithTrace,
}

impl Files {
    /// Returns them in sqlx's form.
    pub(super) fn migrator(self) -> Migrator {
        let mut files = old();
        let new = |text: &str| migration(NEW, "pin notes".to_owned(), text.to_owned());
        match self {
            Self::Old => {}
            Self::WithChange => files.push(new(CHANGE)),
            Self::WithTrace => files.push(new(CHANGE_WITH_TRACE)),
        }
        Migrator::with_migrations(files)
    }

    /// Returns them in Tenantry's form.
    pub(super) fn migrations(self) -> Result<Migrations, Failure> {
        Ok(Migrations::embedded(&self.migrator())?)
    }
}

/// Returns the statements that create a schema with the old files applied.
pub(super) fn create(schema: &str) -> String {
    format!("create schema {schema}; set search_path to {schema}; {}", *RUN_AND_RECORDED)
}

static RUN_AND_RECORDED: LazyLock<String> = LazyLock::new(|| {
    let mut sql = String::new();
    let mut records = Vec::new();
    for file in old() {
        sql += file.sql.as_str();
        let mut checksum = String::new();
        for byte in file.checksum.iter() {
            write!(checksum, "{byte:02x}").expect("a string can be written to");
        }
        let (version, description) = (file.version, file.description);
        records.push(format!("({version}, '{description}', true, '\\x{checksum}', 1000000)"));
    }
    sql += "create table _sqlx_migrations (version bigint primary key, description text not null, \
            installed_on timestamptz not null default now(), success boolean not null, \
            checksum bytea not null, execution_time bigint not null); ";
    sql += "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
            values ";
    sql += &records.join(", ");
    sql += "; insert into notes (id, name) select n, 'note ' || n from generate_series(1, 100) n; ";
    sql
});

fn old() -> Vec<Migration> {
    let made = TABLES.iter().map(|table| (format!("create {table}"), make(table)));
    let widened = TABLES.iter().map(|table| {
        let text =
            "add column state text not null default 'new', add column changed_at timestamptz";
        (format!("widen {table}"), format!("alter table {table} {text};\n"))
    });
    let narrowed = TABLES.iter().map(|table| {
        let text = format!(
            "alter table {table} alter column state set default 'open';\n\
             alter table {table} add constraint {table}_has_state check (state <> '');\n"
        );
        (format!("narrow {table}"), text)
    });
    let files = (1..).zip(made.chain(widened).chain(narrowed));
    files.map(|(version, (description, text))| migration(version, description, text)).collect()
}

fn make(table: &str) -> String {
    let (key, index) = match table {
        "audit" => ("", "created_at"),
        _ => ("id bigint primary key, ", ""),
    };
    let mut text = format!(
        "create table {table} ({key}name text not null, \
         created_at timestamptz not null default now());\n\
         create index {table}_name on {table} (name);\n"
    );
    if !index.is_empty() {
        text += &format!("create index {table}_{index} on {table} ({index});\n");
    }
    text
}

fn migration(version: i64, description: String, text: String) -> Migration {
    Migration::new(version, description.into(), MigrationType::Simple, trusted(text), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thirty_files_and_one_is_new() {
        assert_eq!(Files::Old.migrator().iter().count(), 30);
        let versions: Vec<_> =
            Files::WithChange.migrator().iter().map(|file| file.version).collect();
        assert_eq!(versions, (1..=NEW).collect::<Vec<_>>());
    }
}
