//! Rules that do not fit a schema.

use std::fmt;

/// All rules that do not fit a schema.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct WrongRules(pub(super) Vec<WrongRule>);

crate::error_report::readable_debug!(WrongRules);

/// A rule that does not fit a schema, and what to do about it.
///
/// `Display` writes one sentence: `rule 3, users.email: hash does not fit boolean: …`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WrongRule {
    /// The number of the rule, from 1.
    pub rule: Option<usize>,
    /// The column, as `table.column`, if one is concerned.
    pub column: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for WrongRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rule, &self.column) {
            (Some(rule), Some(column)) => write!(f, "rule {rule}, {column}: ")?,
            (Some(rule), None) => write!(f, "rule {rule}: ")?,
            (None, Some(column)) => write!(f, "{column}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)
    }
}

impl WrongRules {
    /// Returns the rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[WrongRule] {
        &self.0
    }

    fn lines(&self) -> String {
        self.0.iter().map(WrongRule::to_string).collect::<Vec<_>>().join("\n")
    }
}
