use std::{fmt, str::FromStr};

use serde::Serialize;

/// How one tenant's data is kept apart from that of the others.
///
/// [`Isolation`](crate::Isolation) says how a manager keeps tenants apart by default; the record of
/// a tenant may say [another kind](crate::TenantRecord::isolation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IsolationKind {
    /// A separate schema.
    #[default]
    Schema,
    /// Rows in tables of all tenants, kept apart by row-level security.
    Row,
    /// A separate database.
    Database,
}

impl IsolationKind {
    /// Returns the kind in snake case, as used in catalogs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Row => "row",
            Self::Database => "database",
        }
    }
}

impl fmt::Display for IsolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IsolationKind {
    type Err = ParseIsolationKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kinds = [Self::Schema, Self::Row, Self::Database];
        kinds
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseIsolationKindError { found: text.chars().take(80).collect() })
    }
}

/// The text is not the name of an [`IsolationKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown isolation {found:?}; expected schema, row or database")]
pub struct ParseIsolationKindError {
    /// The text, shortened.
    found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in [IsolationKind::Schema, IsolationKind::Row, IsolationKind::Database] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let error = "rows".parse::<IsolationKind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown isolation \"rows\"; expected schema, row or database"
        );
    }
}
