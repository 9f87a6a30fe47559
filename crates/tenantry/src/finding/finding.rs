use std::fmt;

use serde::Serialize;

use super::{Affected, FindingPlace};
use crate::plain::printable;

/// The maximum number of statements of a finding about several databases.
const STATEMENTS: usize = 20;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Severity {
    /// Worth knowing. It does not change the status.
    Info,
    /// Something should be changed.
    Warning,
    /// Something is broken or unsafe.
    Error,
}

impl Severity {
    /// Returns the camel-case name that JSON uses.
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

/// A finding of a check: what is wrong, why it matters, and how to fix it.
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
    /// Its severity.
    pub severity: Severity,
    /// The fact.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do. Empty if there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// SQL statements that fix it, in order, one statement each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<String>,
    /// Where each of the statements is to be run, by its index. Empty: in the manager's database.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sql_in: Vec<FindingPlace>,
    /// Whether the statements are harmless: they lose no data, take no lock that others wait for, and are idempotent.
    /// [`Doctor::fix`](crate::doctor::Doctor::fix) runs only these.
    pub harmless: bool,
    /// The affected tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Affected>,
    /// The servers that it is about, if it was found by a check of servers and the manager has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// The server, if the finding says that it is away.
    #[serde(skip)]
    pub(crate) away: Option<String>,
}

impl Finding {
    fn new(severity: Severity, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            severity,
            what: what.into(),
            why: why.into(),
            how: String::new(),
            sql: Vec::new(),
            sql_in: Vec::new(),
            harmless: false,
            tenants: None,
            servers: Vec::new(),
            away: None,
        }
    }

    /// Creates an informational finding: the fact, and why it matters.
    pub fn info(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Info, what, why)
    }

    /// Creates a finding about something that should be changed: the fact, and why it matters.
    pub fn warning(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what, why)
    }

    /// Creates a finding about something broken or unsafe: the fact, and why it matters.
    pub fn error(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Error, what, why)
    }

    /// Sets what to do, in the imperative. The report also lists it as a recommendation.
    pub fn how(mut self, how: impl Into<String>) -> Self {
        self.how = how.into();
        self
    }

    /// Adds a statement that helps to fix the problem.
    pub fn sql(mut self, sql: impl Into<String>) -> Self {
        self.sql.push(sql.into());
        self
    }

    /// Marks it as the cause of all that could not be examined on this server, which is away.
    pub(crate) fn about_away(mut self, server: &str) -> Self {
        self.away = Some(server.to_owned());
        self
    }

    /// Marks the statements as [`harmless`](Self::harmless).
    pub fn harmless(mut self) -> Self {
        self.harmless = true;
        self
    }

    /// Makes its texts safe to print. The statements stay verbatim.
    pub(crate) fn printable(mut self) -> Self {
        for text in [&mut self.what, &mut self.why, &mut self.how] {
            *text = printable(std::mem::take(text));
        }
        for server in &mut self.servers {
            *server = printable(std::mem::take(server));
        }
        if let Some(tenants) = &mut self.tenants {
            tenants.worst.iter_mut().for_each(|tenant| {
                tenant.detail = printable(std::mem::take(&mut tenant.detail));
            });
        }
        self
    }

    /// Says where what was found is. The text does so itself if no tenant is named.
    pub(crate) fn in_place(mut self, place: &FindingPlace) -> Self {
        self.sql_in = vec![place.clone(); self.sql.len()];
        match self.tenants.take() {
            Some(tenants) => self.tenants = Some(tenants.in_place(place)),
            None => self.what = format!("{} ({place})", self.what),
        }
        self
    }

    /// Says which server it is about. [`naming_servers`](Self::naming_servers) puts that into the text.
    pub(crate) fn on_server(mut self, place: &FindingPlace) -> Self {
        self.sql_in = vec![place.clone(); self.sql.len()];
        self.tenants = self.tenants.map(|tenants| tenants.in_place(place));
        self.servers = vec![place.server.clone()];
        self
    }

    /// Names the servers in the text.
    pub(crate) fn naming_servers(mut self) -> Self {
        let word = if self.servers.len() == 1 { "server" } else { "servers" };
        self.what = format!("{} ({word} {})", self.what, self.servers.join(", "));
        self
    }

    /// Returns `true` if the other says the same about other tenants or servers.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        let key = |of: &Self| (of.severity, of.harmless, of.tenants.is_some());
        key(self) == key(other)
            && (&self.what, &self.why, &self.how) == (&other.what, &other.why, &other.how)
    }

    /// Adds the tenants, servers and statements of a finding that says the same about others. At most as many
    /// statements are kept as tenants are named.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.tenants = match (self.tenants.take(), other.tenants) {
            (Some(tenants), Some(others)) => Some(tenants.and(others)),
            (tenants, others) => tenants.or(others),
        };
        let room = STATEMENTS.saturating_sub(self.sql.len());
        self.sql.extend(other.sql.into_iter().take(room));
        self.sql_in.extend(other.sql_in.into_iter().take(room));
        self.servers.extend(other.servers);
        self
    }

    /// Sets the affected tenants.
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
