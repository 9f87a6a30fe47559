//! The files of the repository, for tests that read its documentation and its sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is a checkout")
}

/// Returns the Markdown files of the repository.
pub(crate) fn markdown() -> Vec<PathBuf> {
    files(&root(), "md")
}

/// Returns the folders with the sources of every package, without its tests.
pub(crate) fn packages() -> impl Iterator<Item = PathBuf> {
    let parents = ["crates", "examples"].into_iter();
    parents.flat_map(|parent| entries(&root().join(parent))).map(|package| package.join("src"))
}

/// Returns all files with this extension below a folder, without build output and hidden folders.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the path from the root, as failures show it.
pub(crate) fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
