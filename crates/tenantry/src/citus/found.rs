use std::fmt;

use serde::Serialize;

/// The extension Citus in a database, as it was found.
///
/// Tenantry works with the schemas of tenants on a coordinator of Citus 12.0 or later: see `docs/scaling.md`.
///
/// # Examples
///
/// ```
/// use tenantry::citus::{Citus, CitusNodeKind};
///
/// let citus = Citus::parse("13.2-1", CitusNodeKind::Coordinator).unwrap();
/// assert!(citus.distributes_schemas() && citus.moves_schemas());
/// assert_eq!(citus.to_string(), "Citus 13.2, coordinator");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Citus {
    version: (u32, u32),
    node: CitusNodeKind,
}

/// The kind of node of a Citus cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CitusNodeKind {
    /// The node that knows where everything is, and the only one that changes schemas.
    Coordinator,
    /// A node that holds tenants. It can answer for all tenants, but cannot create or migrate any.
    Worker,
}

/// The first version with schemas that are distributed as a whole.
const DISTRIBUTES_SCHEMAS: (u32, u32) = (12, 0);

/// The first version that moves such schemas between nodes.
const MOVES_SCHEMAS: (u32, u32) = (12, 1);

impl Citus {
    /// Reads the version of the extension, such as `13.2-1`. Returns `None` if the text does not begin with a major
    /// and a minor version.
    #[must_use]
    pub fn parse(version: &str, node: CitusNodeKind) -> Option<Self> {
        let version = version.split('-').next().unwrap_or_default();
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some(Self { version: (parts.next()??, parts.next()??), node })
    }

    /// Returns the major and the minor version.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Returns the kind of node.
    #[must_use]
    pub fn node(&self) -> CitusNodeKind {
        self.node
    }

    /// Returns `true` if the extension distributes schemas: from version 12.0 on.
    #[must_use]
    pub fn distributes_schemas(&self) -> bool {
        self.version >= DISTRIBUTES_SCHEMAS
    }

    /// Returns `true` if the extension moves schemas between nodes: from version 12.1 on.
    #[must_use]
    pub fn moves_schemas(&self) -> bool {
        self.version >= MOVES_SCHEMAS
    }
}

impl CitusNodeKind {
    /// Returns the snake-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for Citus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "Citus {major}.{minor}, {}", self.node.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_decides_what_is_possible() {
        for (text, version, distributes, moves) in [
            ("13.2-1", (13, 2), true, true),
            ("12.1-1", (12, 1), true, true),
            ("12.0-1", (12, 0), true, false),
            ("11.3-2", (11, 3), false, false),
            ("9.5-10", (9, 5), false, false),
            ("14.0", (14, 0), true, true),
        ] {
            let citus = Citus::parse(text, CitusNodeKind::Coordinator).unwrap();
            let found = (citus.version(), citus.distributes_schemas(), citus.moves_schemas());
            assert_eq!(found, (version, distributes, moves), "{text}");
        }
        for text in ["", "13", "devel", "13.x", "-1"] {
            assert_eq!(Citus::parse(text, CitusNodeKind::Worker), None, "{text}");
        }
    }
}
