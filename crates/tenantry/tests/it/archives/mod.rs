//! Archives of tenants: what comes back, what is refused, and what faults leave behind.

mod broken;
mod diff;
mod elsewhere;
mod faults;
mod merge;
mod refused;
mod round_trip;
mod versions;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use sha2::{Digest, Sha256};

/// A folder for archives that is removed at the end.
pub(crate) struct Shelf(PathBuf);

impl Shelf {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenantry-archives-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Lists what is in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("it is read").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Copies an archive.
    fn copy(&self, from: &str, to: &str) -> PathBuf {
        let (from, to) = (self.at(from), self.at(to));
        fs::create_dir_all(to.join("rows")).expect("it is new");
        for folder in ["", "rows"] {
            for entry in fs::read_dir(from.join(folder)).expect("it is an archive") {
                let entry = entry.expect("it is read").path();
                if entry.is_file() {
                    let name = entry.file_name().expect("it has a name");
                    fs::copy(&entry, to.join(folder).join(name)).expect("it is copied");
                }
            }
        }
        to
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Changes the manifest of an archive, whose hash then fits again.
fn forge(archive: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = archive.join("manifest.json");
    let text = fs::read(&path).expect("it is an archive");
    let mut manifest: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    change(&mut manifest);
    let text = serde_json::to_vec(&manifest).expect("it is JSON");
    fs::write(&path, &text).expect("it can be written");
    let mut sums = format!("{}  manifest.json\n", sha256(&text));
    let tables = manifest["tables"].as_array().into_iter().flatten();
    for file in [&manifest["model"], &manifest["statements"]]
        .into_iter()
        .chain(tables.map(|it| &it["file"]))
    {
        let text = |name: &str| file[name].as_str().unwrap_or_default();
        sums.push_str(&format!("{}  {}\n", text("sha256"), text("name")));
    }
    fs::write(archive.join("SHA256SUMS"), sums).expect("it can be written");
}

/// Changes the file with the rows of a table, whose hash, size and count then fit again.
fn forge_rows(archive: &Path, table: &str, rows: &str) {
    forge(archive, |manifest| {
        let tables = manifest["tables"].as_array_mut().expect("it is a list");
        let table = tables.iter_mut().find(|it| it["name"] == table).expect("it has the table");
        let name = table["file"]["name"].as_str().expect("it is a name");
        fs::write(archive.join(name), rows).expect("it can be written");
        table["rows"] = rows.matches('\n').count().into();
        table["file"]["bytes"] = rows.len().into();
        table["file"]["sha256"] = sha256(rows.as_bytes()).into();
    });
}
