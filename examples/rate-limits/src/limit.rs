//! How many requests a tenant may send.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use tenantry::TenantId;
use tenantry_axum::{Problem, TenantDb};
use tower_governor::{
    GovernorError, GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor,
};

/// How many requests a tenant may send at once.
const BURST: u32 = 5;

/// The time until it may send another one.
const PERIOD: Duration = Duration::from_secs(10);

/// Limits the requests for these routes. An outer layer must have found the tenant.
pub(crate) fn limited(routes: Router) -> anyhow::Result<Router> {
    let config = GovernorConfigBuilder::default()
        .period(PERIOD)
        .burst_size(BURST)
        .key_extractor(ByTenant)
        .finish()
        .context("the limit is zero")?;
    Ok(routes.route_layer(GovernorLayer::new(config).error_handler(refuse)))
}

/// The tenant that an outer layer found. A client cannot invent one: each existing tenant has one
/// bucket, so clients can neither bypass the limit nor fill the memory with buckets.
#[derive(Debug, Clone, Copy)]
struct ByTenant;

impl KeyExtractor for ByTenant {
    type Key = TenantId;

    fn extract<T>(&self, request: &Request<T>) -> Result<TenantId, GovernorError> {
        let db = request.extensions().get::<TenantDb>();
        db.map(|db| db.tenant().id().clone()).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// Responds in the format of the other layers.
fn refuse(error: GovernorError) -> Response<Body> {
    let problem = match error {
        // The time is in whole seconds, rounded down.
        GovernorError::TooManyRequests { wait_time, .. } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS)
                .detail("this tenant has sent too many requests")
                .retry_after(Duration::from_secs(wait_time + 1))
        }
        error => {
            tracing::error!(%error, "the limit must be inside a TenantLayer");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
    };
    problem.to_response()
}
