use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use super::{AuthorizeError, Problem, RejectionKind, ResolveError, bound::NotBound};
use crate::{
    error::Error,
    error_report::{ErrorReport, readable_debug},
    tenant::TenantId,
};

/// The reason why a request was not admitted.
///
/// | [kind](Self::kind) | status | type of the [problem](Self::problem) |
/// |---|---|---|
/// | [`Missing`](RejectionKind::Missing) | 400 | `urn:problem-type:tenantry:missing-tenant` |
/// | [`Malformed`](RejectionKind::Malformed) | 400 | `urn:problem-type:tenantry:malformed-tenant` |
/// | [`Unknown`](RejectionKind::Unknown) | 404 | `urn:problem-type:tenantry:unknown-tenant` |
/// | [`Suspended`](RejectionKind::Suspended) | 403 | `urn:problem-type:tenantry:suspended-tenant` |
/// | [`Denied`](RejectionKind::Denied) | 403 | `urn:problem-type:tenantry:denied-tenant` |
/// | [`NotBound`](RejectionKind::NotBound) | 403 | `urn:problem-type:tenantry:not-bound` |
/// | [`RateLimited`](RejectionKind::RateLimited) | 429 | `urn:problem-type:tenantry:rate-limited`, with `Retry-After` |
/// | [`Unavailable`](RejectionKind::Unavailable) | 503 | `urn:problem-type:tenantry:unavailable`, with `Retry-After` |
/// | [`Internal`](RejectionKind::Internal) | 500 | `about:blank` |
///
/// The cause, possibly with text from the database, is [`source`](StdError::source): it is written
/// to the [log](Self::log), and never to a response.
pub struct Rejection {
    kind: RejectionKind,
    tenant: Option<TenantId>,
    cause: Option<Cause>,
}

#[derive(Debug)]
enum Cause {
    Resolve(ResolveError),
    NotBound(NotBound),
    Core(Error),
}

impl Rejection {
    /// Creates the rejection of a request without a tenant id.
    #[must_use]
    pub fn missing() -> Self {
        Self { kind: RejectionKind::Missing, tenant: None, cause: None }
    }

    /// Creates the rejection of a caller that was not admitted to this tenant.
    #[must_use]
    pub fn unauthorized(tenant: &TenantId, error: AuthorizeError) -> Self {
        let denied =
            Self { kind: RejectionKind::Denied, tenant: Some(tenant.clone()), cause: None };
        match error {
            AuthorizeError::Denied => denied,
            AuthorizeError::Failed(error) => Self::from(error),
        }
    }

    /// Creates the rejection of a caller whose session or token does not belong to this tenant.
    pub(super) fn not_bound(tenant: &TenantId, cause: NotBound) -> Self {
        let cause = Some(Cause::NotBound(cause));
        Self { kind: RejectionKind::NotBound, tenant: Some(tenant.clone()), cause }
    }

    /// Returns the kind of the rejection.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the requested tenant, if the id was well-formed.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// Returns the error that prevented the request from being served, unless the request itself
    /// was the cause.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.cause {
            Some(Cause::Core(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns the retry delay for the caller, for [`RejectionKind::RateLimited`] and
    /// [`RejectionKind::Unavailable`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.kind.retry_after(self.error().and_then(Error::retry_after))
    }

    /// Returns the rejection as a problem document that is safe to send to any client.
    pub fn problem(&self) -> Problem {
        let known = self.error().and_then(Error::retry_after);
        self.kind.problem_for(self.tenant(), known).detail(self.detail())
    }

    fn detail(&self) -> Cow<'static, str> {
        match &self.cause {
            Some(Cause::Resolve(error)) => error.to_string().into(),
            _ => self.kind.detail(self.tenant()),
        }
    }

    /// Logs the details that the response omits: the tenant and all causes.
    ///
    /// A 500 is logged as an error and a 503 as a warning. A caller with the session or token of
    /// another tenant is also a warning. One without any is logged at `info`, because a misplaced
    /// session layer looks like that. Other rejections are caused by the caller and logged at
    /// `debug`.
    pub fn log(&self, outcome: &'static str) {
        let tenant = self.tenant().map(TenantId::as_str);
        let error = tracing::field::display(ErrorReport::new(self));
        match (self.kind, &self.cause) {
            (RejectionKind::Internal, _) => tracing::error!(tenant, error, "{outcome}"),
            (RejectionKind::Unavailable, _)
            | (_, Some(Cause::NotBound(NotBound::OtherTenant(_)))) => {
                tracing::warn!(tenant, error, "{outcome}");
            }
            (_, Some(Cause::NotBound(NotBound::NoTenant))) => {
                tracing::info!(tenant, error, "{outcome}");
            }
            _ => tracing::debug!(tenant, error, "{outcome}"),
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

readable_debug!(Rejection);

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl StdError for Rejection {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self.cause.as_ref()? {
            Cause::Resolve(error) => Some(error),
            Cause::NotBound(error) => Some(error),
            Cause::Core(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::ErrorKind, tenant::ParseTenantIdError};

    fn core(kind: ErrorKind) -> Rejection {
        let acme = TenantId::parse("acme").unwrap();
        Error::new(kind, "secret words").with_tenant(&acme).with_source("secret words").into()
    }

    #[test]
    fn each_kind_has_its_document() {
        let acme = TenantId::parse("acme").unwrap();
        let denied = Rejection::unauthorized(&acme, AuthorizeError::Denied);
        let not_bound = Rejection::not_bound(&acme, NotBound::NoTenant);
        let malformed = Rejection::from(ResolveError::from(ParseTenantIdError::Empty));
        let urn = "urn:problem-type:tenantry:";
        for (rejection, status, name, detail) in [
            (Rejection::missing(), 400, "missing-tenant", "does not name a tenant"),
            (malformed, 400, "malformed-tenant", "tenant id is empty"),
            (core(ErrorKind::InvalidTenantId), 400, "malformed-tenant", "not a valid tenant id"),
            (core(ErrorKind::UnknownTenant), 404, "unknown-tenant", "tenant acme does not exist"),
            (core(ErrorKind::Suspended), 403, "suspended-tenant", "tenant acme is suspended"),
            (denied, 403, "denied-tenant", "the caller may not use tenant acme"),
            (not_bound, 403, "not-bound", "the caller is not signed in to tenant acme"),
            (
                core(ErrorKind::RateLimited),
                429,
                "rate-limited",
                "tenant acme sends too many requests",
            ),
            (core(ErrorKind::Timeout), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::Overloaded), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::Unavailable), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::Catalog), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::Closed), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::TransactionPooler), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::Busy), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::StaleHandle), 503, "unavailable", "could not be served in time"),
            (core(ErrorKind::NameInUse), 503, "unavailable", "could not be served in time"),
        ] {
            let problem = rejection.problem();
            assert_eq!(problem.status_code(), status, "{rejection:?}");
            assert_eq!(rejection.kind().status_code(), status);
            assert_eq!(problem.retry_after_seconds(), matches!(status, 429 | 503).then_some(1));
            let document = problem.to_json();
            assert!(document.contains(&format!(r#""type":"{urn}{name}""#)), "{document}");
            assert!(document.contains(detail), "{document}");
            assert!(!document.contains("secret words"), "{document}");
        }
    }

    #[test]
    fn what_nobody_can_do_something_about_says_nothing() {
        let kinds = [
            ErrorKind::Placement,
            ErrorKind::IdleInTransaction,
            ErrorKind::NestedAcquire,
            ErrorKind::BehindPooler,
            ErrorKind::Config,
            ErrorKind::NoTenant,
            ErrorKind::Database,
            ErrorKind::UniqueViolation,
            ErrorKind::ForeignKeyViolation,
            ErrorKind::NotNullViolation,
            ErrorKind::CheckViolation,
            ErrorKind::InvalidValue,
            ErrorKind::ExclusionViolation,
            ErrorKind::Deadlock,
            ErrorKind::SerializationFailure,
            ErrorKind::LockNotAvailable,
            ErrorKind::Cancelled,
            ErrorKind::PermissionDenied,
            ErrorKind::ReadOnly,
            ErrorKind::TenantExists,
            ErrorKind::StoredName,
            ErrorKind::Migration,
            ErrorKind::Seed,
            ErrorKind::Clone,
            ErrorKind::Move,
            ErrorKind::RowsFile,
            ErrorKind::Archive,
            ErrorKind::Merge,
            ErrorKind::Hook,
        ];
        for kind in kinds {
            let problem = core(kind).problem();
            let document = r#"{"detail":"the request could not be served","status":500,"title":"Internal Server Error","type":"about:blank"}"#;
            assert_eq!(problem.to_json(), document);
            assert_eq!(problem.retry_after_seconds(), None);
        }
    }

    #[test]
    fn a_hook_that_cannot_tell_is_no_denial() {
        let acme = TenantId::parse("acme").unwrap();
        let failed = AuthorizeError::Failed(Error::catalog("secret words"));
        let rejection = Rejection::unauthorized(&acme, failed);
        assert_eq!(rejection.kind(), RejectionKind::Unavailable);
        assert!(rejection.error().is_some());
    }

    #[test]
    fn load_says_how_long_to_stay_away() {
        let error = Error::new(ErrorKind::Overloaded, "x").with_retry_after(Duration::from_secs(7));
        assert_eq!(Rejection::from(error).problem().retry_after_seconds(), Some(7));
    }
}
