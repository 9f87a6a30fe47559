use std::fmt;

use serde::Serialize;

use super::{Affected, text::printable};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing. It changes no status.
    Info,
    /// Something should be changed.
    Warning,
    /// Something is broken or unsafe.
    Error,
}

impl Severity {
    /// Returns it in camel case, as JSON names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a check has found: what, why it matters, and how to fix it.
///
/// # Examples
///
/// ```
/// use tenantry::doctor::{Affected, Finding};
///
/// let finding = Finding::warning("tenants lack the index users_email", "logins scan the whole table")
///     .how("create the index in each of them")
///     .tenants(Affected::new(2, 40).worst("acme", "1,200,000 users"));
/// assert!(finding.to_string().starts_with("2 of 40 tenants: tenants lack"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "a finding does nothing until it is added to what was examined"]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The fact.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do. Empty where there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// Statements that do it, in order, each one statement.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<String>,
    /// Whether the statements cannot do harm: they lose no data, take no lock that others wait for, and can be run
    /// twice. [`Doctor::fix`](super::Doctor::fix) runs only these.
    pub harmless: bool,
    /// The tenants that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Affected>,
}

impl Finding {
    fn new(severity: Severity, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            severity,
            what: what.into(),
            why: why.into(),
            how: String::new(),
            sql: Vec::new(),
            harmless: false,
            tenants: None,
        }
    }

    /// Something worth knowing: the fact, and why it matters.
    pub fn info(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Info, what, why)
    }

    /// Something that should be changed: the fact, and why it matters.
    pub fn warning(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what, why)
    }

    /// Something that is broken or unsafe: the fact, and why it matters.
    pub fn error(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Error, what, why)
    }

    /// Sets what to do, in the imperative. It is also a recommendation of the report.
    pub fn how(mut self, how: impl Into<String>) -> Self {
        self.how = how.into();
        self
    }

    /// Adds a statement that helps to fix it.
    pub fn sql(mut self, sql: impl Into<String>) -> Self {
        self.sql.push(sql.into());
        self
    }

    /// Says that the statements are [`harmless`](Self::harmless).
    pub fn harmless(mut self) -> Self {
        self.harmless = true;
        self
    }

    /// Makes its texts safe to print. The statements stay verbatim.
    pub(super) fn printable(mut self) -> Self {
        for text in [&mut self.what, &mut self.why, &mut self.how] {
            *text = printable(std::mem::take(text));
        }
        if let Some(tenants) = &mut self.tenants {
            tenants.worst.iter_mut().for_each(|tenant| {
                tenant.detail = printable(std::mem::take(&mut tenant.detail));
            });
        }
        self
    }

    /// Sets the tenants that it is about.
    pub fn tenants(mut self, tenants: Affected) -> Self {
        self.tenants = Some(tenants);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenants) = &self.tenants {
            write!(f, "{tenants}: ")?;
        }
        write!(f, "{}", self.what)
    }
}
