use http::StatusCode;
use tenantry::rejection_of_framework;

use crate::problem::Problem;

rejection_of_framework! {
    /// The reason why a request was rejected.
    ///
    /// | [kind](tenantry::admission::Rejection::kind) | status | type of the [problem](Self::problem) |
    /// |---|---|---|
    /// | [`Missing`](crate::RejectionKind::Missing) | 400 | `urn:problem-type:tenantry:missing-tenant` |
    /// | [`Malformed`](crate::RejectionKind::Malformed) | 400 | `urn:problem-type:tenantry:malformed-tenant` |
    /// | [`Unknown`](crate::RejectionKind::Unknown) | 404 | `urn:problem-type:tenantry:unknown-tenant` |
    /// | [`Suspended`](crate::RejectionKind::Suspended) | 403 | `urn:problem-type:tenantry:suspended-tenant` |
    /// | [`Denied`](crate::RejectionKind::Denied) | 403 | `urn:problem-type:tenantry:denied-tenant` |
    /// | [`NotBound`](crate::RejectionKind::NotBound) | 403 | `urn:problem-type:tenantry:not-bound` |
    /// | [`RateLimited`](crate::RejectionKind::RateLimited) | 429 | `urn:problem-type:tenantry:rate-limited`, with `Retry-After` |
    /// | [`Unavailable`](crate::RejectionKind::Unavailable) | 503 | `urn:problem-type:tenantry:unavailable`, with `Retry-After` |
    /// | [`Internal`](crate::RejectionKind::Internal) | 500 | `about:blank` |
    ///
    /// A stranger can tell from 404 and 403 which tenants exist, but not which of them are
    /// suspended: only callers that [`bound_to`](crate::TenantLayer::bound_to) and
    /// [`authorize`](crate::TenantLayer::authorize) accept learn that. If the existence of tenants
    /// is a secret, [`on_rejection`](crate::TenantLayer::on_rejection) can give both the same
    /// response.
    ///
    /// The cause, which may contain database error texts, is the
    /// [`source`](std::error::Error::source). It goes to the log, at `warn` for 503 and at `error`
    /// for 500, and never into a response. `NotBound` is logged at `warn` if the caller's session
    /// or token belongs to another tenant, and at `info` if there is none. The other kinds are the
    /// caller's mistakes and are logged at `debug`.
    pub struct Rejection(StatusCode, Problem);
}
