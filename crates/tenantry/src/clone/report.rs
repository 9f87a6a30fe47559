//! The result of a clone.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use super::AnonymizeReport;
use crate::{event::serialize_millis, tenant::TenantId};

/// The result of cloning a tenant.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CloneReport {
    /// The tenant that was copied.
    pub source_tenant_id: TenantId,
    /// The new tenant.
    pub tenant_id: TenantId,
    /// Its schema.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// Objects that were created: tables, columns, indexes, functions and so on.
    pub objects: usize,
    /// Tables with the rows that were copied; empty if only the structure was copied.
    pub tables: Vec<ClonedTable>,
    /// What was masked, and the proof, if the clone is [anonymized](super::CloneOptions::anonymize).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymized: Option<AnonymizeReport>,
    /// Limitations of the clone, such as a publication of the source's tables, or a text that still names the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// A table whose rows were copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClonedTable {
    /// Its name.
    pub name: String,
    /// Rows that were copied.
    pub rows: u64,
}

impl CloneReport {
    /// Returns how many rows were copied.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}

impl fmt::Display for CloneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source_tenant_id,
            tenant_id,
            schema,
            objects,
            tables,
            anonymized,
            remarks,
            duration,
        } = self;
        write!(
            f,
            "cloned tenant {source_tenant_id} as {tenant_id}: schema {schema}, {objects} objects"
        )?;
        if !tables.is_empty() {
            let word = if tables.len() == 1 { "table" } else { "tables" };
            write!(f, ", {} rows in {} {word}", self.rows(), tables.len())?;
        }
        write!(f, " in {duration:.1?}")?;
        if let Some(anonymized) = anonymized {
            write!(f, "\n{anonymized}")?;
        }
        remarks.iter().try_for_each(|remark| write!(f, "\nnote: {remark}"))
    }
}
