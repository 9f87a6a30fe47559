//! Reads the seeds that the settings name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tenantry::seed::Seed;

use super::{Settings, key};
use crate::failure::Failure;

impl Settings {
    /// Reads the `.sql` files of the folder with seeds, by name.
    pub(crate) fn seeds(&self) -> Result<Vec<Seed>, Failure> {
        let Some(folder) = self.path(&key::SEEDS) else { return Ok(Vec::new()) };
        let mut paths = self.sql_files(&folder)?;
        paths.sort();
        let repeatable = self.list(&key::SEEDS_REPEATABLE);
        let seed = |path: &PathBuf| {
            let seed = read(path)?;
            let repeats = repeatable.iter().any(|name| name == seed.name());
            Ok(if repeats { seed.repeatable() } else { seed })
        };
        paths.iter().map(seed).collect()
    }

    /// Lists the `.sql` files of a folder. The default folder does not have to exist.
    fn sql_files(&self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let cannot = |error: &io::Error| {
            let what = format!("{}: reading {}", self.place(&key::SEEDS), folder.display());
            Failure::while_doing(what, error)
        };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.is_default(&key::SEEDS) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => return Err(cannot(&error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| cannot(&error))?.path();
            if path.extension().is_some_and(|extension| extension == "sql") {
                paths.push(path);
            }
        }
        Ok(paths)
    }
}

fn read(path: &Path) -> Result<Seed, Failure> {
    Seed::from_file(path).map_err(|error| {
        Failure::while_doing(format_args!("reading the seed {}", path.display()), &error)
    })
}
