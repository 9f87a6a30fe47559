//! What a rule has found.

use std::fmt;

use serde::Serialize;

use super::{super::ObjectKey, LintRule, Severity};

/// Something in a schema that breaks a rule.
///
/// As text it is a line: `warning: column orders.total: money depends on the locale of the server; use numeric
/// (money)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LintFinding {
    /// The rule.
    pub rule: LintRule,
    /// How much it matters.
    pub severity: Severity,
    /// The object.
    pub object: ObjectKey,
    /// What is wrong, and what to do.
    pub message: String,
    /// A statement that mends it, where there is one that suits most cases. Read it before you run it, with the
    /// schema as the search path: changing a type rewrites the table, and a view may stand in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, severity, object, message, .. } = self;
        write!(f, "{severity}: {object}: {message} ({rule})")
    }
}
