use tenantry::{
    TenantManager,
    ops::{Ops, OpsOptions, RegisterError},
};

use super::OpsService;

/// Makes the routes `/health`, `/livez`, `/readyz` and `/metrics`, with the defaults of [`OpsScope`].
///
/// They go beside the scope of tenants and need no tenant. None of them names one. A
/// [`TenantMiddleware`](crate::TenantMiddleware) around the whole [`App`](actix_web::App) would cover
/// them, too: wrap a scope instead.
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
/// use actix_web::{App, HttpServer};
/// use tenantry::{MetricsOptions, TenantManager};
/// use tenantry_actix::OpsScope;
///
/// # fn example(manager: TenantManager, password: &str) -> Result<(), Box<dyn std::error::Error>> {
/// // The figures of the application are in this registry, too.
/// let registry = prometheus::Registry::new();
/// // Once, and not in each worker: a registry takes the same metrics only once.
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
#[must_use = "it does nothing until it is made a service"]
pub struct OpsScope {
    pub(super) options: OpsOptions,
}

tenantry::ops_options_of_framework!(OpsScope);

impl OpsScope {
    /// Makes the routes, for [`App::service`](actix_web::App::service) or
    /// [`Scope::service`](actix_web::Scope::service).
    ///
    /// # Errors
    ///
    /// [`RegisterError`] when the registry has metrics of the same names already, as
    /// it has when every worker makes the routes anew: make them once and clone them. Without a
    /// registry it does not fail.
    pub fn into_service(self) -> Result<OpsService, RegisterError> {
        Ok(OpsService::new(self.options.build()?))
    }
}
