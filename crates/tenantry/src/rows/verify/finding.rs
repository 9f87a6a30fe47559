use std::{fmt, sync::Arc};

use serde::Serialize;

use super::RowsRule;
use crate::finding::Finding;

/// A way around the policies, or a mistake that costs time.
///
/// An error is one by which a tenant can see, change or learn something of another tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RowsFinding {
    /// What was checked.
    pub rule: RowsRule,
    /// The table, role, index or other object.
    pub object: String,
    /// The further server that has the object; `None` for the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// What is wrong, why it matters and how to fix it.
    #[serde(flatten)]
    pub finding: Finding,
    /// `true` if it says that the server could not be asked.
    #[serde(skip)]
    pub(super) is_unverified_server: bool,
}

impl RowsFinding {
    pub(super) fn new(rule: RowsRule, object: &str, finding: Finding) -> Self {
        Self {
            rule,
            object: object.to_owned(),
            server: None,
            finding: finding.printable(),
            is_unverified_server: false,
        }
    }

    /// Returns `true` if it says that the server could not be asked.
    pub(crate) fn is_unverified_server(&self) -> bool {
        self.is_unverified_server
    }

    /// Says that it concerns a further server.
    pub(super) fn on(mut self, server: &str) -> Self {
        self.finding.what = format!("on the server {server}, {}", self.finding.what);
        Self { server: Some(server.into()), ..self }
    }
}

impl fmt::Display for RowsFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { severity, what, why, how, .. } = &self.finding;
        write!(f, "{severity}: {what}: {why}")?;
        match how.is_empty() {
            true => Ok(()),
            false => write!(f, "; {how}"),
        }
    }
}
