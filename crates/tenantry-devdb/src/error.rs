//! The crate's only error type.

use std::{fmt, io, path::PathBuf};

/// Why no throwaway database is available, and what to do about it.
///
/// `Debug` prints the same text as `Display`, because this error is mostly seen through `unwrap`
/// in a test or as the result of `main`.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Cause>);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl Error {
    pub(crate) fn no_server(tried: &[String]) -> Self {
        Self::from(Cause::NoServer { tried: tried.join("\n  - ") })
    }

    pub(crate) fn pg_bin(folder: PathBuf, problem: String) -> Self {
        Self::from(Cause::PgBin { folder, problem })
    }

    pub(crate) fn database_url(problem: &'static str) -> Self {
        Self::from(Cause::DatabaseUrl { problem })
    }

    pub(crate) fn failed(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::from(Cause::Failed { what: what.into(), detail: detail.into() })
    }

    /// Prefixes the message with what was attempted.
    pub(crate) fn under(self, what: &'static str) -> Self {
        Self::from(Cause::Under { what, source: self })
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::from(Cause::Io { what, source })
    }

    pub(crate) fn sql(what: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let what = what.into();
        move |source| Self::from(Cause::Sql { what, source })
    }

    pub(crate) fn setup(source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::from(Cause::Setup { source })
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self(Box::new(cause))
    }
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(
        "no PostgreSQL server is available
tried:
  - {tried}
do one of the following:
  - install PostgreSQL (`apt install postgresql`, `dnf install postgresql-server`, \
`brew install postgresql`)
  - set DATABASE_URL to a server on which you can create databases, \
e.g. postgres://user:password@localhost/postgres
  - set TENANTRY_PG_BIN to the folder that contains postgres, initdb and pg_ctl
  - enable the feature `download` of tenantry-devdb"
    )]
    NoServer { tried: String },

    #[error(
        "TENANTRY_PG_BIN is set to {folder:?}, which cannot be used: {problem}; \
set it to the folder that contains postgres, initdb and pg_ctl, or unset it"
    )]
    PgBin { folder: PathBuf, problem: String },

    #[error("DATABASE_URL is set but cannot be used: {problem}")]
    DatabaseUrl { problem: &'static str },

    #[error("{what} failed")]
    Under { what: &'static str, source: Error },

    #[error("{what} failed: {detail}")]
    Failed { what: String, detail: String },

    #[error("could not {what}")]
    Io { what: String, source: io::Error },

    #[error("could not {what}")]
    Sql { what: String, source: sqlx::Error },

    #[error("setting up the template database failed")]
    Setup { source: Box<dyn std::error::Error + Send + Sync> },
}
