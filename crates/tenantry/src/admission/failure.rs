use std::{error::Error as StdError, fmt};

use super::{Problem, RejectionKind, statement_problem};
use crate::{
    error::{Error, ErrorKind},
    error_report::{ErrorReport, chain},
};

/// The reason why a handler failed: the content of an adapter's `DbError`.
///
/// It determines the response and the log line, so that all adapters agree.
pub struct Failure(Why);

enum Why {
    Error {
        error: Error,
        /// `true` if statements that the database refused have a dedicated status.
        is_mapped: bool,
    },
    Problem(Problem),
}

impl Failure {
    /// Answers refused statements according to [`statement_problem`]. By default they are a 500.
    #[must_use]
    pub fn mapped(self) -> Self {
        match self.0 {
            Why::Error { error, .. } => Self(Why::Error { error, is_mapped: true }),
            other => Self(other),
        }
    }

    /// Returns the error; `None` if the application chose the response itself.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.0 {
            Why::Error { error, .. } => Some(error),
            Why::Problem(_) => None,
        }
    }

    /// Returns the kind of the error; `None` if the application chose the response itself.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        self.error().map(Error::kind)
    }

    /// Returns the name of the violated constraint or unique index.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.error()?.constraint()
    }

    /// Returns the table of a violated constraint.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.error()?.table()
    }

    /// Returns the name of the column that must not be null.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.error()?.column()
    }

    /// Returns `true` if a query expected a row and found none.
    #[must_use]
    pub fn is_row_not_found(&self) -> bool {
        self.kind() == Some(ErrorKind::RowNotFound)
    }

    /// Returns `true` if a row with this key already exists.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.kind() == Some(ErrorKind::UniqueViolation)
    }

    /// Returns `true` if a row with this key already exists, according to the constraint or unique
    /// index of this name.
    #[must_use]
    pub fn is_unique_violation_of(&self, constraint: &str) -> bool {
        self.is_unique_violation() && self.constraint() == Some(constraint)
    }

    /// Returns the response as a problem document that is safe to send to any client.
    pub fn problem(&self) -> Problem {
        match &self.0 {
            Why::Error { error, is_mapped } => problem_of(error, *is_mapped),
            Why::Problem(problem) => problem.clone(),
        }
    }

    /// Logs the details that the response omits: at `error` for a 500, at `warn` for a 503,
    /// otherwise at `debug`.
    pub fn log(&self) {
        log(self, self.error(), self.problem().status_code());
    }

    /// Returns the response for the first error in a chain of sources that is a `Failure` of the
    /// adapter, an error of this crate or an sqlx error, and logs the whole chain; `None` if there
    /// is none.
    ///
    /// `of_adapter` returns the failure inside an error of the adapter.
    pub fn respond(
        error: &(dyn StdError + 'static),
        is_mapped: bool,
        of_adapter: impl for<'a> Fn(&'a (dyn StdError + 'static)) -> Option<&'a Self>,
    ) -> Option<Problem> {
        for source in chain(error) {
            let (own, problem) = if let Some(failure) = of_adapter(source) {
                let own = failure.error();
                let mapped = own.filter(|_| is_mapped).map(|error| problem_of(error, true));
                (own.map(Error::without_source), mapped.unwrap_or_else(|| failure.problem()))
            } else if let Some(own) = Error::described(source) {
                let problem = problem_of(&own, is_mapped);
                (Some(own), problem)
            } else {
                continue;
            };
            log(error, own.as_ref(), problem.status_code());
            return Some(problem);
        }
        None
    }
}

fn problem_of(error: &Error, is_mapped: bool) -> Problem {
    match is_mapped.then(|| statement_problem(error.kind())).flatten() {
        Some(problem) => problem,
        None => RejectionKind::from(error).problem_for(error.tenant(), error.retry_after()),
    }
}

fn log(error: &(dyn StdError + 'static), own: Option<&Error>, status: u16) {
    let tenant = own.and_then(Error::tenant).map(|tenant| tenant.as_str());
    let error = tracing::field::display(ErrorReport::new(error));
    match status {
        503 => tracing::warn!(tenant, error, "request failed"),
        500.. => tracing::error!(tenant, error, "request failed"),
        _ => tracing::debug!(tenant, error, "request failed"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(Why::Error { error, is_mapped: false })
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Why::Problem(problem))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Error { error, .. } => fmt::Display::fmt(error, f),
            Why::Problem(problem) => fmt::Display::fmt(problem, f),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Error { error, .. } => fmt::Debug::fmt(error, f),
            Why::Problem(problem) if f.alternate() => fmt::Debug::fmt(problem, f),
            Why::Problem(problem) => fmt::Display::fmt(problem, f),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error().and_then(StdError::source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ErrorKind) -> Failure {
        Error::new(kind, "secret words").with_source("secret words").into()
    }

    #[test]
    fn is_opaque_unless_it_is_mapped() {
        for (kind, plain, mapped) in [
            (ErrorKind::UniqueViolation, 500, 409),
            (ErrorKind::RowNotFound, 500, 404),
            (ErrorKind::Deadlock, 500, 503),
            (ErrorKind::Database, 500, 500),
            (ErrorKind::Timeout, 503, 503),
            (ErrorKind::UnknownTenant, 404, 404),
        ] {
            for (failure, status) in [(of(kind), plain), (of(kind).mapped(), mapped)] {
                let problem = failure.problem();
                assert_eq!(problem.status_code(), status, "{kind:?}");
                assert!(!problem.to_json().contains("secret words"), "{kind:?}");
                assert_eq!(failure.kind(), Some(kind));
            }
        }
    }

    #[test]
    fn an_application_can_choose_the_response() {
        let problem = Problem::new(402, "Payment Required").detail("the plan has ended");
        let failure = Failure::from(problem.clone()).mapped();
        assert_eq!((failure.problem(), failure.kind()), (problem, None));
        assert_eq!(failure.to_string(), "402 Payment Required: the plan has ended");
        assert_eq!(format!("{failure:?}"), "402 Payment Required: the plan has ended");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("showing the dashboard")]
    struct Outer(#[source] Box<dyn StdError + Send + Sync>);

    #[test]
    fn keeps_the_status_under_other_errors() {
        let respond = |error: Box<dyn StdError + Send + Sync>, mapped| {
            let problem = Failure::respond(&Outer(error), mapped, |error| error.downcast_ref());
            problem.map(|problem| problem.status_code())
        };
        let unique = || of(ErrorKind::UniqueViolation);
        assert_eq!(respond(Box::new(of(ErrorKind::Timeout)), false), Some(503));
        assert_eq!(respond(Box::new(unique()), false), Some(500));
        assert_eq!(respond(Box::new(unique()), true), Some(409));
        assert_eq!(respond(Box::new(unique().mapped()), false), Some(409));
        let teapot = Failure::from(Problem::new(418, "I'm a teapot"));
        assert_eq!(respond(Box::new(teapot), true), Some(418));
        assert_eq!(respond(Box::new(Error::new(ErrorKind::Closed, "x")), false), Some(503));
        assert_eq!(respond("something else".into(), true), None);
    }
}
