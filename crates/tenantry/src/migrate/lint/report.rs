//! Lint findings in a folder's files.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{Finding, Rule};

/// Lint findings in migrations: errors, which block a run, and warnings, about statements that can hurt a running
/// service.
///
/// `Display` writes one line per finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it lists the files that are not run"]
pub struct LintReport {
    /// Findings that block a run.
    pub errors: Vec<FileFinding>,
    /// Findings that are reported and do not block a run.
    pub warnings: Vec<FileFinding>,
    /// The number of further findings; up to 50 are listed per file.
    pub more: usize,
}

/// A finding in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FileFinding {
    /// The file.
    pub file: Arc<str>,
    /// Its version.
    pub version: i64,
    /// Whether the file was already applied in a schema. Editing it would cause a
    /// [`ChecksumMismatch`](super::super::Problem::ChecksumMismatch): use [`Lint::skip`](super::Lint::skip), unless
    /// the file would corrupt its own record. Such a file must be edited and then [recorded with its new
    /// checksum](super::super::TenantMigrator::mark_applied).
    pub applied: bool,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

impl LintReport {
    /// Returns `true` if no finding blocks a run.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns `true` if there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty() && self.more == 0
    }

    /// Returns the warnings, or an error with the findings that block a run.
    ///
    /// # Errors
    ///
    /// [`LintError`] if there are [errors](Self::errors).
    pub fn into_result(self) -> Result<Vec<FileFinding>, LintError> {
        match self.errors.is_empty() {
            true => Ok(self.warnings),
            false => Err(LintError { found: self.errors, more: self.more }),
        }
    }

    /// Returns advice about errors in files that may already be applied.
    pub(crate) fn advice(&self) -> &'static str {
        match self.errors.iter().any(|found| found.finding.rule.keeps_the_record()) {
            true => "; if a file was already applied, record it with mark_applied after editing it",
            false => "; do not edit a file that was already applied: use Lint::skip",
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
        self.more += other.more;
    }
}

impl FileFinding {
    /// Returns `true` if a comment in the file can turn the rule off.
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
                " (version {version} was already applied: after editing it, record it with mark_applied)"
            ),
            (true, false) => write!(
                f,
                " (version {version} was already applied, so do not edit it: use Lint::skip({version}))"
            ),
            (false, _) => Ok(()),
        }
    }
}

/// The maximum number of findings in the text of a report or an error; the fields contain all of them.
const LINES: usize = 100;
const TOLD: usize = 20;

/// Forbidden statements in migration files, found before anything was run.
#[derive(Clone)]
pub struct LintError {
    found: Vec<FileFinding>,
    more: usize,
}

crate::error_report::readable_debug!(LintError);

impl LintError {
    /// Returns every finding with the name of its file, up to 50 per file.
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
