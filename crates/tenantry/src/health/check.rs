use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use tokio::time::{Instant, timeout_at};

use super::{
    CitusHealth, HealthOf, HealthOptions, HealthReport, HealthStatus, Holder, ReplicaHealth,
    SATURATED, Saturation, ServerHealth, SharedHealth, TenantHealth,
    probe::{Answer, LATE, On, Probe, Seen, in_words},
};
use crate::{
    event::BudgetState,
    pool::{
        Detail, Holding, Occupant, OccupantId, PoolSnapshot, Pooling, ReplicaStatus, Server,
        TRANSACTION_POOLER,
    },
    servers::Servers,
    tenant::TenantId,
    warmup::Tenants,
};

/// The health checks of a manager.
#[derive(Debug)]
pub(crate) struct Checks {
    /// Those of each server, in the order of [`Servers::all`].
    probes: Vec<Probe>,
    last: parking_lot::Mutex<Option<Summary>>,
}

/// Result of the last check, for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) healthy: bool,
    /// Result of the last check of all bound tenants; a check without tenants does not change it.
    pub(crate) pools: Option<PoolCounts>,
    pub(crate) duration: Duration,
    pub(crate) at: SystemTime,
}

/// Number of tenants by health status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolCounts {
    pub(crate) ok: usize,
    pub(crate) degraded: usize,
    pub(crate) unhealthy: usize,
    pub(crate) at: SystemTime,
}

/// The subject of a check.
pub(crate) struct Subject<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) find: &'a Tenants<'a>,
}

/// What a check has found out about one server.
struct Checked<'a> {
    on: On<'a>,
    answer: Option<Answer>,
    tenants: Arc<[Seen]>,
}

impl Checks {
    pub(crate) fn new(servers: &Servers) -> Self {
        let probes = servers.all().map(|_| Probe::default()).collect();
        Self { probes, last: parking_lot::Mutex::default() }
    }

    pub(crate) fn last(&self) -> Option<Summary> {
        *self.last.lock()
    }

    pub(crate) async fn run(&self, of: &Subject<'_>, options: &HealthOptions) -> HealthReport {
        let (began, timestamp) = (Instant::now(), SystemTime::now());
        let deadline = began + options.ping_timeout.min(A_YEAR);
        let found = async {
            match &options.tenants {
                HealthOf::These(ids) => found(of, ids, deadline).await,
                HealthOf::Nobody | HealthOf::Bound => Vec::new(),
            }
        };
        let (answers, mut found) = join(self.ping(of, options, began, deadline), found).await;
        let each = self.probes.iter().zip(of.servers.all()).zip(answers);
        let checked = each.map(|((probe, (name, server)), answer)| {
            let (here, elsewhere) =
                std::mem::take(&mut found).into_iter().partition(|(at, _)| Arc::ptr_eq(at, server));
            found = elsewhere;
            let here: Vec<(Arc<Server>, Seen)> = here;
            async move {
                let on = On::new(name, server);
                let tenants = match &options.tenants {
                    HealthOf::Nobody => Arc::default(),
                    HealthOf::Bound => probe.look(&on, answer, began, deadline).await,
                    HealthOf::These(_) => {
                        let seen = here.into_iter().map(|(_, seen)| seen).collect();
                        probe.ask_about(&on, seen, answer, deadline).await
                    }
                };
                Checked { on, answer, tenants }
            }
        });
        let checked = join_all(checked.collect::<Vec<_>>()).await;
        let report = report(&checked, options, timestamp, began);
        self.remember(&report, options);
        report
    }

    /// Pings every server, all at the same time. A readiness probe asks the main server only: one
    /// that is away concerns its own tenants, and must not delay the answer.
    async fn ping(
        &self,
        of: &Subject<'_>,
        options: &HealthOptions,
        began: Instant,
        deadline: Instant,
    ) -> Vec<Option<Answer>> {
        let pings = self.probes.iter().zip(of.servers.all()).enumerate();
        let pings = pings.map(|(index, (probe, (name, server)))| async move {
            let is_asked = options.ping
                && (index == 0 || options.tenants != HealthOf::Nobody)
                && !server.is_refused();
            match is_asked {
                true => Some(probe.ping(&On::new(name, server), began, deadline).await),
                false => None,
            }
        });
        join_all(pings).await
    }

    /// Keeps the summary of a report for the metrics.
    fn remember(&self, report: &HealthReport, options: &HealthOptions) {
        let at = report.timestamp;
        let pools = (options.tenants == HealthOf::Bound).then(|| PoolCounts {
            ok: report.total_pools - report.degraded_pools - report.unhealthy_pools,
            degraded: report.degraded_pools,
            unhealthy: report.unhealthy_pools,
            at,
        });
        let mut last = self.last.lock();
        let before = last.and_then(|last| last.pools);
        *last = Some(Summary {
            healthy: report.healthy,
            pools: pools.or(before),
            duration: report.duration,
            at,
        });
    }
}

/// Maximum duration of a check, which the clock can represent.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Number of concurrent tenant look-ups.
const LOOKUPS: usize = 4;

/// Looks up these tenants, each with its server; the main one if it is unknown.
async fn found(of: &Subject<'_>, ids: &[TenantId], deadline: Instant) -> Vec<(Arc<Server>, Seen)> {
    let seen = stream::iter(ids.to_vec()).map(|id| {
        let find = (of.find)(id.as_str().into());
        async move {
            let (server, found) = match timeout_at(deadline, find).await {
                Ok(Ok(db)) => (Arc::clone(db.server()), Ok(Arc::clone(db.occupant()))),
                Ok(Err(error)) => (Arc::clone(of.servers.main()), Err(in_words(&error))),
                Err(_) => (Arc::clone(of.servers.main()), Err(LATE)),
            };
            let pool = server.serving().tenant_pool(&id);
            (server, Seen { id, found, pool, answer: None })
        }
    });
    seen.buffered(LOOKUPS).collect().await
}

fn grade(server: &Arc<Server>, tenant: &Seen, options: &HealthOptions) -> TenantHealth {
    let (total, idle, waiting) =
        tenant.pool.as_ref().map_or((0, 0, 0), |pool| (pool.total, pool.idle, pool.waiting));
    let cap =
        tenant.pool.as_ref().map_or_else(|| server.serving().cap_of_a_tenant(), |pool| pool.cap);
    let in_use = total - idle;
    let load = HealthStatus::of_load(in_use, cap, waiting);
    let (answered, reason) = match &tenant.found {
        Ok(occupant) if occupant.is_in_cutover() => (HealthStatus::Degraded, Some(IN_CUTOVER)),
        Ok(_) if server.lacks_node_of(&tenant.id) => (HealthStatus::Degraded, Some(NODE_AWAY)),
        Ok(_) => of_answer(tenant.answer, options),
        Err(reason) => (HealthStatus::Unhealthy, Some(*reason)),
    };
    let reason = reason.or((in_use >= cap && waiting > 0).then_some(AT_ITS_CAP));
    TenantHealth {
        tenant_id: tenant.id.clone(),
        server: None,
        status: load.max(answered),
        total_connections: total,
        idle_connections: idle,
        waiting_requests: waiting,
        reason,
    }
}

/// The reason why requests of a tenant wait that changes places.
const IN_CUTOVER: &str = "it is being moved to another place";

/// The reason why statements of some tenants of a Citus cluster fail.
const NODE_AWAY: &str = "a node of the Citus cluster does not answer";

/// The reason why requests of one tenant wait.
const AT_ITS_CAP: &str = "it is at the connection limit of a tenant";

fn of_answer(
    answer: Option<Answer>,
    options: &HealthOptions,
) -> (HealthStatus, Option<&'static str>) {
    match answer {
        None => (HealthStatus::Ok, None),
        Some(Answer::In(took)) => (HealthStatus::of_answer(took, options.ping_timeout), None),
        Some(Answer::Busy) => (HealthStatus::Degraded, Some("every connection is in use")),
        Some(Answer::None(reason)) => (HealthStatus::Unhealthy, Some(reason)),
    }
}

/// Reports on all servers. Whether requests can be served depends on the main one; another one that
/// is away degrades at most.
fn report(
    checked: &[Checked<'_>],
    options: &HealthOptions,
    timestamp: SystemTime,
    began: Instant,
) -> HealthReport {
    let are_several = checked.len() > 1;
    let mut servers: Vec<_> = checked.iter().map(|of| of_server(of, options)).collect();
    let pools: Vec<_> = checked.iter().flat_map(|of| pools(of, options, are_several)).collect();
    let of_others = servers.iter().skip(1).map(|of| of.status.min(HealthStatus::Degraded));
    let of_others = of_others.max().unwrap_or(HealthStatus::Ok);
    let main = servers[0].clone();
    if !are_several {
        servers.clear();
    }
    let answer = checked[0].answer;
    let of_budget = of_budget(checked[0].on.server).map(|(_, reason)| reason);
    let shared_db = options.include_shared.then(|| of_shared(answer, &main, options));
    let count = |status| pools.iter().filter(|pool| pool.status == status).count();
    HealthReport {
        healthy: main.status != HealthStatus::Unhealthy,
        status: main.status.max(of_others),
        shared_db,
        breaker: main.breaker,
        pooling: main.pooling,
        reason: match &main.saturation {
            _ if main.pooling == Pooling::Transaction => Some(TRANSACTION_POOLER),
            _ if of_budget.is_some() => of_budget,
            Some(_) => Some(SATURATED),
            None => None,
        },
        saturation: main.saturation,
        total_pools: pools.len(),
        degraded_pools: count(HealthStatus::Degraded),
        unhealthy_pools: count(HealthStatus::Unhealthy),
        pools,
        servers,
        replicas: checked.iter().flat_map(|of| replicas(of.on.server)).collect(),
        citus: checked.iter().filter_map(citus).collect(),
        timestamp,
        duration: began.elapsed(),
    }
}

/// Reports what reads have found out about the replicas of a server.
fn replicas(server: &Server) -> Vec<ReplicaHealth> {
    let statuses = server.replicas().into_iter().flat_map(|replicas| replicas.statuses());
    let replicas = statuses.map(|ReplicaStatus { name, state, lag }| ReplicaHealth {
        replica: name,
        state,
        lag_bytes: lag,
    });
    replicas.collect()
}

/// Reports the extension Citus of a server, once it was found.
fn citus(of: &Checked<'_>) -> Option<CitusHealth> {
    let found = of.on.server.citus().known(None).flatten()?;
    let (major, minor) = found.version();
    let version = format!("{major}.{minor}");
    Some(CitusHealth { server: of.on.name.into(), version, node: found.node() })
}

/// Grades the tenants of a server.
fn pools(of: &Checked<'_>, options: &HealthOptions, are_several: bool) -> Vec<TenantHealth> {
    let server: Option<Arc<str>> = are_several.then(|| of.on.name.into());
    let graded = of.tenants.iter().map(|tenant| {
        let server = server.clone();
        TenantHealth { server, ..grade(of.on.server, tenant, options) }
    });
    graded.collect()
}

fn of_shared(answer: Option<Answer>, main: &ServerHealth, options: &HealthOptions) -> SharedHealth {
    let (status, reason) = match answer {
        None => (HealthStatus::of_breaker(main.breaker), None),
        answer => of_answer(answer, options),
    };
    SharedHealth { status, response_time: main.response_time, reason }
}

fn of_server(of: &Checked<'_>, options: &HealthOptions) -> ServerHealth {
    let (server, answer) = (of.on.server, of.answer);
    // Behind a pooler, requests need both its connections and direct ones.
    let (serving, direct) = (server.serving(), server.snapshot(Detail::Totals));
    let pool = serving.snapshot(Detail::Totals);
    let breakers = [pool.breaker, direct.breaker];
    let breaker = breakers.into_iter().max_by_key(|state| HealthStatus::of_breaker(*state));
    let breaker = breaker.unwrap_or(pool.breaker);
    let of_breaker = HealthStatus::of_breaker(breaker);
    let (answered, why) = of_answer(answer, options);
    let saturation = serving.saturation().map(|holdings| Saturation {
        places: pool.places_for_tenants,
        waiting: pool.waiting,
        holders: holders(holdings),
    });
    let pooling = server.pooling();
    let status = match server.closing().is_cancelled() || pooling == Pooling::Transaction {
        true => HealthStatus::Unhealthy,
        false => {
            let PoolSnapshot { leased_to_tenants, places_for_tenants, waiting, .. } = pool;
            let of_load = HealthStatus::of_load(leased_to_tenants, places_for_tenants, waiting);
            of_load.max(of_breaker).max(answered)
        }
    };
    let of_budget = of_budget(server);
    let status = of_budget.map_or(status, |(of_budget, _)| status.max(of_budget));
    ServerHealth {
        server: of.on.name.into(),
        // Since version 10, `server_version_num` is the major version and the minor one.
        server_version: server.version().map(|of| format!("{}.{}", of / 10_000, of % 10_000)),
        status,
        response_time: match answer {
            Some(Answer::In(took)) => Some(took),
            _ => None,
        },
        breaker,
        pooling,
        reason: match &saturation {
            _ if pooling == Pooling::Transaction => Some(TRANSACTION_POOLER),
            _ if of_budget.is_some() => of_budget.map(|(_, reason)| reason),
            Some(_) => Some(SATURATED),
            None => why,
        },
        saturation,
    }
}

/// Grades what the process has of a shared budget, if there is something to say about it.
fn of_budget(server: &Server) -> Option<(HealthStatus, &'static str)> {
    let state = server.budget_snapshot()?.state;
    Some(match state {
        BudgetState::Granted => return None,
        BudgetState::Floor => (
            HealthStatus::Degraded,
            "the table of the shared budget does not answer, and the floor is used",
        ),
        BudgetState::Refused => {
            (HealthStatus::Unhealthy, "the floors of other processes take the whole shared budget")
        }
        BudgetState::Waiting => (
            HealthStatus::Unhealthy,
            "other processes have not given back their part of the shared budget yet",
        ),
        BudgetState::Asking if server.cannot_ask() => {
            (HealthStatus::Unhealthy, "the table of the shared budget cannot be used")
        }
        // Before the first use, and during an outage, nothing is known of the budget.
        BudgetState::Asking if !server.is_alive() => return None,
        BudgetState::Asking => {
            (HealthStatus::Unhealthy, "no part of the shared budget is granted yet")
        }
    })
}

/// Maximum number of holders in a report.
const NAMED: usize = 5;

/// Returns those who hold the most connections.
fn holders(mut holdings: Vec<Holding>) -> Vec<Holder> {
    holdings.sort_by_key(|of| Reverse((of.connections, of.longest)));
    holdings.truncate(NAMED);
    let named = holdings.into_iter().map(|of| {
        let occupant = of.occupant.as_deref();
        Holder {
            tenant_id: occupant.and_then(Occupant::tenant).cloned(),
            what: match occupant.map(|occupant| &occupant.id) {
                Some(OccupantId::Shared) => "shared",
                Some(OccupantId::Upkeep | OccupantId::UpkeepIn(_)) => "upkeep",
                _ => "tenant",
            },
            connections: of.connections,
            longest_hold: of.longest,
        }
    });
    named.collect()
}
