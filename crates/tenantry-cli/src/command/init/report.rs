use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Look, Proposals, propose::Proposal};
use crate::output::{counted, plain};

/// Result of `init`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitReport {
    /// The file that was written, or that existed.
    file: String,
    /// Whether the file existed and was not changed.
    kept: bool,
    /// The database that was looked at; null when none was.
    database: Option<SeenDatabase>,
    /// Why no database was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_looked: Option<String>,
    /// The settings that were written.
    proposals: Vec<Proposed>,
    /// What else is worth knowing.
    remarks: Vec<String>,
    /// Whether the catalog's table was made.
    created_table: bool,
}

/// A database that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SeenDatabase {
    name: String,
    server_version: String,
    schemas: usize,
}

/// A setting that was written.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Proposed {
    key: &'static str,
    /// Its value as text, without secrets.
    value: String,
    why: String,
}

impl InitReport {
    pub(super) fn new(file: &Path, look: Look, proposals: Proposals, created_table: bool) -> Self {
        let database = look.outline().map(|outline| SeenDatabase {
            name: outline.server.database.clone(),
            server_version: outline.server.version.clone(),
            schemas: outline.schemas.len(),
        });
        let proposed = |Proposal { key, value, why }| Proposed {
            key: &key.name,
            value: value.to_string(),
            why,
        };
        Self {
            file: file.display().to_string(),
            kept: false,
            database,
            not_looked: look.why_not(),
            proposals: proposals.settings.into_iter().map(proposed).collect(),
            remarks: proposals.remarks,
            created_table,
        }
    }

    /// The report about a file that existed, and whose catalog table was created.
    pub(super) fn of_kept(file: &Path) -> Self {
        Self {
            file: file.display().to_string(),
            kept: true,
            database: None,
            not_looked: None,
            proposals: Vec::new(),
            remarks: Vec::new(),
            created_table: true,
        }
    }

    pub(super) fn text(&self) -> String {
        let done = if self.kept { "did not change" } else { "wrote" };
        let mut text = format!("{done} {}", self.file);
        match (&self.database, &self.not_looked) {
            (Some(SeenDatabase { name, server_version, schemas }), _) => text.push_str(&format!(
                "\ninspected the database {name}: PostgreSQL {server_version}, {}",
                counted(*schemas, "schema")
            )),
            (None, Some(why)) => text.push_str(&format!("\ninspected no database: {why}")),
            (None, None) => {}
        }
        for Proposed { key, value, why } in &self.proposals {
            text.push_str(&format!("\n  {key} = {value}: {why}"));
        }
        for remark in &self.remarks {
            text.push_str(&format!("\n  note: {remark}"));
        }
        if self.created_table {
            text.push_str("\nthe catalog table exists");
        }
        plain(&text)
    }
}
