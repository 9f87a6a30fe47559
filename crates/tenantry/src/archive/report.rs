//! The results of an export and an import.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;

use super::Manifest;
use crate::{clone::ClonedTable, event::serialize_millis, tenant::TenantId};

/// The result of an [export](super::Archiver::export).
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ExportReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The archive.
    pub path: PathBuf,
    /// What it contains.
    pub manifest: Manifest,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// The result of an [import](super::Archiver::import).
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ImportReport {
    /// The new tenant.
    pub tenant_id: TenantId,
    /// Its server.
    pub server: Arc<str>,
    /// Its schema.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The tenant that was archived, as the archive says.
    pub archived_tenant_id: Arc<str>,
    /// Objects that were created: tables, columns, indexes, functions and so on.
    pub objects: usize,
    /// The tables with the rows that were loaded.
    pub tables: Vec<ClonedTable>,
    /// Definitions that this server describes in other words, and limitations of the archive.
    pub remarks: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl ImportReport {
    /// Returns how many rows were loaded.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

fn tables(count: usize) -> String {
    format!("{count} {}", if count == 1 { "table" } else { "tables" })
}

impl fmt::Display for ExportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, path, manifest, duration } = self;
        let (rows, bytes, of) = (manifest.rows(), manifest.bytes(), tables(manifest.tables.len()));
        write!(f, "exported tenant {tenant_id} to {}: ", path.display())?;
        write!(f, "{rows} rows in {of}, {bytes} bytes in {duration:.1?}")?;
        manifest.remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, server, schema, archived_tenant_id, objects, duration, .. } = self;
        let of = crate::plain::clipped(archived_tenant_id, 80);
        write!(
            f,
            "imported tenant {tenant_id} from an archive of {of}: schema {schema} on server "
        )?;
        write!(f, "{server}, {objects} objects, {} rows in ", self.rows())?;
        write!(f, "{} in {duration:.1?}", tables(self.tables.len()))?;
        self.remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}
