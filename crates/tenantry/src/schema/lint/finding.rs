//! Findings of the rules.

use std::fmt;

use serde::Serialize;

use super::{super::ObjectKey, LintRule, Severity};

/// A violation of a rule in a schema.
///
/// `Display` writes one line: `warning: column orders.total: money depends on the locale of the server; use numeric
/// (money)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LintFinding {
    /// The rule.
    pub rule: LintRule,
    /// Its severity.
    pub severity: Severity,
    /// The object.
    pub object: ObjectKey,
    /// What is wrong, and what to do.
    pub message: String,
    /// A statement that fixes it, if one suits most cases. Read it before you run it, with the schema as the search
    /// path: changing a type rewrites the table, and a dependent view can prevent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, severity, object, message, .. } = self;
        write!(f, "{severity}: {object}: {message} ({rule})")
    }
}
