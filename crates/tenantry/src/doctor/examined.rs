use std::{collections::BTreeMap, error::Error as StdError, fmt, time::Duration};

use serde::Serialize;

use super::{Finding, Severity, text::counted};
use crate::{
    error::{Error, ErrorKind},
    plain::plain,
};

/// Result of a [`Check`](super::Check).
///
/// # Examples
///
/// ```
/// use tenantry::doctor::{CheckStatus, Examined, Finding};
///
/// let examined = Examined::ok("20 of 97 connections")
///     .finding(Finding::warning("another service takes 60", "both together do not fit"));
/// assert_eq!(examined.status(), CheckStatus::Warn);
///
/// let partly = Examined::ok("no old snapshots").unseen("sessions of other roles: grant pg_read_all_stats");
/// assert_eq!(partly.status(), CheckStatus::Unknown);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it holds the result of a check"]
pub struct Examined {
    pub(super) status: CheckStatus,
    pub(super) message: String,
    pub(super) text: Option<String>,
    /// The start of the line in the text report, if it is not the title of the check.
    pub(super) heading: Option<String>,
    pub(super) latency: Option<Duration>,
    pub(super) findings: Vec<Finding>,
    pub(super) unseen: Vec<String>,
    /// Those of the notes that are about a server that is away, with its name.
    pub(super) away: BTreeMap<String, String>,
    /// Why the check could not run, if other checks cannot run for the same reason.
    pub(super) cause: Option<&'static str>,
}

/// Why checks of tenants cannot run without a list of tenants. The check `tenants` says what is wrong.
const NO_TENANTS: &str = "the tenants cannot be listed";

/// The status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum CheckStatus {
    /// Nothing is wrong.
    Ok,
    /// Something should be changed.
    Warn,
    /// Something is broken or unsafe.
    Error,
    /// The check could not see what it examines, and says why.
    Unknown,
    /// The check was not run, and says why.
    Skipped,
}

impl CheckStatus {
    /// Returns the camel-case name that JSON uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }

    /// Returns the mark at the start of a line of the text report.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Warn => '⚠',
            Self::Error => '✗',
            Self::Unknown => '?',
            Self::Skipped => '-',
        }
    }

    fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Ok,
            Severity::Warning => Self::Warn,
            Severity::Error => Self::Error,
        }
    }

    /// Orders statuses: a check with several of them ends with the highest.
    fn rank(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Ok => 1,
            Self::Unknown => 2,
            Self::Warn => 3,
            Self::Error => 4,
        }
    }
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Examined {
    fn new(status: CheckStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            text: None,
            heading: None,
            latency: None,
            findings: Vec::new(),
            unseen: Vec::new(),
            away: BTreeMap::new(),
            cause: None,
        }
    }

    /// Creates a result without problems. The message is a short summary, such as `42 tenants found`.
    pub fn ok(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Ok, message)
    }

    /// Creates a warning: something should be changed. With a [`finding`](Self::finding), the report also says why
    /// and how.
    pub fn warn(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Warn, message)
    }

    /// Creates an error: something is broken or unsafe. With a [`finding`](Self::finding), the report also says why
    /// and how.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Error, message)
    }

    /// Creates the result of a check that could not examine its subject. The message says what was not examined, and
    /// what the check needs for it.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(CheckStatus::Unknown, message)
    }

    /// Creates the result of a check that could not read its subject, such as `sequences`, because of this error.
    pub(crate) fn not_read(what: &str, error: &Error) -> Self {
        let why = match error.kind() {
            ErrorKind::PermissionDenied => "the role may not".to_owned(),
            _ => error_in_words(error),
        };
        Self::unknown(format!("could not read {what}: {why}"))
    }

    /// Creates the result of a check that needs the list of tenants, to read something.
    pub(crate) fn not_listed(what: &str, error: &Error) -> Self {
        Self::not_read(what, error).because(NO_TENANTS)
    }

    /// Sets why the check could not run: the text report names the cause and such checks once.
    pub(super) fn because(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Creates the result of a check that does not apply. The message says why.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::new(CheckStatus::Skipped, why)
    }

    /// Adds a finding, and raises the status to its severity. A finding of [`Severity::Info`] does not change the
    /// status.
    pub fn finding(mut self, finding: Finding) -> Self {
        self.raise(CheckStatus::of(finding.severity));
        self.findings.push(finding);
        self
    }

    /// Adds findings; see [`finding`](Self::finding).
    pub fn findings(self, findings: impl IntoIterator<Item = Finding>) -> Self {
        findings.into_iter().fold(self, Self::finding)
    }

    /// Records what the check could not see, and what it needs for it. A status of [`Ok`](CheckStatus::Ok) becomes
    /// [`Unknown`](CheckStatus::Unknown).
    pub fn unseen(mut self, what: impl Into<String>) -> Self {
        self.raise(CheckStatus::Unknown);
        self.unseen.push(what.into());
        self
    }

    /// Records that the check could not see a server, or so many tenants on it, because it does not answer. The text
    /// report says so once for all checks.
    pub(super) fn away(self, server: &str, tenants: Option<usize>) -> Self {
        let note = match tenants {
            None => format!("server {}, which does not answer", plain(server)),
            Some(tenants) => format!(
                "{} on server {}, which does not answer",
                counted(tenants, "tenant", "tenants"),
                plain(server)
            ),
        };
        let mut examined = self.unseen(note.clone());
        examined.away.insert(note, server.to_owned());
        examined
    }

    /// Sets the text that the text report shows instead of the message, such as `Found 42 tenants`.
    pub fn in_words(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Sets the start of the line in the text report, such as `Configuration file found`. Default: the title of the
    /// check.
    pub fn heading(mut self, heading: impl Into<String>) -> Self {
        self.heading = Some(heading.into());
        self
    }

    /// Sets how long the database took to respond: `latencyMs` in JSON.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Returns the status of the check.
    #[must_use]
    pub fn status(&self) -> CheckStatus {
        self.status
    }

    /// Returns the short summary.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Changes every warning and every error to this severity.
    pub(super) fn with_severity(mut self, severity: Severity) -> Self {
        if matches!(self.status, CheckStatus::Warn | CheckStatus::Error) {
            self.status = CheckStatus::of(severity);
            if !self.unseen.is_empty() {
                self.raise(CheckStatus::Unknown);
            }
        }
        let worse = self.findings.iter_mut().filter(|finding| finding.severity > Severity::Info);
        worse.for_each(|finding| finding.severity = severity);
        self
    }

    pub(super) fn raise(&mut self, status: CheckStatus) {
        if status.rank() > self.status.rank() {
            self.status = status;
        }
    }
}

/// Writes an error with all its sources, without repetitions.
pub(crate) fn error_in_words(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let info = || Finding::info("a", "b");
        let warning = || Finding::warning("a", "b");
        let error = || Finding::error("a", "b");
        for (examined, status) in [
            (Examined::ok("").finding(info()), CheckStatus::Ok),
            (Examined::ok("").finding(error()).finding(warning()), CheckStatus::Error),
            (Examined::ok("").unseen("x"), CheckStatus::Unknown),
            (Examined::ok("").unseen("x").finding(info()), CheckStatus::Unknown),
            (Examined::ok("").finding(warning()).unseen("x"), CheckStatus::Warn),
            (Examined::unknown("").finding(warning()), CheckStatus::Warn),
        ] {
            assert_eq!(examined.status(), status, "{examined:?}");
        }
    }

    #[test]
    fn another_severity_changes_what_was_wrong() {
        let found = || Examined::ok("").finding(Finding::warning("a", "b"));
        for (severity, status) in [
            (Severity::Info, CheckStatus::Ok),
            (Severity::Warning, CheckStatus::Warn),
            (Severity::Error, CheckStatus::Error),
        ] {
            assert_eq!(found().with_severity(severity).status(), status);
        }
        let partly = found().unseen("x").with_severity(Severity::Info);
        assert_eq!(partly.status(), CheckStatus::Unknown);
        assert_eq!(Examined::ok("").with_severity(Severity::Error).status(), CheckStatus::Ok);
    }
}
