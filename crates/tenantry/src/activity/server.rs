//! The figures of one of several servers.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{Connections, DatabaseTotals, SessionCounts};
use crate::{event::serialize_millis, timestamp};

/// Activity of one of several servers, or the reason why it is unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerActivity {
    /// The name of the server.
    pub server: Arc<str>,
    /// Duration of the reading.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// Its figures; `None` if it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<ServerReading>,
    /// Why it was not read, such as `no answer within 5s`. It can contain text from the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Figures of a server.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServerReading {
    /// The time of the reading, by the server's clock.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub at: SystemTime,
    /// The version of the server, such as `17.2`.
    pub server_version: String,
    /// Connections relative to the server's limits.
    pub connections: Connections,
    /// Client sessions in the database of its URL and in the tenants' own databases.
    pub sessions: SessionCounts,
    /// Totals of the database in its URL since its statistics were last reset.
    pub database: DatabaseTotals,
}
