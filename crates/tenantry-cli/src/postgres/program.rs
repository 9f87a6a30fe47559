use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tenantry::outline::ServerOutline;

use crate::{failure::Failure, settings::PG_BIN};

/// Where packages install PostgreSQL's programs; a `*` stands for one folder name.
const WELL_KNOWN: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// A program of PostgreSQL on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Such as `17.2`.
    pub(crate) version: String,
    pub(crate) major: i32,
}

impl Program {
    /// Finds the first program of this name: only in the folder of `TENANTRY_PG_BIN`, if that is set, otherwise on
    /// `PATH` and where packages install it.
    pub(crate) fn first(name: &str) -> Result<Self, Failure> {
        all(name).next().ok_or_else(|| missing(name, None))
    }

    /// Finds the newest program of this name.
    pub(crate) fn newest(name: &str) -> Result<Self, Failure> {
        all(name).max_by_key(|program| program.major).ok_or_else(|| missing(name, None))
    }

    /// Finds the program whose version is the server's, or the next higher one: an older one does not work, and the
    /// output of a newer one may not work on an older server.
    pub(crate) fn for_server(name: &str, server: &ServerOutline) -> Result<Self, Failure> {
        choose(name, all(name).collect(), server.major(), &server.version)
    }
}

fn choose(name: &str, found: Vec<Program>, needed: i32, server: &str) -> Result<Program, Failure> {
    if found.is_empty() {
        return Err(missing(name, Some(needed)));
    }
    let listed: Vec<_> = found
        .iter()
        .map(|program| format!("{} at {}", program.version, program.path.display()))
        .collect();
    let fitting = found.into_iter().filter(|program| program.major >= needed);
    // The first one of equal versions.
    fitting.min_by_key(|program| program.major).ok_or_else(|| {
        Failure::new(format!(
            "{name} {needed} or newer is needed, since the server is PostgreSQL {server}; there is {}",
            listed.join(", ")
        ))
        .hint(how_to_install(Some(needed)))
    })
}

fn missing(name: &str, version: Option<i32>) -> Failure {
    let place = match env::var_os(PG_BIN).filter(|folder| !folder.is_empty()) {
        Some(folder) => format!("in {}, which {PG_BIN} names", Path::new(&folder).display()),
        None => "on PATH, nor where packages put it".to_owned(),
    };
    Failure::new(format!("there is no {name} {place}")).hint(how_to_install(version))
}

fn how_to_install(version: Option<i32>) -> String {
    let client = version
        .map_or("postgresql-client".into(), |version| format!("postgresql-client-{version}"));
    format!(
        "install PostgreSQL's client programs (`apt install {client}`, `dnf install postgresql`, \
         `brew install libpq`), or set {PG_BIN} to the folder that has them"
    )
}

fn all(name: &str) -> impl Iterator<Item = Program> {
    let folders = match env::var_os(PG_BIN).filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => {
            let path = env::var_os("PATH").unwrap_or_default();
            let on_path: Vec<_> = env::split_paths(&path).filter(|p| p.is_absolute()).collect();
            on_path.into_iter().chain(WELL_KNOWN.iter().flat_map(|glob| expand(glob))).collect()
        }
    };
    let name = name.to_owned();
    folders.into_iter().filter_map(move |folder| {
        let path = folder.join(&name);
        let version = version(&path)?;
        Some(Program { path, major: major(&version)?, version })
    })
}

/// Lists the folders that match a path with stars, the highest version first.
fn expand(glob: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in glob.split('/').filter(|part| !part.is_empty()) {
        let Some((start, end)) = part.split_once('*') else {
            found.iter_mut().for_each(|folder| folder.push(part));
            continue;
        };
        let entries = found.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(start) && name.ends_with(end)
        });
        found = names.map(|entry| entry.path()).collect();
        found.sort();
        found.reverse();
    }
    found
}

/// Asks a program for its version: `pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)`.
fn version(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let output = Command::new(path).arg("--version").env_remove("PGCLUSTER").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    version.split_whitespace().next().map(str::to_owned)
}

/// Reads the major version of `17.2`, `18beta1` or `18devel`.
pub(super) fn major(version: &str) -> Option<i32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(version: &str) -> Program {
        let path = PathBuf::from(format!("/pg/{version}/pg_dump"));
        Program { path, version: version.into(), major: major(version).unwrap() }
    }

    fn chosen(found: &[&str], server: i32) -> Result<String, String> {
        let found = found.iter().map(|version| program(version)).collect();
        let chosen = choose("pg_dump", found, server, &format!("{server}.1"));
        chosen.map(|program| program.version).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_servers_own_version_is_preferred_and_older_ones_are_refused() {
        assert_eq!(chosen(&["18.1", "16.4", "17.2", "17.1"], 17), Ok("17.2".to_owned()));
        assert_eq!(chosen(&["15.2", "18beta1"], 17), Ok("18beta1".to_owned()));
        let refused = chosen(&["15.2", "16.4"], 17).unwrap_err();
        assert!(refused.contains("pg_dump 17 or newer is needed"), "{refused}");
        assert!(refused.contains("there is 15.2 at /pg/15.2/pg_dump, 16.4 at"), "{refused}");
        assert!(refused.contains("postgresql-client-17"), "{refused}");
        assert!(chosen(&[], 17).unwrap_err().contains("there is no pg_dump"));
    }

    #[test]
    fn versions_are_read_as_programs_say_them() {
        assert_eq!(
            (major("17.2"), major("18beta1"), major("19devel")),
            (Some(17), Some(18), Some(19))
        );
        assert_eq!(major("devel"), None);
    }
}
