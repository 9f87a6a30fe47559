use super::Problem;
use crate::error::{Error, ErrorKind};

/// What kind of [`Rejection`](super::Rejection) it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request has no tenant id.
    Missing,
    /// The request has something that is not a tenant id, or more than one.
    Malformed,
    /// There is no such tenant.
    Unknown,
    /// The tenant is suspended.
    Suspended,
    /// The caller may not use the tenant.
    Denied,
    /// The caller's session or token belongs to another tenant, or to none.
    NotBound,
    /// There was no connection in time, or no database, or the program is about to end.
    Unavailable,
    /// Something that waiting does not help against.
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
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// Begins the problem of this kind.
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
            Self::Unavailable => {
                ("urn:problem-type:tenantry:unavailable", "Temporarily unavailable")
            }
            // Nothing that a client could do something about.
            Self::Internal => ("about:blank", "Internal Server Error"),
        };
        Problem::new(self.status_code(), title).kind(name, title)
    }
}

impl From<&Error> for RejectionKind {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidTenantId => Self::Malformed,
            ErrorKind::UnknownTenant => Self::Unknown,
            ErrorKind::Suspended => Self::Suspended,
            // A closed manager belongs to a program that ends: its successor may answer.
            ErrorKind::Closed
            | ErrorKind::Unavailable
            | ErrorKind::StatementTimeout
            | ErrorKind::TransactionPooler
            // The next request is looked up anew.
            | ErrorKind::StaleHandle => Self::Unavailable,
            _ if error.is_transient() => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}
