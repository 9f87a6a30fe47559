use std::{borrow::Cow, time::Duration};

use super::Problem;
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    tenant::TenantId,
};

/// The kind of a [`Rejection`](super::Rejection).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request has no tenant id.
    Missing,
    /// The request contains an invalid tenant id, or more than one.
    Malformed,
    /// The tenant does not exist.
    Unknown,
    /// The tenant is suspended.
    Suspended,
    /// The caller may not use the tenant.
    Denied,
    /// The caller's session or token belongs to another tenant, or to none.
    NotBound,
    /// The tenant sends more requests per second than it may.
    RateLimited,
    /// No connection was available in time, the database is down, or the program is shutting down.
    Unavailable,
    /// A permanent failure.
    Internal,
}

impl RejectionKind {
    /// Returns the status of the response.
    #[must_use]
    pub fn status_code(self) -> u16 {
        match self {
            Self::Missing | Self::Malformed => 400,
            Self::Unknown => 404,
            Self::Suspended | Self::Denied | Self::NotBound => 403,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// Creates the problem of this kind, without details.
    pub(super) fn problem(self) -> Problem {
        let (name, title) = match self {
            Self::Missing => ("urn:problem-type:tenantry:missing-tenant", "No tenant was named"),
            Self::Malformed => {
                ("urn:problem-type:tenantry:malformed-tenant", "Malformed tenant id")
            }
            Self::Unknown => ("urn:problem-type:tenantry:unknown-tenant", "Unknown tenant"),
            Self::Suspended => {
                ("urn:problem-type:tenantry:suspended-tenant", "Tenant is suspended")
            }
            Self::Denied => {
                ("urn:problem-type:tenantry:denied-tenant", "Tenant is not the caller's")
            }
            Self::NotBound => {
                ("urn:problem-type:tenantry:not-bound", "Not signed in to this tenant")
            }
            Self::RateLimited => {
                ("urn:problem-type:tenantry:rate-limited", "Too many requests of the tenant")
            }
            Self::Unavailable => {
                ("urn:problem-type:tenantry:unavailable", "Temporarily unavailable")
            }
            // The client cannot do anything about it.
            Self::Internal => ("about:blank", "Internal Server Error"),
        };
        Problem::new(self.status_code(), title).kind(name, title)
    }
}

impl RejectionKind {
    /// Returns the retry delay for the caller, for [`RejectionKind::RateLimited`] and
    /// [`RejectionKind::Unavailable`].
    pub(super) fn retry_after(self, known: Option<Duration>) -> Option<Duration> {
        let passes = matches!(self, Self::RateLimited | Self::Unavailable);
        passes.then(|| known.unwrap_or(RETRY_AFTER))
    }

    /// Creates the complete problem of this kind.
    pub(super) fn problem_for(
        self,
        tenant: Option<&TenantId>,
        retry_after: Option<Duration>,
    ) -> Problem {
        let problem = self.problem().detail(self.detail(tenant));
        match self.retry_after(retry_after) {
            Some(after) => problem.retry_after(after),
            None => problem,
        }
    }

    /// Returns the message for the client, which names only the tenant.
    pub(super) fn detail(self, tenant: Option<&TenantId>) -> Cow<'static, str> {
        let whose = || match tenant {
            Some(tenant) => format!("tenant {tenant}"),
            None => "the tenant".to_owned(),
        };
        match self {
            Self::Missing => "the request does not name a tenant".into(),
            Self::Malformed => "not a valid tenant id: use 1–63 letters, digits, `-` or `_`".into(),
            Self::Unknown => format!("{} does not exist", whose()).into(),
            Self::Suspended => format!("{} is suspended", whose()).into(),
            Self::Denied => format!("the caller may not use {}", whose()).into(),
            Self::NotBound => format!("the caller is not signed in to {}", whose()).into(),
            Self::RateLimited => format!("{} sends too many requests", whose()).into(),
            Self::Unavailable => "the request could not be served in time".into(),
            Self::Internal => "the request could not be served".into(),
        }
    }
}

impl From<&Error> for RejectionKind {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidTenantId => Self::Malformed,
            ErrorKind::UnknownTenant => Self::Unknown,
            ErrorKind::Suspended => Self::Suspended,
            ErrorKind::RateLimited => Self::RateLimited,
            // A closed manager belongs to a program that shuts down: its successor may answer.
            ErrorKind::Closed
            | ErrorKind::Unavailable
            | ErrorKind::StatementTimeout
            | ErrorKind::TransactionPooler
            // The next request looks the tenant up again.
            | ErrorKind::StaleHandle => Self::Unavailable,
            _ if error.is_transient() => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}
