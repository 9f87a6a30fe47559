//! Finds server binaries on this machine.

use std::{
    cmp::Reverse,
    collections::HashSet,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Version};

/// The programs that a folder must contain.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Where packages install the binaries; a `*` stands for one folder name.
const WELL_KNOWN: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/libexec/postgresql*",
];

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) folder: PathBuf,
    pub(crate) version: Version,
}

impl Binaries {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Searches `folder`.
    ///
    /// # Errors
    ///
    /// The error says what is missing, as the end of a sentence.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, String> {
        if !folder.is_dir() {
            return Err("the folder does not exist".to_owned());
        }
        if let Some(name) = PROGRAMS.iter().find(|name| !folder.join(name).is_file()) {
            return Err(format!("it does not contain {name}"));
        }
        // Links are resolved to the real folder, so that one installation is found once.
        let postgres = folder.join("postgres");
        let postgres = fs::canonicalize(&postgres).unwrap_or(postgres);
        let real = postgres.parent().filter(|real| real.join("pg_ctl").is_file());
        let answer = stdout_of(&postgres, "--version")?;
        let version = Version::parse(&answer)
            .ok_or_else(|| format!("`postgres --version` prints {:?}", answer.trim()))?;
        Ok(Self { folder: real.unwrap_or(folder).to_owned(), version })
    }
}

/// Where to search; a separate value so that tests can search elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) pg_bin: Option<PathBuf>,
    pub(crate) path: OsString,
    pub(crate) patterns: Vec<PathBuf>,
}

impl Search {
    pub(crate) fn this_machine() -> Self {
        Self {
            pg_bin: env::var_os("TENANTRY_PG_BIN").filter(|v| !v.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH").unwrap_or_default(),
            patterns: WELL_KNOWN.iter().map(PathBuf::from).collect(),
        }
    }

    /// Finds the newest installation; `TENANTRY_PG_BIN`, if set, is the only place that is searched.
    ///
    /// # Errors
    ///
    /// If `TENANTRY_PG_BIN` is unusable. There is no silent fallback: a user who names a folder wants to test exactly
    /// that version.
    pub(crate) fn newest(&self) -> Result<Option<Binaries>, Error> {
        if let Some(folder) = &self.pg_bin {
            return Binaries::in_folder(folder)
                .map(Some)
                .map_err(|problem| Error::pg_bin(folder.clone(), problem));
        }
        let mut seen = HashSet::new();
        let mut found: Vec<Binaries> = self
            .folders()
            .filter_map(|folder| Binaries::in_folder(&folder).ok())
            .filter(|binaries| seen.insert(binaries.folder.clone()))
            .collect();
        // The sort is stable: of two equal versions the one found first wins.
        found.sort_by_key(|binaries| Reverse(binaries.version));
        Ok(found.into_iter().next())
    }

    /// The places that were tried, one line each, for an error message.
    pub(crate) fn places(&self) -> Vec<String> {
        let names = PROGRAMS.join(", ");
        let mut places = vec![
            "TENANTRY_PG_BIN: not set".to_owned(),
            format!("PATH: no folder contains {names}"),
            "pg_config --bindir: no such program, or its folder lacks them".to_owned(),
        ];
        let patterns = self.patterns.iter().map(|p| format!("{}: does not exist", p.display()));
        places.extend(patterns);
        places
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let on_path: Vec<PathBuf> = env::split_paths(&self.path).collect();
        let named_by_pg_config = on_path
            .iter()
            .map(|folder| folder.join("pg_config"))
            .find(|program| program.is_file())
            .and_then(|program| stdout_of(&program, "--bindir").ok())
            .map(|answer| PathBuf::from(answer.trim()));
        let well_known = self.patterns.iter().flat_map(|pattern| expand(pattern));
        on_path.into_iter().chain(named_by_pg_config).chain(well_known)
    }
}

fn stdout_of(program: &Path, argument: &str) -> Result<String, String> {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} does not run: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("`{} {argument}`: {}", program.display(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Folders that match a pattern in which `*` stands for any run of characters in one name.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let Some((before, after)) = part.to_str().and_then(|part| part.split_once('*')) else {
            folders.iter_mut().for_each(|folder| folder.push(part));
            continue;
        };
        folders = folders.iter().flat_map(|folder| matching(folder, before, after)).collect();
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

fn matching(folder: &Path, before: &str, after: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| {
                name.len() >= before.len() + after.len()
                    && name.starts_with(before)
                    && name.ends_with(after)
            })
        })
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Path, PathBuf, Search, Version, env, fs};

    /// A folder that is removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("devdb-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(fs::canonicalize(path).unwrap())
        }

        /// Binaries that only print their version.
        fn install(&self, place: &str, version: &str) -> PathBuf {
            let bin = self.0.join(place);
            fs::create_dir_all(&bin).unwrap();
            let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n");
            program(&bin.join("postgres"), &script);
            program(&bin.join("initdb"), "");
            program(&bin.join("pg_ctl"), "");
            bin
        }

        fn search(&self) -> Search {
            let path = env::join_paths([self.0.join("path"), self.0.join("none")]).unwrap();
            Search { pg_bin: None, path, patterns: vec![self.0.join("lib/*/bin")] }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn program(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// One test instead of several: a program that is written while another thread starts one cannot be run for a
    /// moment ("text file busy").
    #[test]
    fn the_newest_is_found_wherever_it_is_and_a_wish_goes_first() {
        let folder = Folder::new("discover");
        let mut search = folder.search();
        assert_eq!(search.newest().unwrap(), None);

        let on_path = folder.install("path", "15.14 (Debian 15.14-0+deb12u1)");
        let found = |search: &Search| search.newest().unwrap().unwrap();
        assert_eq!(found(&search).folder, on_path);
        assert_eq!(found(&search).version, Version::new(15, 14));

        let installed = folder.install("lib/16/bin", "16.2");
        folder.install("lib/9/bin", "9.6.24");
        assert_eq!(found(&search).folder, installed);

        let named_by_pg_config = folder.install("elsewhere", "17.1");
        let answer = format!("#!/bin/sh\necho '{}'\n", named_by_pg_config.display());
        program(&folder.0.join("path/pg_config"), &answer);
        assert_eq!(found(&search).folder, named_by_pg_config);

        // Binaries that cannot print their version are skipped, unless they were requested explicitly.
        let broken = folder.install("lib/99/bin", "ninety-nine");
        assert_eq!(found(&search).folder, named_by_pg_config);
        search.pg_bin = Some(broken);
        let error = search.newest().unwrap_err().to_string();
        assert!(error.contains("ninety-nine"), "{error}");

        search.pg_bin = Some(on_path.clone());
        assert_eq!(found(&search).folder, on_path);

        fs::remove_file(on_path.join("initdb")).unwrap();
        let error = search.newest().unwrap_err().to_string();
        assert!(error.contains("it does not contain initdb"), "{error}");
    }
}
