//! What an archive contains.

use std::{sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    clone::{PackedFile, PackedSequence, PackedTable},
    hashed::hexadecimal,
    plain::clipped,
    schema::SchemaModel,
    timestamp,
};

/// The version of the format that this version of the library writes. It reads this one and all earlier ones.
pub const FORMAT: u32 = 1;

/// The longest text of an archive that a message shows, in characters.
const SHOWN: usize = 80;

/// The content of an archive: the file `manifest.json`.
///
/// Anything can have written the file: treat the texts as such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The version of the library that wrote the archive.
    pub tenantry_version: Arc<str>,
    /// The version of the server.
    pub server_version: Arc<str>,
    /// When the export began.
    #[serde(with = "timestamp")]
    #[cfg_attr(feature = "schemars", schemars(with = "String", extend("format" = "date-time")))]
    pub exported_at: SystemTime,
    /// The id of the tenant.
    pub tenant_id: Arc<str>,
    /// The name of the server that the tenant was on.
    pub server: Arc<str>,
    /// The name of the schema.
    pub schema: Arc<str>,
    /// The number of the tenant's placement.
    pub epoch: u64,
    /// The state of the tenant, such as `active`.
    pub state: Arc<str>,
    /// The tenant's own role, which the archived schema refers to.
    pub role: Option<Arc<str>>,
    /// The key of the tenant's sessions, if rows of shared tables are configured.
    pub key: Option<Arc<str>>,
    /// The attributes in the catalog.
    pub attributes: Value,
    /// The SHA-256 of the structure without its names of schema and role. Schemas with equal structure have the same.
    pub fingerprint: Arc<str>,
    /// The model of the schema, as JSON.
    pub model: PackedFile,
    /// The statements that create the schema, for people.
    pub statements: PackedFile,
    /// The tables with their files, those that others refer to first.
    pub tables: Vec<PackedTable>,
    /// The sequences.
    pub sequences: Vec<PackedSequence>,
    /// What of the schema the archive lacks, such as a publication.
    pub remarks: Vec<Arc<str>>,
}

/// What is read of an archive of any format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    format: u32,
    #[serde(default)]
    tenantry_version: String,
}

impl Manifest {
    /// Parses the file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let told = |error: serde_json::Error| {
            // It can quote what it does not expect.
            format!("its manifest.json is damaged: {}", clipped(&error.to_string(), 200))
        };
        let stamp: Stamp = serde_json::from_slice(text).map_err(told)?;
        if stamp.format > FORMAT || stamp.format == 0 {
            return Err(format!(
                "its format is {}, written by Tenantry {}, and this is Tenantry {VERSION}, which reads format {FORMAT} \
                 and earlier: use a newer version",
                stamp.format,
                clipped(&stamp.tenantry_version, SHOWN)
            ));
        }
        serde_json::from_slice(text).map_err(told)
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().fold(0, |sum, table| sum.saturating_add(table.rows))
    }

    /// Returns the size of all files, except for the manifest.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Returns the files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PackedFile> {
        [&self.model, &self.statements].into_iter().chain(self.tables.iter().map(|of| &of.file))
    }
}

/// Returns the hashes of all files, as `sha256sum` prints them: of the manifest with this hash, and of the others.
pub(super) fn sums(manifest: &Manifest, sha256: &str) -> String {
    let others = manifest.files().map(|file| (&*file.sha256, &*file.name));
    let files = [(sha256, MANIFEST)].into_iter().chain(others);
    files.map(|(sha256, name)| format!("{sha256}  {name}\n")).collect()
}

/// The file that describes the others.
pub(super) const MANIFEST: &str = "manifest.json";

/// The version of this library.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the hash of a structure, whatever the schema and its role are called.
pub(super) fn fingerprint(model: &SchemaModel) -> Result<Arc<str>, serde_json::Error> {
    let nameless = SchemaModel {
        schema: String::new(),
        role: None,
        server_version: 0,
        beyond: Vec::new(),
        ..model.clone()
    };
    let text = serde_json::to_vec(&nameless)?;
    Ok(hexadecimal(Sha256::new().chain_update(text)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_named_and_not_read() {
        let newer = br#"{"format": 2, "tenantryVersion": "9.1.0\u001b[31m", "files": []}"#;
        let told = Manifest::parse(newer).unwrap_err();
        assert!(
            told.starts_with("its format is 2, written by Tenantry 9.1.0\\u{1b}[31m,"),
            "{told}"
        );
        assert!(
            told.contains(&format!("this is Tenantry {VERSION}, which reads format 1")),
            "{told}"
        );
        for damaged in ["", "{}", "[]", "{\"format\": -1}", "{\"format\": 1}", "{\"format\": 1"] {
            let told = Manifest::parse(damaged.as_bytes()).unwrap_err();
            assert!(told.starts_with("its manifest.json is damaged: "), "{damaged}: {told}");
        }
        assert!(Manifest::parse(b"{\"format\": 0}").is_err());
    }
}
