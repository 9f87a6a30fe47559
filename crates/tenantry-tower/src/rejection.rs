use http::StatusCode;
use tenantry::rejection_of_framework;

use crate::problem::Problem;

rejection_of_framework! {
    /// Why a request was not let in.
    ///
    /// | [kind](tenantry::admission::Rejection::kind) | status | type of the [problem](Self::problem) |
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
    /// What is underneath, the database's own words perhaps, is [`source`](std::error::Error::source): it goes to
    /// the log, at `warn` for 503 and at `error` for 500, and never into a response. `NotBound` is logged at
    /// `warn` when the caller's session or token belongs to another tenant, and at `info` when there is none.
    /// The other kinds are the caller's doing and are logged at `debug`.
    pub struct Rejection(StatusCode, Problem);
}
