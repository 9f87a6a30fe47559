use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;

use crate::{citus::CitusNode, event::serialize_millis, tenant::TenantId};

/// Progress of a move between nodes.
///
/// `Display` writes one line: `1 of 3 tables, 81920 of 245760 bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NodeMoveProgress {
    /// Tables that are on the new node.
    pub tables: u64,
    /// Tables in total.
    pub tables_total: u64,
    /// Bytes on the new node. Indexes can take another number of bytes there.
    pub bytes: u64,
    /// Bytes on the former node.
    pub bytes_total: u64,
}

impl fmt::Display for NodeMoveProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tables, tables_total, bytes, bytes_total } = self;
        write!(f, "{tables} of {tables_total} tables, {bytes} of {bytes_total} bytes")
    }
}

/// Result of a move between nodes.
///
/// `Display` writes one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NodeMoveReport {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its schema, which has not changed.
    #[serde(rename = "schemaName")]
    pub schema: Arc<str>,
    /// The node that it was on.
    pub from: CitusNode,
    /// The node that it is on.
    pub to: CitusNode,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

impl fmt::Display for NodeMoveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant_id, schema, from, to, duration } = self;
        write!(
            f,
            "moved tenant {tenant_id} (schema {schema}) from node {from} to {to} in {duration:.1?}"
        )
    }
}
