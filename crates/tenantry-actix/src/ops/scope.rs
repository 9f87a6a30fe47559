use tenantry::{
    TenantManager,
    ops::{Ops, OpsOptions, RegisterError},
};

use super::OpsService;

/// Creates the routes `/health`, `/livez`, `/readyz` and `/metrics`, with the defaults of
/// [`OpsScope`].
///
/// They are separate from the tenants' scope, need no tenant, and name none. A
/// [`TenantMiddleware`](crate::TenantMiddleware) around the whole [`App`](actix_web::App) would
/// cover them, too: wrap a scope instead.
///
/// # Examples
///
/// ```no_run
/// use actix_web::{App, HttpServer, web};
/// use tenantry::TenantManager;
/// use tenantry_actix::{CurrentTenant, TenantMiddleware, ops_scope};
///
/// async fn serve(manager: TenantManager) -> std::io::Result<()> {
///     HttpServer::new(move || {
///         let tenant = async |CurrentTenant(tenant): CurrentTenant| tenant.id().to_string();
///         App::new().service(ops_scope(manager.clone())).service(
///             // Last, for it takes every other path.
///             web::scope("")
///                 .wrap(TenantMiddleware::new(manager.clone()))
///                 .route("/tenant", web::get().to(tenant)),
///         )
///     })
///     .bind(("127.0.0.1", 3000))?
///     .run()
///     .await
/// }
/// ```
#[must_use = "routes do nothing until they are in an app"]
pub fn ops_scope(manager: TenantManager) -> OpsService {
    OpsService::new(Ops::new(manager))
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
/// use actix_web::{App, HttpServer};
/// use tenantry::{MetricsOptions, TenantManager};
/// use tenantry_actix::OpsScope;
///
/// # fn example(manager: TenantManager, password: &str) -> Result<(), Box<dyn std::error::Error>> {
/// // This registry also contains the application's metrics.
/// let registry = prometheus::Registry::new();
/// // Once, not in each worker: a registry accepts the same metrics only once.
/// let ops = OpsScope::new(manager)
///     .metrics(MetricsOptions::default().tenant_labels(20).runtime(true))
///     .registry(registry)
///     .basic_auth("prometheus", password)
///     .ping_timeout(Duration::from_millis(800))
///     .into_service()?;
/// let server = HttpServer::new(move || App::new().service(ops.clone()));
/// # let _ = server.bind(("127.0.0.1", 9000));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until it is built into a service"]
pub struct OpsScope {
    pub(super) options: OpsOptions,
}

tenantry::ops_options_of_framework!(OpsScope);

impl OpsScope {
    /// Builds the routes, for [`App::service`](actix_web::App::service) or
    /// [`Scope::service`](actix_web::Scope::service).
    ///
    /// # Errors
    ///
    /// [`RegisterError`] if the registry already has metrics of the same names. That happens if
    /// every worker builds the routes: build them once and clone them. Never fails without a
    /// registry.
    pub fn into_service(self) -> Result<OpsService, RegisterError> {
        Ok(OpsService::new(self.options.build()?))
    }
}
