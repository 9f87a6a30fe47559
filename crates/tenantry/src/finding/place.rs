use std::fmt;

use serde::Serialize;

/// A server, and a database on it.
///
/// `Display` writes `database db_acme of server eu-1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FindingPlace {
    /// The name of the server; `main` is the manager's.
    pub server: String,
    /// The database, if it is not the one in the URL of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl FindingPlace {
    pub(crate) fn new(server: impl Into<String>, database: Option<String>) -> Self {
        Self { server: server.into(), database }
    }
}

impl fmt::Display for FindingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "database {database} of server {}", self.server),
            None => write!(f, "server {}", self.server),
        }
    }
}
