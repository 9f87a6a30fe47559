//! What was found in the files of a folder.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{Finding, Rule};

/// What was found in migrations: what keeps them from being run, and what may hurt a service that is running.
///
/// As text it is a line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says which files are not run"]
pub struct LintReport {
    /// For these nothing is run.
    pub errors: Vec<FileFinding>,
    /// These are told, and keep nothing from running.
    pub warnings: Vec<FileFinding>,
    /// What was found beside these; of each file the first 50 findings are told.
    pub more: usize,
}

/// What was found in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileFinding {
    /// The file.
    pub file: Arc<str>,
    /// Its version.
    pub version: i64,
    /// Whether the file was applied in a schema already. Editing it would be a
    /// [`ChecksumMismatch`](super::super::Problem::ChecksumMismatch): [`Lint::skip`](super::Lint::skip) is the way,
    /// unless the file would break its own record. That one has to be edited, and
    /// [recorded as it is then](super::super::TenantMigrator::mark_applied).
    pub applied: bool,
    /// What it is.
    #[serde(flatten)]
    pub finding: Finding,
}

impl LintReport {
    /// Returns `true` if nothing keeps the files from being run.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns `true` if nothing was found at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty() && self.more == 0
    }

    /// Returns the warnings, or what keeps the files from being run.
    ///
    /// # Errors
    ///
    /// [`LintError`] when there are [errors](Self::errors).
    pub fn into_result(self) -> Result<Vec<FileFinding>, LintError> {
        match self.errors.is_empty() {
            true => Ok(self.warnings),
            false => Err(LintError { found: self.errors, more: self.more }),
        }
    }

    /// Returns what to do about errors in files that may have been applied somewhere.
    pub(crate) fn advice(&self) -> &'static str {
        match self.errors.iter().any(|found| found.finding.rule.keeps_the_record()) {
            true => {
                "; where a file was applied already, record it with mark_applied after the edit"
            }
            false => "; do not edit a file that was applied already: Lint::skip lets it be",
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
        self.more += other.more;
    }
}

impl FileFinding {
    /// Says whether a comment in the file is a way to turn the rule off.
    fn can_be_edited(&self) -> bool {
        !self.applied && self.finding.rule != Rule::UnknownRule
    }
}

impl fmt::Display for LintReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        lines.extend(self.errors.iter().map(|found| format!("error: {found}")));
        lines.extend(self.warnings.iter().map(|found| match found.can_be_edited() {
            true => {
                let rule = found.finding.rule.as_str();
                format!("warning: {found} (-- tenantry: allow({rule}) in the file turns this off)")
            }
            false => format!("warning: {found}"),
        }));
        let more = lines.len().saturating_sub(LINES) + self.more;
        lines.truncate(LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for FileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.file, self.finding)?;
        let Self { version, applied, finding, .. } = self;
        match (applied, finding.rule.keeps_the_record()) {
            (true, true) => write!(
                f,
                " (version {version} was applied already: after the edit, record it with mark_applied)"
            ),
            (true, false) => write!(
                f,
                " (version {version} was applied already, so do not edit it: Lint::skip({version}) lets it be)"
            ),
            (false, _) => Ok(()),
        }
    }
}

/// Findings that a report tells in words, and that an error does; all of them are in their fields.
const LINES: usize = 100;
const TOLD: usize = 20;

/// What must not be in migration files, and was found in them before anything was run.
#[derive(Clone)]
pub struct LintError {
    found: Vec<FileFinding>,
    more: usize,
}

crate::error_report::readable_debug!(LintError);

impl LintError {
    /// Returns every finding, with the name of its file; of each file the first 50.
    pub fn findings(&self) -> impl Iterator<Item = (&str, &Finding)> {
        self.found.iter().map(|found| (&*found.file, &found.finding))
    }
}

impl fmt::Display for LintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, found) in self.found.iter().take(TOLD).enumerate() {
            f.write_str(if index == 0 { "" } else { "; " })?;
            write!(f, "{found}")?;
        }
        match self.found.len().saturating_sub(TOLD) + self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for LintError {}
