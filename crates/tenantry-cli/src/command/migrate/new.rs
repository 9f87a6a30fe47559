use std::{fs, io::Write, path::Path};

use clap::Args;
use jiff::Timestamp;
use tenantry::migrate::Migrations;

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
        let cannot = |error: &std::io::Error| {
            Failure::while_doing(
                format_args!("creating a migration in {}", folder.display()),
                error,
            )
        };
        fs::create_dir_all(&folder).map_err(|error| cannot(&error))?;
        let version = next_version(&folder, &now());
        let endings: &[&str] = if self.reversible { &[".up.sql", ".down.sql"] } else { &[".sql"] };
        for ending in endings {
            let path = folder.join(format!("{version}_{name}{ending}"));
            let file = fs::File::options().write(true).create_new(true).open(&path);
            let about = if *ending == ".down.sql" { "takes it back" } else { &self.name };
            let about = about.replace(['\n', '\r'], " ");
            // sqlx only recognizes it at the very beginning.
            let first = if self.no_transaction { "-- no-transaction\n" } else { "" };
            file.and_then(|mut file| writeln!(file, "{first}-- {about}"))
                .map_err(|error| cannot(&error))?;
            on.output.print(&path.display().to_string())?;
        }
        Ok(Exit::Fine)
    }
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
