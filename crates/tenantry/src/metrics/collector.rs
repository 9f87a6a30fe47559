use std::{
    fmt,
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use prometheus::{
    Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{MetricsOptions, labels::Labels, metered, runtime::RuntimeFigures};
use crate::{
    event::{BreakerState, EvictReason},
    health::{Checks, HealthStatus, Summary},
    pool::{Detail, PoolSnapshot, Server},
};

/// Metrics of a manager for a [`prometheus::Registry`]; created by
/// [`TenantManager::collector`](crate::TenantManager::collector).
///
/// Durations are recorded once the first collector of a manager exists. It does not keep the
/// manager alive: without it, nothing is collected.
///
/// # Examples
///
/// ```
/// use prometheus::{Registry, TextEncoder};
/// use tenantry::{MetricsOptions, TenantManager};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = TenantManager::builder("postgres://app@localhost/saas").build()?;
/// let registry = Registry::new();
/// registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
///
/// let text = TextEncoder::new().encode_to_string(&registry.gather())?;
/// assert!(text.contains("tenantry_connections_max 20"));
/// # Ok(()) }
/// ```
///
/// # Metrics
///
/// | metric | type | meaning | in drizzle-multitenant |
/// |---|---|---|---|
/// | `tenantry_tenant_pools` | gauge | tenant pools | `pool_active_total` |
/// | `tenantry_tenant_pools_max` | gauge | maximum number of tenant pools, not counting those in use | `pool_max_total` |
/// | `tenantry_connections{state}` | gauge | connections: `idle`, `leased`, `pending` (opening or closing) | `pool_connections_total` |
/// | `tenantry_connections_max` | gauge | the budget | |
/// | `tenantry_tenant_leases` | gauge | connections in use by tenants, the shared handle and maintenance | |
/// | `tenantry_tenant_leases_max` | gauge | the maximum of these: the budget without the reserve and the connection that listens | |
/// | `tenantry_waiting_requests` | gauge | requests that wait for a connection | `pool_connections_total{state="waiting"}` |
/// | `tenantry_tenant_connections{tenant,state}` | gauge | connections of the busiest tenants: `idle`, `leased` | `pool_connections_total{tenant,state}` |
/// | `tenantry_tenant_waiting_requests{tenant}` | gauge | waiting requests of the busiest tenants | the same |
/// | `tenantry_tenant_acquires_total{tenant}` | counter | connections granted to the busiest tenants | |
/// | `tenantry_shared_initialized` | gauge | 1 once the shared schema was used | `shared_initialized` |
/// | `tenantry_shared_connections{state}` | gauge | connections bound to the shared schema | `shared_connections` |
/// | `tenantry_shared_waiting_requests` | gauge | requests that wait for the shared schema | the same |
/// | `tenantry_health_status` | gauge | 1 if the last health check found the instance healthy | `health_status` |
/// | `tenantry_health_pools{status}` | gauge | tenants in the last health check of all bound tenants: `ok`, `degraded`, `unhealthy` | `health_pools_total`, `…_degraded`, `…_unhealthy` |
/// | `tenantry_health_pools_timestamp_seconds` | gauge | time of that check, which a readiness probe does not update | |
/// | `tenantry_health_check_duration_seconds` | gauge | duration of the last health check | `health_response_time_ms` |
/// | `tenantry_health_check_timestamp_seconds` | gauge | time of the last health check | |
/// | `tenantry_acquires_total{outcome}` | counter | acquires that got a connection: `hit`, `rebind`, `open`; acquires that got none: `timeout`, `refused`, `failed` | |
/// | `tenantry_acquire_wait_seconds` | histogram | time until an acquire got its connection | |
/// | `tenantry_connection_hold_seconds` | histogram | time that a connection was leased | |
/// | `tenantry_connect_seconds` | histogram | duration of connects | |
/// | `tenantry_rebind_seconds` | histogram | duration of session resets and binds | |
/// | `tenantry_query_duration_seconds` | histogram | duration of statements on handles | |
/// | `tenantry_slow_queries_total` | counter | statements above the threshold | |
/// | `tenantry_errors_total{class}` | counter | failed acquires, statements on handles and connects, by [`ErrorClass`](crate::ErrorClass) | |
/// | `tenantry_evictions_total{reason}` | counter | evicted tenant pools | |
/// | `tenantry_retries_total{of}` | counter | retries: `connect`, `catalog`, `ready` | |
/// | `tenantry_breaker_state{state}` | gauge | 1 for the current state of the circuit breaker | |
/// | `tenantry_catalog_hits_total`, `tenantry_catalog_misses_total` | counter | look-ups of tenants | |
/// | `tenantry_catalog_stale_total` | counter | look-ups of tenants answered from stale cache entries, because the catalog did not answer | |
/// | `tenantry_hook_failures_total` | counter | hooks that failed or panicked | |
/// | `tenantry_events_dropped_total` | counter | events dropped because a queue was full | |
/// | `tenantry_migrations_total{outcome}` | counter | outcomes of schemas in migration runs: `migrated`, `reverted`, `marked`, `forgotten`, `up_to_date`, `failed`, `skipped`, `doubtful` | |
/// | `tenantry_migration_seconds` | histogram | duration for schemas with pending work for the migrator | |
/// | `tenantry_creations_total{outcome}` | counter | tenants created: `at_once`, `in_steps`, from a `spare` or a `template`, `resumed`, `clone`; and `failed` creations | |
/// | `tenantry_creation_seconds` | histogram | duration of creations, including failed ones | |
/// | `tenantry_tenants{state}` | gauge | tenants: `active`, `suspended`, as last listed in this process: by a run over all of them, a plan, or [`tenants`](crate::TenantManager::tenants) | |
/// | `tenantry_spares_ready` | gauge | ready spares when this process last checked them, without those it has used since | |
/// | `tenantry_drifted_tenants` | gauge | drifted tenants in the last comparison of [`Drift::every`](crate::drift::Drift::every) in this process; 0 before | |
///
/// The health metrics exist once a health check has run, and `tenantry_tenants` once tenants were
/// listed: a scrape does not query the database. [`process`](MetricsOptions::process) adds
/// `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`,
/// `process_virtual_memory_bytes`, `process_resident_memory_bytes`, `process_start_time_seconds`
/// and `process_threads`; [`runtime`](MetricsOptions::runtime) adds `tokio_workers`,
/// `tokio_alive_tasks`, `tokio_global_queue_depth` and `tokio_worker_busy_seconds_total`.
pub struct MetricsCollector {
    server: Weak<Server>,
    checks: Weak<Checks>,
    labels: Option<Mutex<Labels>>,
    runtime: Option<RuntimeFigures>,
    #[cfg(target_os = "linux")]
    process: Option<prometheus::process_collector::ProcessCollector>,
    /// Empty metrics, for their descriptions.
    template: Figures,
}

impl MetricsCollector {
    pub(crate) fn new(
        server: &Arc<Server>,
        checks: &Arc<Checks>,
        options: &MetricsOptions,
    ) -> Self {
        server.observer.meters.start_timing();
        Self {
            server: Arc::downgrade(server),
            checks: Arc::downgrade(checks),
            labels: (options.tenant_labels > 0)
                .then(|| Mutex::new(Labels::new(options.tenant_labels))),
            runtime: options.runtime.then(|| RuntimeFigures::new().expect(VALID)),
            #[cfg(target_os = "linux")]
            process: options.process.then(process_collector),
            template: Figures::new().expect(VALID),
        }
    }
}

const VALID: &str = "names and labels are constants that are valid";

#[cfg(target_os = "linux")]
fn process_collector() -> prometheus::process_collector::ProcessCollector {
    prometheus::process_collector::ProcessCollector::for_self()
}

impl Collector for MetricsCollector {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.template.desc();
        if self.labels.is_some() {
            all.extend(self.template.of_tenants().into_iter().flat_map(Collector::desc));
        }
        all.extend(self.runtime.iter().flat_map(RuntimeFigures::desc));
        #[cfg(target_os = "linux")]
        all.extend(self.process.iter().flat_map(Collector::desc));
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (Some(server), Some(checks)) = (self.server.upgrade(), self.checks.upgrade()) else {
            return Vec::new();
        };
        // Locked before the pool is read, so that no older snapshot follows a newer one.
        let labels = self.labels.as_ref().map(|labels| labels.lock());
        let detail = if labels.is_some() { Detail::Tenants } else { Detail::Totals };
        let mut pool = server.snapshot(detail);
        let tenants = std::mem::take(&mut pool.tenants);
        // New ones for each scrape: concurrent scrapes do not interfere, and series of evicted
        // tenants disappear.
        let figures = Figures::new().expect(VALID);
        figures.read_pool(&pool);
        figures.read_meters(&server);
        let mut all = figures.collect();
        if let Some(last) = checks.last() {
            all.extend(figures.health(&last));
        }
        if let Some(mut labels) = labels {
            for (tenant, of) in labels.update(tenants, pool.granted_to_tenants) {
                let tenant = tenant.as_str();
                set(&figures.tenant_connections, &[tenant, "idle"], of.idle);
                set(&figures.tenant_connections, &[tenant, "leased"], of.leased);
                set(&figures.tenant_waiting, &[tenant], of.waiting);
                figures.tenant_acquires.with_label_values(&[tenant]).inc_by(of.acquires);
            }
            all.extend(figures.of_tenants().into_iter().flat_map(Collector::collect));
        }
        if self.runtime.is_some() {
            all.extend(RuntimeFigures::collect(server.runtime()).expect(VALID));
        }
        #[cfg(target_os = "linux")]
        all.extend(self.process.iter().flat_map(Collector::collect));
        all.extend(metered::families(&server.observer.meters));
        all
    }
}

impl fmt::Debug for MetricsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsCollector")
            .field("tenant_labels", &self.labels.is_some())
            .finish_non_exhaustive()
    }
}

/// Metrics that are read from the pool's counters at collection time.
struct Figures {
    pools: IntGauge,
    pools_max: IntGauge,
    connections: IntGaugeVec,
    connections_max: IntGauge,
    leases: IntGauge,
    leases_max: IntGauge,
    waiting: IntGauge,
    shared_initialized: IntGauge,
    shared_connections: IntGaugeVec,
    shared_waiting: IntGauge,
    breaker: IntGaugeVec,
    acquires: IntCounterVec,
    evictions: IntCounterVec,
    retries: IntCounterVec,
    errors: IntCounterVec,
    tenant_connections: IntGaugeVec,
    tenant_waiting: IntGaugeVec,
    tenant_acquires: IntCounterVec,
    health: IntGauge,
    health_pools: IntGaugeVec,
    health_pools_timestamp: Gauge,
    health_duration: Gauge,
    health_timestamp: Gauge,
}

impl Figures {
    fn new() -> prometheus::Result<Self> {
        let gauge = IntGauge::new::<&str, &str>;
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        Ok(Self {
            pools: gauge("tenantry_tenant_pools", "Tenant pools that are remembered")?,
            pools_max: gauge(
                "tenantry_tenant_pools_max",
                "Tenant pools that are remembered at most, those in use aside",
            )?,
            connections: gauges("tenantry_connections", "Connections by state", &["state"])?,
            connections_max: gauge("tenantry_connections_max", "The budget of connections")?,
            leases: gauge(
                "tenantry_tenant_leases",
                "Connections that tenants, the shared handle and upkeep have",
            )?,
            leases_max: gauge(
                "tenantry_tenant_leases_max",
                "Connections that tenants, the shared handle and upkeep can have at most",
            )?,
            waiting: gauge("tenantry_waiting_requests", "Requests that wait for a connection")?,
            shared_initialized: gauge(
                "tenantry_shared_initialized",
                "1 once the shared schema was used",
            )?,
            shared_connections: gauges(
                "tenantry_shared_connections",
                "Connections bound to the shared schema by state",
                &["state"],
            )?,
            shared_waiting: gauge(
                "tenantry_shared_waiting_requests",
                "Requests that wait for a connection bound to the shared schema",
            )?,
            breaker: gauges(
                "tenantry_breaker_state",
                "1 for the state that the circuit breaker is in",
                &["state"],
            )?,
            acquires: counters(
                "tenantry_acquires_total",
                "Acquires by how they have ended",
                "outcome",
            )?,
            evictions: counters(
                "tenantry_evictions_total",
                "Tenant pools that were forgotten, by reason",
                "reason",
            )?,
            retries: counters("tenantry_retries_total", "What was tried again", "of")?,
            errors: counters("tenantry_errors_total", "Errors by class", "class")?,
            tenant_connections: gauges(
                "tenantry_tenant_connections",
                "Connections of the busiest tenants by state",
                &["tenant", "state"],
            )?,
            tenant_waiting: gauges(
                "tenantry_tenant_waiting_requests",
                "Requests of the busiest tenants that wait for a connection",
                &["tenant"],
            )?,
            tenant_acquires: counters(
                "tenantry_tenant_acquires_total",
                "Connections that the busiest tenants have been given",
                "tenant",
            )?,
            health: gauge(
                "tenantry_health_status",
                "1 if the last health check has found the instance healthy",
            )?,
            health_pools: gauges(
                "tenantry_health_pools",
                "Tenants in the last health check by status",
                &["status"],
            )?,
            health_pools_timestamp: Gauge::new(
                "tenantry_health_pools_timestamp_seconds",
                "When the last health check that looked at tenants began",
            )?,
            health_duration: Gauge::new(
                "tenantry_health_check_duration_seconds",
                "How long the last health check took",
            )?,
            health_timestamp: Gauge::new(
                "tenantry_health_check_timestamp_seconds",
                "When the last health check began",
            )?,
        })
    }

    /// The metrics that always exist.
    fn always(&self) -> [&dyn Collector; 15] {
        [
            &self.pools,
            &self.pools_max,
            &self.connections,
            &self.connections_max,
            &self.leases,
            &self.leases_max,
            &self.waiting,
            &self.shared_initialized,
            &self.shared_connections,
            &self.shared_waiting,
            &self.breaker,
            &self.acquires,
            &self.evictions,
            &self.retries,
            &self.errors,
        ]
    }

    fn of_tenants(&self) -> [&dyn Collector; 3] {
        [&self.tenant_connections, &self.tenant_waiting, &self.tenant_acquires]
    }

    fn of_health(&self) -> [&dyn Collector; 5] {
        [
            &self.health,
            &self.health_pools,
            &self.health_pools_timestamp,
            &self.health_duration,
            &self.health_timestamp,
        ]
    }

    fn desc(&self) -> Vec<&Desc> {
        self.always().into_iter().chain(self.of_health()).flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.always().into_iter().flat_map(Collector::collect).collect()
    }

    fn read_pool(&self, pool: &PoolSnapshot) {
        self.pools.set(signed(pool.tenant_pools));
        self.pools_max.set(signed(pool.max_tenant_pools));
        set(&self.connections, &["idle"], pool.idle);
        set(&self.connections, &["leased"], pool.leased);
        set(&self.connections, &["pending"], pool.total - pool.idle - pool.leased);
        self.connections_max.set(signed(pool.max));
        self.leases.set(signed(pool.leased_to_tenants));
        self.leases_max.set(signed(pool.places_for_tenants));
        self.waiting.set(signed(pool.waiting));
        self.shared_initialized.set(i64::from(pool.shared.is_some()));
        let shared = pool.shared.map(|of| (of.idle, of.total - of.idle, of.waiting));
        let (idle, leased, waiting) = shared.unwrap_or_default();
        set(&self.shared_connections, &["idle"], idle);
        set(&self.shared_connections, &["leased"], leased);
        self.shared_waiting.set(signed(waiting));
        for state in BreakerState::ALL {
            set(&self.breaker, &[state.as_str()], usize::from(state == pool.breaker));
        }
        let acquires = pool.acquires;
        for (outcome, count) in [
            ("hit", acquires.hit),
            ("rebind", acquires.rebind),
            ("open", acquires.open),
            ("timeout", acquires.timeout),
            ("refused", acquires.refused),
            ("failed", acquires.failed),
        ] {
            self.acquires.with_label_values(&[outcome]).inc_by(count);
        }
        for reason in EvictReason::ALL {
            let count = pool.evictions.get(&reason).copied().unwrap_or_default();
            self.evictions.with_label_values(&[reason.as_str()]).inc_by(count);
        }
    }

    fn read_meters(&self, server: &Server) {
        let meters = &server.observer.meters;
        for (of, count) in meters.retries() {
            self.retries.with_label_values(&[of]).inc_by(count);
        }
        for (class, count) in meters.errors() {
            self.errors.with_label_values(&[class]).inc_by(count);
        }
    }

    fn health(&self, last: &Summary) -> Vec<MetricFamily> {
        self.health.set(i64::from(last.healthy));
        if let Some(pools) = last.pools {
            let counts = [pools.ok, pools.degraded, pools.unhealthy];
            for (status, count) in HealthStatus::ALL.into_iter().zip(counts) {
                set(&self.health_pools, &[status.as_str()], count);
            }
            self.health_pools_timestamp.set(seconds(pools.at));
        }
        self.health_duration.set(last.duration.as_secs_f64());
        self.health_timestamp.set(seconds(last.at));
        let mut all: Vec<_> = self.of_health().into_iter().flat_map(Collector::collect).collect();
        if last.pools.is_none() {
            // No check of bound tenants was made, and a family without metrics cannot be encoded.
            all.retain(|family| !family.name().starts_with("tenantry_health_pools"));
        }
        all
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: usize) {
    gauges.with_label_values(labels).set(signed(value));
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
