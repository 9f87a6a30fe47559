use std::sync::Arc;

use serde::Serialize;

/// A table, and how many of its rows are a tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TableRows {
    /// The table.
    pub table: Arc<str>,
    /// The number of rows.
    pub rows: u64,
}
