use std::{
    fmt,
    sync::{Arc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{
    MetricsOptions,
    families::{Families, description},
    labels::{Figures, Labels},
    list::{self, Entry},
    runtime,
};
use crate::{
    event::{BreakerState, BudgetState, EvictReason, Meters, ReplicaState},
    health::{Checks, HealthStatus, Summary},
    pool::{BudgetSnapshot, Detail, PoolSnapshot, Server},
    servers::Servers,
};

/// The figures of a manager, for a [`prometheus::Registry`]; made by
/// [`TenantManager::collector`](crate::TenantManager::collector).
///
/// Durations are recorded from when the first collector of a manager is made. It keeps no manager
/// alive: when that is gone, nothing is collected.
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
#[doc = include_str!("list.md")]
///
/// With [several servers](crate::ManagerBuilder::server), each metric of a pool has the label `server`, and a
/// series for each of them. Metrics of the catalog and of tenants in all are those of the main server, and those of
/// health are about all servers, of which the main one decides on `tenantry_health_status`.
///
/// The metrics of a budget are there if processes [share](crate::ManagerBuilder::budget_shared_by) one.
/// The health metrics are there once a health check has run, and `tenantry_tenants` once tenants were listed: a
/// scrape asks the database nothing. With
/// [`process`](MetricsOptions::process) come `process_cpu_seconds_total`, `process_open_fds`,
/// `process_max_fds`, `process_virtual_memory_bytes`, `process_resident_memory_bytes`,
/// `process_start_time_seconds` and `process_threads`; with [`runtime`](MetricsOptions::runtime)
/// `tokio_workers`, `tokio_alive_tasks`, `tokio_global_queue_depth` and
/// `tokio_worker_busy_seconds_total`.
pub struct MetricsCollector {
    /// The main server first.
    servers: Vec<Watched>,
    checks: Weak<Checks>,
    runtime: bool,
    #[cfg(target_os = "linux")]
    process: Option<prometheus::process_collector::ProcessCollector>,
    descriptions: Vec<Desc>,
}

/// A server whose figures are collected.
struct Watched {
    name: Box<str>,
    server: Weak<Server>,
    labels: Option<Mutex<Labels>>,
}

impl Watched {
    fn new(name: &str, server: &Arc<Server>, options: &MetricsOptions) -> Self {
        server.observer.meters.start_timing();
        let most = options.tenant_labels;
        Self {
            name: name.into(),
            server: Arc::downgrade(server),
            labels: (most > 0).then(|| Mutex::new(Labels::new(most))),
        }
    }

    /// Returns the figures of the server; `None` if it is gone.
    fn read(&self) -> Option<Families> {
        let server = self.server.upgrade()?;
        // Locked before the pool is looked at, so that no older look comes after a newer one.
        let labels = self.labels.as_ref().map(|labels| labels.lock());
        let detail = if labels.is_some() { Detail::Tenants } else { Detail::Totals };
        let serving = server.serving();
        let mut pool = serving.snapshot(detail);
        let mut families = Families::default();
        if !Arc::ptr_eq(serving, &server) {
            read_direct(&mut families, &server.snapshot(Detail::Totals));
        }
        read_pool(&mut families, &pool);
        if let Some(budget) = &pool.budget {
            read_budget(&mut families, budget);
        }
        read_meters(&mut families, &server.observer.meters);
        read_replicas(&mut families, &server);
        if let Some(mut labels) = labels {
            let tenants = std::mem::take(&mut pool.tenants);
            read_tenants(&mut families, &labels.update(tenants, pool.granted_to_tenants));
        }
        Some(families)
    }
}

impl MetricsCollector {
    pub(crate) fn new(servers: &Servers, checks: &Arc<Checks>, options: &MetricsOptions) -> Self {
        let has_labels = options.tenant_labels > 0;
        let is_collected = |entry: &&Entry| {
            (has_labels || !entry.labels.contains(&"tenant"))
                && (options.runtime || !runtime::METRICS.iter().any(|of| of.name == entry.name))
        };
        let described = list::ALL.iter().filter(is_collected).map(description);
        Self {
            servers: servers
                .all()
                .map(|(name, server)| Watched::new(name, server, options))
                .collect(),
            checks: Arc::downgrade(checks),
            runtime: options.runtime,
            #[cfg(target_os = "linux")]
            process: options.process.then(process_collector),
            descriptions: described.collect::<Result<_, _>>().expect(VALID),
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
        let mut all: Vec<_> = self.descriptions.iter().collect();
        #[cfg(target_os = "linux")]
        all.extend(self.process.iter().flat_map(Collector::desc));
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(checks) = self.checks.upgrade() else {
            return Vec::new();
        };
        let mut families = Families::default();
        for watched in &self.servers {
            let Some(read) = watched.read() else { continue };
            match self.servers.len() {
                1 => families = read,
                _ => families.add_all(read.labelled("server", &watched.name)),
            }
        }
        if let Some(last) = checks.last() {
            read_health(&mut families, &last);
        }
        let main = self.servers.first().and_then(|main| main.server.upgrade());
        if let Some(handle) = main.as_ref().and_then(|main| main.runtime()).filter(|_| self.runtime)
        {
            runtime::read(&mut families, &handle.metrics());
        }
        let mut all = families.into_vec();
        #[cfg(target_os = "linux")]
        all.extend(self.process.iter().flat_map(Collector::collect));
        all
    }
}

impl fmt::Debug for MetricsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsCollector")
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}

fn read_pool(families: &mut Families, pool: &PoolSnapshot) {
    let shared = pool.shared.map(|of| (of.idle, of.total - of.idle, of.waiting));
    let (shared_idle, shared_leased, shared_waiting) = shared.unwrap_or_default();
    for (entry, value) in [
        (&list::TENANT_POOLS, pool.tenant_pools),
        (&list::TENANT_POOLS_MAX, pool.max_tenant_pools),
        (&list::CONNECTIONS_MAX, pool.max),
        (&list::TENANT_LEASES, pool.leased_to_tenants),
        (&list::TENANT_LEASES_MAX, pool.places_for_tenants),
        (&list::WAITING, pool.waiting),
        (&list::SHARED_INITIALIZED, usize::from(pool.shared.is_some())),
        (&list::SHARED_WAITING, shared_waiting),
    ] {
        families.one(entry, value as f64);
    }
    families.each(&list::CONNECTIONS, by_state(pool));
    let states = [("idle", shared_idle), ("leased", shared_leased)];
    families.each(&list::SHARED_CONNECTIONS, states.map(|(state, count)| ([state], count as f64)));
    let states = BreakerState::ALL.into_iter();
    let states = states.map(|state| ([state.as_str()], f64::from(state == pool.breaker)));
    families.each(&list::BREAKER_STATE, states);
    let acquires = pool.acquires;
    let outcomes = [
        ("hit", acquires.hit),
        ("rebind", acquires.rebind),
        ("open", acquires.open),
        ("timeout", acquires.timeout),
        ("refused", acquires.refused),
        ("failed", acquires.failed),
    ];
    families.each(&list::ACQUIRES, outcomes.map(|(outcome, count)| ([outcome], count as f64)));
    let reasons = EvictReason::ALL.into_iter().map(|reason| {
        let count = pool.evictions.get(&reason).copied().unwrap_or_default();
        ([reason.as_str()], count as f64)
    });
    families.each(&list::EVICTIONS, reasons);
}

/// Reads the pool past a pooler in transaction mode.
fn read_direct(families: &mut Families, pool: &PoolSnapshot) {
    families.one(&list::DIRECT_CONNECTIONS_MAX, pool.max as f64);
    families.each(&list::DIRECT_CONNECTIONS, by_state(pool));
}

fn by_state(pool: &PoolSnapshot) -> [([&'static str; 1], f64); 3] {
    let pending = pool.total - pool.idle - pool.leased;
    let states = [("idle", pool.idle), ("leased", pool.leased), ("pending", pending)];
    states.map(|(state, count)| ([state], count as f64))
}

fn read_budget(families: &mut Families, budget: &BudgetSnapshot) {
    for (entry, connections) in [
        (&list::BUDGET_CONNECTIONS, budget.total),
        (&list::BUDGET_GRANTED, budget.granted),
        (&list::BUDGET_WANTED, budget.wanted),
        (&list::BUDGET_FLOOR, budget.floor),
    ] {
        families.one(entry, connections as f64);
    }
    let states = BudgetState::ALL;
    let states = states.map(|state| ([state.as_str()], f64::from(state == budget.state)));
    families.each(&list::BUDGET_STATE, states);
}

/// Reads what is known of the replicas of a server, if there are any.
fn read_replicas(families: &mut Families, server: &Server) {
    let Some(replicas) = server.replicas() else { return };
    let reads = &server.observer.meters.reads;
    families.each(&list::READS, reads.answered.read().map(series));
    families.histogram(&list::REPLICA_WAIT, &reads.wait);
    let statuses: Vec<_> = replicas.statuses().collect();
    let states = statuses.iter().flat_map(|of| {
        let is = |state: ReplicaState| f64::from(state == of.state);
        ReplicaState::ALL.map(|state| ([&*of.name, state.as_str()], is(state)))
    });
    families.each(&list::REPLICA_STATE, states);
    let lags = statuses.iter().filter_map(|of| Some(([&*of.name], of.lag? as f64)));
    families.each(&list::REPLICA_LAG, lags);
}

fn read_tenants(families: &mut Families, tenants: &[(String, Figures)]) {
    let connections = tenants.iter().flat_map(|(tenant, of)| {
        let tenant = tenant.as_str();
        [([tenant, "idle"], of.idle as f64), ([tenant, "leased"], of.leased as f64)]
    });
    families.each(&list::TENANT_CONNECTIONS, connections);
    let waiting = tenants.iter().map(|(tenant, of)| ([tenant.as_str()], of.waiting as f64));
    families.each(&list::TENANT_WAITING, waiting);
    let acquires = tenants.iter().map(|(tenant, of)| ([tenant.as_str()], of.acquires as f64));
    families.each(&list::TENANT_ACQUIRES, acquires);
}

/// Reads what was counted and timed where it happened.
fn read_meters(families: &mut Families, meters: &Meters) {
    let upkeep = &meters.upkeep;
    for (entry, times) in [
        (&list::ACQUIRE_WAIT, &meters.wait),
        (&list::CONNECTION_HOLD, &meters.hold),
        (&list::CONNECT, &meters.connect),
        (&list::REBIND, &meters.rebind),
        (&list::QUERY_DURATION, &meters.query),
        (&list::MIGRATION, &upkeep.migration),
        (&list::CREATION, &upkeep.creation),
    ] {
        families.histogram(entry, times);
    }
    for (entry, count) in [
        (&list::SLOW_QUERIES, meters.slow_queries.get()),
        (&list::RATE_LIMITED, meters.rate_limited.get()),
        (&list::CATALOG_HITS, meters.catalog_hits.get()),
        (&list::CATALOG_MISSES, meters.catalog_misses.get()),
        (&list::CATALOG_STALE, meters.catalog_stale.get()),
        (&list::HOOK_FAILURES, meters.hook_failures.get()),
        (&list::EVENTS_DROPPED, meters.events_dropped.get()),
        (&list::SPARES_READY, upkeep.spares() as u64),
        (&list::DRIFTED_TENANTS, upkeep.drifted() as u64),
        (&list::MOVES_IN_PROGRESS, upkeep.moving() as u64),
    ] {
        families.one(entry, count as f64);
    }
    families.each(&list::RETRIES, meters.retries().map(series));
    families.each(&list::ERRORS, meters.errors().map(series));
    families.each(&list::MIGRATIONS, upkeep.migrations.read().map(series));
    families.each(&list::CREATIONS, upkeep.creations.read().map(series));
    families.each(&list::MOVES, upkeep.moves.read().map(series));
    families.each(&list::TENANTS, upkeep.tenants().into_iter().flatten().map(series));
}

fn series((label, count): (&'static str, u64)) -> ([&'static str; 1], f64) {
    ([label], count as f64)
}

fn read_health(families: &mut Families, last: &Summary) {
    families.one(&list::HEALTH_STATUS, f64::from(last.healthy));
    families.one(&list::HEALTH_DURATION, last.duration.as_secs_f64());
    families.one(&list::HEALTH_AT, seconds(last.at));
    if let Some(pools) = last.pools {
        let counts = [pools.ok, pools.degraded, pools.unhealthy];
        let counts = HealthStatus::ALL.into_iter().zip(counts);
        let counts = counts.map(|(status, count)| ([status.as_str()], count as f64));
        families.each(&list::HEALTH_POOLS, counts);
        families.one(&list::HEALTH_POOLS_AT, seconds(pools.at));
    }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
