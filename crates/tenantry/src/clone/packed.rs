//! A copy of a schema whose rows are in files.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind},
    schema::{SchemaModel, read::Subject},
    tenant::Ident,
};

/// A schema, and the files with the rows of its tables.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) model: SchemaModel,
    /// The folder of the files.
    pub(crate) folder: PathBuf,
    /// Its tables, those that others refer to first.
    pub(crate) tables: Vec<PackedTable>,
    pub(crate) sequences: Vec<PackedSequence>,
}

impl Packed {
    /// Returns the archived schema as it was called. The rows name its objects so.
    ///
    /// # Errors
    ///
    /// [`Archive`](ErrorKind::Archive) if the archive names no schema or role that can be.
    pub(crate) fn subject(&self) -> Result<Subject, Error> {
        let name = |name: &str| {
            Ident::parse(name).map_err(|error| {
                Error::new(ErrorKind::Archive, "reading the archive's name of the schema or role")
                    .with_source(error)
            })
        };
        let role = self.model.role.as_deref().map(name).transpose()?;
        Ok(Subject { schema: name(&self.model.schema)?, role })
    }
}

/// A table in an archive: its columns without the generated ones, and the file with its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PackedTable {
    /// The name.
    pub name: String,
    /// The columns whose values are in the file, in this order.
    pub columns: Vec<String>,
    /// The number of rows.
    pub rows: u64,
    /// The file, in the [text format](https://www.postgresql.org/docs/current/sql-copy.html) of `copy`, in UTF-8.
    pub file: PackedFile,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PackedFile {
    /// Its name, relative to the archive.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content, as 64 hexadecimal digits.
    pub sha256: String,
}

/// The position of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PackedSequence {
    /// The name.
    pub name: String,
    /// The last value.
    pub last_value: i64,
    /// Whether that value was used: if not, it is the next one.
    pub is_called: bool,
}

/// Returns the name of the file with the rows of the table at this place.
pub(crate) fn name_of_rows(place: usize) -> String {
    format!("{ROWS}/{:05}.copy", place + 1)
}

/// The folder of the files with rows.
pub(crate) const ROWS: &str = "rows";
