use std::fmt;

use serde::Serialize;

use super::RowsFinding;
use crate::{
    error::{Error, ErrorKind},
    finding::Severity,
    tenant::Ident,
};

/// Result of [`verify_rows`](crate::TenantManager::verify_rows).
///
/// `Display` writes a line of counts, and a line for each finding.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it lists ways around the policies; `into_result` converts them to an error"]
pub struct RowsReport {
    /// The schema of the tables.
    pub schema: Ident,
    /// The number of tables that have the tenant column, on all servers.
    pub tables: usize,
    /// The role whose sessions the server was asked about: that of tenants' sessions.
    pub role: String,
    /// Tables to which the server applies no policy for that role, for whatever reason. Those of a further server have
    /// its name in front: `eu-1: users`.
    pub unfiltered: Vec<String>,
    /// The findings, errors first.
    pub findings: Vec<RowsFinding>,
}

impl RowsReport {
    /// Adds the report of a further server.
    pub(super) fn add(&mut self, server: &str, further: Self) {
        self.tables += further.tables;
        self.unfiltered.extend(further.unfiltered.iter().map(|table| format!("{server}: {table}")));
        self.findings.extend(further.findings.into_iter().map(|found| found.on(server)));
        self.findings.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
    }

    /// Returns the findings by which a tenant can reach another one.
    pub fn errors(&self) -> impl Iterator<Item = &RowsFinding> {
        self.findings.iter().filter(|found| found.finding.severity == Severity::Error)
    }

    /// Returns the report, or an error that contains it if a tenant can reach another one.
    ///
    /// # Errors
    ///
    /// [`UnsafeRows`], which becomes an [`Error`] of [`ErrorKind::Config`].
    pub fn into_result(self) -> Result<Self, UnsafeRows> {
        match self.errors().count() {
            0 => Ok(self),
            _ => Err(UnsafeRows(Box::new(self))),
        }
    }
}

impl fmt::Display for RowsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, tables, findings, .. } = self;
        let noun = if *tables == 1 { "table" } else { "tables" };
        write!(f, "{tables} {noun} in {schema}, {} findings", findings.len())?;
        findings.iter().try_for_each(|finding| write!(f, "\n{finding}"))
    }
}

/// Rows of tenants are not kept apart: the source of the error that
/// [`refuse_unsafe_rows`](crate::TenantManager::refuse_unsafe_rows) returns.
///
/// `Display` writes a sentence for each finding that is an error, with what to do.
pub struct UnsafeRows(Box<RowsReport>);

impl UnsafeRows {
    /// Returns the report.
    pub fn report(&self) -> &RowsReport {
        &self.0
    }
}

impl fmt::Display for UnsafeRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.errors().count();
        let noun = if count == 1 { "way" } else { "ways" };
        write!(f, "{count} {noun} around the policies in {}", self.0.schema)?;
        self.0.errors().try_for_each(|found| write!(f, "\n{found}"))
    }
}

crate::error_report::readable_debug!(UnsafeRows);

impl std::error::Error for UnsafeRows {}

impl From<UnsafeRows> for Error {
    fn from(unsafe_rows: UnsafeRows) -> Self {
        let attempted = "tenants' rows are not kept apart, see the source of this error";
        Self::new(ErrorKind::Config, attempted).with_source(unsafe_rows)
    }
}
