use std::{error::Error as StdError, fmt, ops::Deref};

use http::StatusCode;
use tenantry::admission::{self, ResolveError};

use crate::problem::{Problem, status_of};

/// Why a request was not let in.
///
/// | [kind](admission::Rejection::kind) | status | type of the [problem](Self::problem) |
/// |---|---|---|
/// | [`Missing`](crate::RejectionKind::Missing) | 400 | `urn:problem-type:tenantry:missing-tenant` |
/// | [`Malformed`](crate::RejectionKind::Malformed) | 400 | `urn:problem-type:tenantry:malformed-tenant` |
/// | [`Unknown`](crate::RejectionKind::Unknown) | 404 | `urn:problem-type:tenantry:unknown-tenant` |
/// | [`Suspended`](crate::RejectionKind::Suspended) | 403 | `urn:problem-type:tenantry:suspended-tenant` |
/// | [`Denied`](crate::RejectionKind::Denied) | 403 | `urn:problem-type:tenantry:denied-tenant` |
/// | [`NotBound`](crate::RejectionKind::NotBound) | 403 | `urn:problem-type:tenantry:not-bound` |
/// | [`Unavailable`](crate::RejectionKind::Unavailable) | 503 | `urn:problem-type:tenantry:unavailable`, with `Retry-After` |
/// | [`Internal`](crate::RejectionKind::Internal) | 500 | `about:blank` |
///
/// A stranger can tell from 404 and 403 which tenants exist, but not which of them are suspended: that is
/// told to callers whom [`bound_to`](crate::TenantLayer::bound_to) and
/// [`authorize`](crate::TenantLayer::authorize) let in. Where that is a secret,
/// [`on_rejection`](crate::TenantLayer::on_rejection) can answer both alike.
///
/// What is underneath, the database's own words perhaps, is [`source`](StdError::source): it goes to
/// the log, at `warn` for 503 and at `error` for 500, and never into a response. `NotBound` is logged at
/// `warn` when the caller's session or token belongs to another tenant, and at `info` when there is none.
/// The other kinds are the caller's doing and are logged at `debug`.
pub struct Rejection(admission::Rejection);

impl Rejection {
    /// Makes the rejection of a request without a tenant id.
    #[must_use]
    pub fn missing() -> Self {
        Self(admission::Rejection::missing())
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        status_of(self.0.kind().status_code())
    }

    /// Returns the rejection as a problem document, safe to be sent to anybody.
    pub fn problem(&self) -> Problem {
        self.0.problem().into()
    }

    /// Writes to the log what the response does not say.
    pub(crate) fn log(&self) {
        self.0.log("request rejected");
    }
}

/// What is known of the rejection, such as its kind and the tenant.
impl Deref for Rejection {
    type Target = admission::Rejection;

    fn deref(&self) -> &admission::Rejection {
        &self.0
    }
}

impl From<admission::Rejection> for Rejection {
    fn from(rejection: admission::Rejection) -> Self {
        Self(rejection)
    }
}

impl From<ResolveError> for Rejection {
    fn from(error: ResolveError) -> Self {
        Self(error.into())
    }
}

impl From<tenantry::Error> for Rejection {
    fn from(error: tenantry::Error) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
