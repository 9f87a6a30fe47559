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

/// Makes the routes `/health`, `/livez`, `/readyz` and `/metrics`, with the defaults of [`OpsRoutes`].
///
/// They go beside the routes of tenants and need no tenant. None of them names one.
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

/// Configures the routes for those who operate a service.
///
/// | route | answers | status |
/// |---|---|---|
/// | `GET /health` | a [`HealthReport`](tenantry::HealthReport) as JSON | 200 when `healthy`, else 503 |
/// | `GET /livez` | `ok`, and touches nothing outside of the process | 200 |
/// | `GET /readyz` | `{"status":"ok"}`, `degraded` or `unhealthy` | 200 when requests can be served, else 503 |
/// | `GET /metrics` | the figures of the [`MetricsCollector`](tenantry::MetricsCollector) | 200; 401 without the [credentials](Self::basic_auth) |
///
/// One tenant in trouble makes none of them fail: a load balancer must not take a whole instance away
/// because of it. A manager that is [closing](TenantManager::close) is not ready.
///
/// Callers can ask the routes often without using up connections: each route checks the
/// database one time after the other, eight times in a row and then once a second, and those who ask
/// more often share the last answer. No answer holds the words of the database, nor its address. With [`tenant_details`](Self::tenant_details) and with
/// [tenant labels](MetricsOptions::tenant_labels) the answers name tenants: then keep the routes to a
/// port that customers cannot reach.
///
/// Metrics are written in Prometheus' text format 0.0.4, whatever the request accepts: the crate
/// `prometheus` cannot write OpenMetrics. Every Prometheus reads it.
///
/// No answer is to be stored: all have `Cache-Control: no-store`.
///
/// # Probes
///
/// A liveness probe asks `/livez`. Point it at nothing else: restarting all instances does not bring a
/// database back, and they would all connect at once when it is. A readiness probe asks `/readyz`.
/// Kubernetes waits one second for an answer unless `timeoutSeconds` says otherwise; let it be longer
/// than the [ping timeout](Self::ping_timeout), or the answer is never seen.
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
/// // The figures of the application are in this registry, too.
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
#[must_use = "it does nothing until it is made a router"]
pub struct OpsRoutes {
    pub(super) options: OpsOptions,
}

tenantry::ops_options_of_framework!(OpsRoutes);

impl OpsRoutes {
    /// Makes the router, to be [merged](Router::merge) into any other.
    ///
    /// # Errors
    ///
    /// [`RegisterError`] when the registry has metrics of the same names already.
    /// Without one it does not fail.
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
        // Not around the fallback: it would become the fallback of the router that merges the routes.
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
