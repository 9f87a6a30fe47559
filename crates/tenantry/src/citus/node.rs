use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::error::OptionsError;

/// The address of a node, as the coordinator knows it: `nodename` and `nodeport` of `pg_dist_node`.
///
/// # Examples
///
/// ```
/// use tenantry::citus::CitusNode;
///
/// let node: CitusNode = "worker-2.internal:5432".parse()?;
/// assert_eq!(node, CitusNode::new("worker-2.internal", 5432));
/// assert!("worker-2".parse::<CitusNode>().is_err());
/// # Ok::<(), tenantry::OptionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CitusNode {
    /// The name or address of the host.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl CitusNode {
    /// Creates the address of a node.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for CitusNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads `host:port`.
impl FromStr for CitusNode {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = parts.and_then(|(_, port)| port.parse().ok());
        match (parts, port) {
            (Some((host, _)), Some(port)) => Ok(Self::new(host, port)),
            _ => Err(OptionsError::new("node", "be host:port, as in pg_dist_node")),
        }
    }
}
