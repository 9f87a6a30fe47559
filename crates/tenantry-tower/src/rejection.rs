use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use http::StatusCode;
use tenantry::{ErrorKind, TenantId};

use crate::{authorize::AuthorizeError, problem::Problem, resolve::ResolveError};

/// Why a request was not let in.
///
/// | [kind](Self::kind) | status | type of the [problem](Self::problem) |
/// |---|---|---|
/// | [`Missing`](RejectionKind::Missing) | 400 | `urn:problem-type:tenantry:missing-tenant` |
/// | [`Malformed`](RejectionKind::Malformed) | 400 | `urn:problem-type:tenantry:malformed-tenant` |
/// | [`Unknown`](RejectionKind::Unknown) | 404 | `urn:problem-type:tenantry:unknown-tenant` |
/// | [`Suspended`](RejectionKind::Suspended) | 403 | `urn:problem-type:tenantry:suspended-tenant` |
/// | [`Denied`](RejectionKind::Denied) | 403 | `urn:problem-type:tenantry:denied-tenant` |
/// | [`Unavailable`](RejectionKind::Unavailable) | 503 | `urn:problem-type:tenantry:unavailable`, with `Retry-After` |
/// | [`Internal`](RejectionKind::Internal) | 500 | `about:blank` |
///
/// A stranger can tell from 404 and 403 which tenants exist. Where that is a secret,
/// [`on_rejection`](crate::TenantLayer::on_rejection) can answer both alike.
///
/// What is underneath, the database's own words perhaps, is [`source`](StdError::source): it goes to
/// the log, at `warn` for 503 and at `error` for 500, and never into a response. The other kinds are
/// the caller's doing and are logged at `debug`.
#[derive(Debug)]
pub struct Rejection {
    kind: RejectionKind,
    tenant: Option<TenantId>,
    cause: Option<Cause>,
}

/// What kind of [`Rejection`] it is.
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
    /// There was no connection in time, or no database, or the program is about to end.
    Unavailable,
    /// Something that waiting does not help against.
    Internal,
}

#[derive(Debug)]
enum Cause {
    Resolve(ResolveError),
    Core(tenantry::Error),
}

/// For errors of load that do not say it themselves.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Rejection {
    /// Makes the rejection of a request without a tenant id.
    #[must_use]
    pub fn missing() -> Self {
        Self { kind: RejectionKind::Missing, tenant: None, cause: None }
    }

    pub(crate) fn unauthorized(tenant: &TenantId, error: AuthorizeError) -> Self {
        let denied =
            Self { kind: RejectionKind::Denied, tenant: Some(tenant.clone()), cause: None };
        match error {
            AuthorizeError::Denied => denied,
            AuthorizeError::Failed(error) => Self::from(error),
        }
    }

    /// Returns what kind of rejection it is.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the tenant that was asked for, when there was a well-formed id.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Returns how long the caller should stay away, for [`RejectionKind::Unavailable`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let known = match &self.cause {
            Some(Cause::Core(error)) => error.retry_after(),
            _ => None,
        };
        (self.kind == RejectionKind::Unavailable).then(|| known.unwrap_or(RETRY_AFTER))
    }

    /// Returns the rejection as a problem document, safe to be sent to anybody.
    pub fn problem(&self) -> Problem {
        let problem = match self.kind.describe() {
            Some((uri, title)) => Problem::new(self.status()).kind(uri, title),
            None => Problem::new(self.status()),
        };
        let problem = problem.detail(self.detail());
        match self.retry_after() {
            Some(after) => problem.retry_after(after),
            None => problem,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        let whose = || match &self.tenant {
            Some(tenant) => format!("tenant {tenant}"),
            None => "the tenant".to_owned(),
        };
        match self.kind {
            RejectionKind::Missing => "the request does not say which tenant it is for".into(),
            RejectionKind::Malformed => match &self.cause {
                Some(Cause::Resolve(error)) => error.to_string().into(),
                _ => "the tenant id is not one".into(),
            },
            RejectionKind::Unknown => format!("{} does not exist", whose()).into(),
            RejectionKind::Suspended => format!("{} is suspended", whose()).into(),
            RejectionKind::Denied => format!("the caller may not use {}", whose()).into(),
            RejectionKind::Unavailable => "the request could not be served in time".into(),
            RejectionKind::Internal => "the request could not be served".into(),
        }
    }

    /// Writes to the log what the response does not say.
    pub(crate) fn log(&self) {
        let error: &(dyn StdError + 'static) = self;
        match self.kind {
            RejectionKind::Internal => tracing::error!(error, "request rejected"),
            RejectionKind::Unavailable => tracing::warn!(error, "request rejected"),
            _ => tracing::debug!(error, "request rejected"),
        }
    }
}

impl From<ResolveError> for Rejection {
    fn from(error: ResolveError) -> Self {
        Self { kind: RejectionKind::Malformed, tenant: None, cause: Some(Cause::Resolve(error)) }
    }
}

impl From<tenantry::Error> for Rejection {
    fn from(error: tenantry::Error) -> Self {
        Self {
            kind: RejectionKind::from(&error),
            tenant: error.tenant().cloned(),
            cause: Some(Cause::Core(error)),
        }
    }
}

impl From<&tenantry::Error> for RejectionKind {
    fn from(error: &tenantry::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidTenantId => Self::Malformed,
            ErrorKind::UnknownTenant => Self::Unknown,
            ErrorKind::Suspended => Self::Suspended,
            // A closed manager belongs to a program that ends: its successor may answer.
            ErrorKind::Closed | ErrorKind::Unavailable => Self::Unavailable,
            _ if error.is_transient() => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

impl RejectionKind {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Suspended | Self::Denied => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns type and title of the problem.
    fn describe(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
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
            Self::Unavailable => {
                ("urn:problem-type:tenantry:unavailable", "Temporarily unavailable")
            }
            Self::Internal => return None,
        })
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.cause.as_ref()? {
            Cause::Resolve(error) => Some(error),
            Cause::Core(error) => Some(error),
        }
    }
}
