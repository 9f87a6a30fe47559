use std::{path::Path, time::Instant};

use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{Ident, clone::CloneReport, outline::ServerOutline, rows};

use crate::{command::dump::millis, postgres::Archive};

/// Result of a restore.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Restored {
    Schema(RestoreReport),
    Rows(RowsRestored),
}

/// Result of a restore of rows into the tables of all tenants.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowsRestored {
    file: String,
    /// The rows that were restored.
    restored: rows::RestoreReport,
}

impl Restored {
    pub(super) fn rows(file: &Path, restored: rows::RestoreReport) -> Self {
        Self::Rows(RowsRestored { file: file.display().to_string(), restored })
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Schema(report) => report.text(),
            Self::Rows(RowsRestored { restored, .. }) => restored.to_string(),
        }
    }
}

/// Result of a restore of a schema.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestoreReport {
    file: String,
    /// The schema in the dump.
    dumped_schema: String,
    /// The version of the server that was dumped.
    dumped_from: String,
    /// The version of the server.
    server_version: String,
    /// Whether there was a tenant of this id, which was dropped.
    replaced: bool,
    /// How the tenant was made of the dump.
    tenant: CloneReport,
    /// How long all of it took, in milliseconds.
    duration_ms: u64,
}

impl RestoreReport {
    pub(super) fn new(
        archive: &Archive,
        schema: &Ident,
        server: ServerOutline,
        replaced: bool,
        tenant: CloneReport,
        began: Instant,
    ) -> Self {
        Self {
            file: archive.path.display().to_string(),
            dumped_schema: schema.to_string(),
            dumped_from: archive.server_version.clone(),
            server_version: server.version,
            replaced,
            tenant,
            duration_ms: millis(began),
        }
    }

    pub(super) fn has_remarks(&self) -> bool {
        !self.tenant.remarks.is_empty()
    }

    fn text(&self) -> String {
        let Self { file, dumped_schema, dumped_from, tenant, .. } = self;
        let how = if self.replaced { ", in the place of the old one" } else { "" };
        let mut text = format!(
            "restored tenant {} (schema {}) from {file}{how}: {} tables, {} rows; the dump is of schema \
             {dumped_schema}, PostgreSQL {dumped_from}",
            tenant.tenant_id,
            tenant.schema,
            tenant.tables.len(),
            tenant.rows()
        );
        for remark in &tenant.remarks {
            text.push_str(&format!("\n  {remark}"));
        }
        text
    }
}
