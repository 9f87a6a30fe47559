use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use super::{AuthorizeError, Problem, RejectionKind, ResolveError};
use crate::{error::Error, tenant::TenantId};

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
/// What is underneath, the database's own words perhaps, is [`source`](StdError::source): it goes to
/// the [log](Self::log), and never into a response.
#[derive(Debug)]
pub struct Rejection {
    kind: RejectionKind,
    tenant: Option<TenantId>,
    cause: Option<Cause>,
}

#[derive(Debug)]
enum Cause {
    Resolve(ResolveError),
    Core(Error),
}

/// For errors of load that do not say it themselves.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Rejection {
    /// Makes the rejection of a request without a tenant id.
    #[must_use]
    pub fn missing() -> Self {
        Self { kind: RejectionKind::Missing, tenant: None, cause: None }
    }

    /// Makes the rejection of a caller that was not let in to this tenant.
    #[must_use]
    pub fn unauthorized(tenant: &TenantId, error: AuthorizeError) -> Self {
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

    /// Returns what stood in the way of serving the request, unless it was the request itself.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.cause {
            Some(Cause::Core(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns how long the caller should stay away, for [`RejectionKind::Unavailable`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let known = self.error().and_then(Error::retry_after);
        (self.kind == RejectionKind::Unavailable).then(|| known.unwrap_or(RETRY_AFTER))
    }

    /// Returns the rejection as a problem document, safe to be sent to anybody.
    pub fn problem(&self) -> Problem {
        let problem = self.kind.problem().detail(self.detail());
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

    /// Writes to the log what the response does not say, after what has come of the request.
    ///
    /// 500 is an error and 503 a warning; the others are the caller's doing and logged at `debug`.
    pub fn log(&self, outcome: &'static str) {
        let error: &(dyn StdError + 'static) = self;
        match self.kind {
            RejectionKind::Internal => tracing::error!(error, "{outcome}"),
            RejectionKind::Unavailable => tracing::warn!(error, "{outcome}"),
            _ => tracing::debug!(error, "{outcome}"),
        }
    }
}

impl From<ResolveError> for Rejection {
    fn from(error: ResolveError) -> Self {
        Self { kind: RejectionKind::Malformed, tenant: None, cause: Some(Cause::Resolve(error)) }
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self {
            kind: RejectionKind::from(&error),
            tenant: error.tenant().cloned(),
            cause: Some(Cause::Core(error)),
        }
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
