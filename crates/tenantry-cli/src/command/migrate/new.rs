use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use jiff::Timestamp;
use tenantry::migrate::Migrations;

use super::row_tables::{Draft, RowTableArguments};
use crate::{command::Ended, context::Context, exit::Exit, failure::Failure, settings::key};

/// Arguments of `migrate new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What the migration does, such as "add orders"
    name: String,
    /// Create it for the shared schema
    #[arg(long)]
    shared: bool,
    /// Create an .up.sql and a .down.sql, so that it can be reverted
    #[arg(long, short)]
    reversible: bool,
    /// Start with `-- no-transaction`, as `create index concurrently` requires
    #[arg(long)]
    no_transaction: bool,
    #[command(flatten)]
    row_tables: RowTableArguments,
}

impl New {
    pub(super) fn run(self, on: &Context) -> Ended {
        let key = if self.shared { &key::SHARED_MIGRATIONS } else { &key::TENANT_MIGRATIONS };
        let Some(folder) = on.settings.path(key) else {
            return Err(Failure::new(format!("{} is not set", key.name)));
        };
        let name = snake(&self.name);
        if name.is_empty() {
            return Err(Failure::new(format!(
                "{:?} has no letter or digit to build a file name from",
                self.name
            )));
        }
        let create = Create { on, folder, name };
        match self.row_tables.drafts(&on.settings)? {
            Some(drafts) => create.of_row_tables(&about(&self.name), &drafts)?,
            None => self.create(&create)?,
        }
        Ok(Exit::Fine)
    }

    /// Creates files for the user's own SQL.
    fn create(&self, create: &Create<'_>) -> Result<(), Failure> {
        let version = create.next_version();
        let endings: &[&str] = if self.reversible { &[".up.sql", ".down.sql"] } else { &[".sql"] };
        for ending in endings {
            let about = if *ending == ".down.sql" { "takes it back" } else { &about(&self.name) };
            // sqlx only recognizes it at the very beginning.
            let first = if self.no_transaction { "-- no-transaction\n" } else { "" };
            create.file(&version, ending, &format!("{first}-- {about}\n"))?;
        }
        Ok(())
    }
}

/// Creates files of this name in a folder.
struct Create<'a> {
    on: &'a Context,
    folder: PathBuf,
    name: String,
}

impl Create<'_> {
    /// Creates a file for each step, with versions that follow each other.
    fn of_row_tables(&self, about: &str, drafts: &[Draft]) -> Result<(), Failure> {
        for Draft { step, sql } in drafts {
            let version = self.next_version();
            match step {
                Some(step) => self.file(&version, &format!("_{step}.sql"), sql)?,
                None => self.file(&version, ".sql", &format!("-- {about}\n\n{sql}"))?,
            }
        }
        Ok(())
    }

    fn next_version(&self) -> String {
        next_version(&self.folder, &now())
    }

    fn file(&self, version: &str, ending: &str, text: &str) -> Result<(), Failure> {
        let cannot = |error: &std::io::Error| {
            let folder = self.folder.display();
            Failure::while_doing(format_args!("creating a migration in {folder}"), error)
        };
        fs::create_dir_all(&self.folder).map_err(|error| cannot(&error))?;
        let path = self.folder.join(format!("{version}_{}{ending}", self.name));
        let file = fs::File::options().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| cannot(&error))?;
        self.on.output.print(&path.display().to_string())
    }
}

/// Returns what a migration does, on one line.
fn about(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}

/// The time as sqlx writes it in front of names.
fn now() -> String {
    Timestamp::now().strftime("%Y%m%d%H%M%S").to_string()
}

/// Returns the version after the last one of a folder: the next number if versions are numbered, otherwise the time.
fn next_version(folder: &Path, now: &str) -> String {
    /// From here on, numbers are times.
    const TIMES: i64 = 1_000_000_000;
    let last = Migrations::from_dir(folder).ok();
    let last = last.as_ref().and_then(|migrations| migrations.files().last());
    match last {
        Some(last) if last.version() < TIMES => {
            let digits = last.name().chars().take_while(char::is_ascii_digit).count();
            format!("{:0digits$}", last.version() + 1)
        }
        // Two files of one second must have different versions.
        Some(last) if now.parse().is_ok_and(|now: i64| now <= last.version()) => {
            (last.version() + 1).to_string()
        }
        _ => now.to_owned(),
    }
}

pub(super) fn snake(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_go_on_as_they_have_begun() {
        let folder = std::env::temp_dir().join(format!("tenantry-new-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let now = "20260115103000";
        assert_eq!(next_version(&folder, now), now);
        fs::write(folder.join("0009_a.sql"), "select 1").unwrap();
        assert_eq!(next_version(&folder, now), "0010");
        fs::write(folder.join("20260115103000_b.sql"), "select 1").unwrap();
        assert_eq!(next_version(&folder, now), "20260115103001");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(snake("Add  orders/2!"), "add_orders_2");
    }
}
