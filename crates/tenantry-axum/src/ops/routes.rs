use axum::{
    Router,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use tenantry::{
    TenantManager,
    ops::{Answer, Ops, OpsOptions, RegisterError},
};

/// Creates the routes `/health`, `/livez`, `/readyz` and `/metrics`, with the defaults of
/// [`OpsRoutes`].
///
/// They are separate from the tenants' routes, need no tenant, and name none.
///
/// # Examples
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use tenantry::TenantManager;
/// use tenantry_axum::{CurrentTenant, TenantLayer, ops_routes};
///
/// fn app(manager: TenantManager) -> Router {
///     Router::new()
///         .route("/tenant", get(async |CurrentTenant(tenant)| tenant.id().to_string()))
///         .layer(TenantLayer::new(manager.clone()))
///         .merge(ops_routes(manager))
/// }
/// ```
pub fn ops_routes<S>(manager: TenantManager) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    serve(Ops::new(manager))
}

/// Configures the routes for operators.
///
/// | route | answers | status |
/// |---|---|---|
/// | `GET /health` | a [`HealthReport`](tenantry::HealthReport) as JSON | 200 if `healthy`, otherwise 503 |
/// | `GET /livez` | `ok`, without any external check | 200 |
/// | `GET /readyz` | `{"status":"ok"}`, `degraded` or `unhealthy` | 200 if requests can be served, otherwise 503 |
/// | `GET /metrics` | the metrics of the [`MetricsCollector`](tenantry::MetricsCollector) | 200; 401 without the [credentials](Self::basic_auth) |
///
/// One failing tenant makes none of them fail: a load balancer must not remove a whole instance
/// because of it. A manager that is [closing](TenantManager::close) is not ready.
///
/// Frequent requests do not use up connections: each route runs one database check at a time, at
/// most eight in a row and then one per second, and further requests share the last answer. No
/// answer contains database error texts or the database's address. With
/// [`tenant_details`](Self::tenant_details) or [tenant labels](tenantry::MetricsOptions::tenant_labels), the
/// answers name tenants: then serve the routes only on a port that customers cannot reach.
///
/// Metrics are in Prometheus' text format 0.0.4, whatever the request accepts, because the crate
/// `prometheus` cannot write OpenMetrics. Every Prometheus version reads it.
///
/// All answers have `Cache-Control: no-store`.
///
/// # Probes
///
/// Point a liveness probe only at `/livez`: restarting all instances does not bring a database
/// back, and they would all connect at once when it returns. Point a readiness probe at `/readyz`.
/// Kubernetes waits one second for an answer unless `timeoutSeconds` is set; set it higher than the
/// [ping timeout](Self::ping_timeout), or the answer arrives too late.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use axum::Router;
/// use tenantry::{MetricsOptions, TenantManager};
/// use tenantry_axum::{OpsRoutes, RegisterError};
///
/// # fn example(manager: TenantManager, password: &str) -> Result<(), RegisterError> {
/// // This registry also contains the application's metrics.
/// let registry = prometheus::Registry::new();
/// let routes: Router = OpsRoutes::new(manager)
///     .metrics(MetricsOptions::default().tenant_labels(20).runtime(true))
///     .registry(registry)
///     .basic_auth("prometheus", password)
///     .ping_timeout(Duration::from_millis(800))
///     .into_router()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until it is built into a router"]
pub struct OpsRoutes {
    pub(super) options: OpsOptions,
}

tenantry::ops_options_of_framework!(OpsRoutes);

impl OpsRoutes {
    /// Builds the router, to be [merged](Router::merge) into another one.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] if the registry already has metrics of the same names. Never fails without
    /// a registry.
    pub fn into_router<S>(self) -> Result<Router<S>, RegisterError>
    where
        S: Clone + Send + Sync + 'static,
    {
        Ok(serve(self.options.build()?))
    }
}

fn serve<S>(ops: Ops) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let (health, live, ready, metrics) = (ops.clone(), ops.clone(), ops.clone(), ops);
    let health = async move || respond(health.health().await);
    let live = async move || respond(live.livez());
    let ready = async move || respond(ready.readyz().await);
    let metrics = async move |headers: HeaderMap| {
        let values = headers.get_all(AUTHORIZATION);
        respond(metrics.metrics(values.iter().map(HeaderValue::as_bytes)))
    };
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        // Not around the fallback, which would become the fallback of the router that merges these
        // routes.
        .route_layer(map_response(unstored))
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status_code());
    let content_type = [(CONTENT_TYPE, answer.content_type())];
    let challenge = answer.challenge().map(|challenge| [(WWW_AUTHENTICATE, challenge)]);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, content_type, challenge, answer.into_body()).into_response()
}

async fn unstored(mut response: Response) -> Response {
    let unstored = HeaderValue::from_static(Answer::CACHE_CONTROL);
    response.headers_mut().insert(CACHE_CONTROL, unstored);
    response
}
