use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{HealthOf, HealthOptions, HealthReport, HealthStatus, SharedHealth, TenantHealth};
use crate::{
    db::{SharedDb, TenantDb},
    error::{Error, ErrorKind},
    pool::{Detail, Occupant, Server, TenantPoolSnapshot},
    tenant::TenantId,
    warmup::Tenants,
};

/// The health checks of a manager. They run one after the other, and those who ask for the same
/// while one runs share the next: whoever can reach a health endpoint cannot use up connections.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    turn: Mutex<Option<Pinged>>,
    last: parking_lot::Mutex<Option<Summary>>,
}

/// What the last check has found, for metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) healthy: bool,
    /// What the last check of all that are bound has found: one of nobody says nothing of them.
    pub(crate) pools: Option<PoolCounts>,
    pub(crate) duration: Duration,
    pub(crate) at: SystemTime,
}

/// How many tenants fare how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolCounts {
    pub(crate) ok: usize,
    pub(crate) degraded: usize,
    pub(crate) unhealthy: usize,
}

/// What is to be checked.
pub(crate) struct Subject<'a> {
    pub(crate) server: &'a Arc<Server>,
    /// The shared schema, with connections of the reserve.
    pub(crate) system: &'a SharedDb,
    pub(crate) find: &'a Tenants<'a>,
}

/// An answer of the database, or why there was none.
#[derive(Debug, Clone, Copy)]
struct Pinged {
    began: Instant,
    answer: Result<Duration, &'static str>,
}

/// What is known of one tenant.
struct Known {
    id: TenantId,
    found: Result<Arc<Occupant>, &'static str>,
    pool: Option<TenantPoolSnapshot>,
}

impl Checks {
    pub(crate) fn last(&self) -> Option<Summary> {
        *self.last.lock()
    }

    pub(crate) async fn run(&self, of: &Subject<'_>, options: &HealthOptions) -> HealthReport {
        let (began, timestamp) = (Instant::now(), SystemTime::now());
        let deadline = began + options.ping_timeout.min(A_YEAR);
        let tenants = known(of, &options.tenants, deadline).await;
        let (server, pinged) = match options.ping {
            true => self.ping(of, &tenants, began, deadline).await,
            false => (None, HashMap::new()),
        };
        let pools: Vec<_> =
            tenants.iter().map(|tenant| grade(of.server, tenant, &pinged, options)).collect();
        let report = report(of.server, options, server, pools, timestamp, began);
        let mut last = self.last.lock();
        let before = last.and_then(|last| last.pools);
        let pools = (options.tenants == HealthOf::Bound).then(|| PoolCounts {
            ok: report.total_pools - report.degraded_pools - report.unhealthy_pools,
            degraded: report.degraded_pools,
            unhealthy: report.unhealthy_pools,
        });
        *last = Some(Summary {
            healthy: report.healthy,
            pools: pools.or(before),
            duration: report.duration,
            at: timestamp,
        });
        drop(last);
        report
    }

    /// Asks the database: for a sign of life, then for all containers at once.
    async fn ping(
        &self,
        of: &Subject<'_>,
        tenants: &[Known],
        asked: Instant,
        deadline: Instant,
    ) -> (Option<Pinged>, HashMap<TenantId, Pinged>) {
        let late = Pinged { began: asked, answer: Err("no answer in time") };
        let Ok(mut turn) = timeout_at(deadline, self.turn.lock()).await else {
            return (Some(late), all(tenants, late));
        };
        let server = match *turn {
            Some(shared) if shared.began >= asked => shared,
            _ => pinged(deadline, of.system.ping()).await,
        };
        *turn = Some(server);
        if server.answer.is_err() {
            return (Some(server), all(tenants, server));
        }
        let asked: Vec<_> =
            tenants.iter().filter_map(|tenant| tenant.found.as_ref().ok()).cloned().collect();
        if asked.is_empty() {
            return (Some(server), HashMap::new());
        }
        let mut reachable = Vec::new();
        let look = async {
            reachable = of.system.reachable(&asked).await?;
            Ok(())
        };
        let looked = pinged(deadline, look).await;
        let mut found = HashMap::new();
        for (index, occupant) in asked.iter().enumerate() {
            let answer = match (looked.answer, reachable.get(index)) {
                (Ok(_), Some(false)) => Err("its schema or role is missing or may not be used"),
                (answer, _) => answer,
            };
            if let Some(tenant) = occupant.tenant() {
                found.insert(tenant.clone(), Pinged { answer, ..looked });
            }
        }
        (Some(server), found)
    }
}

/// The longest that a check may take: the clock cannot tell of every later time.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How many tenants are looked up at a time.
const LOOKUPS: usize = 4;

/// Finds out who is to be checked.
async fn known(of: &Subject<'_>, tenants: &HealthOf, deadline: Instant) -> Vec<Known> {
    match tenants {
        HealthOf::Nobody => Vec::new(),
        HealthOf::Bound => {
            let pools = of.server.tenant_pools().into_iter();
            let mut known: Vec<_> = pools
                .map(|(occupant, pool)| Known {
                    id: pool.tenant.clone(),
                    found: Ok(occupant),
                    pool: Some(pool),
                })
                .collect();
            known.sort_unstable_by(|one, other| one.id.cmp(&other.id));
            known
        }
        HealthOf::These(ids) => {
            let mut pools: HashMap<_, _> = of
                .server
                .tenant_pools()
                .into_iter()
                .map(|(_, pool)| (pool.tenant.clone(), pool))
                .collect();
            let known = stream::iter(ids.clone()).map(|id| {
                let pool = pools.remove(&id);
                let find = (of.find)(id.as_str().into());
                async move {
                    let found = match timeout_at(deadline, find).await {
                        Ok(Ok(db)) => Ok(Arc::clone(TenantDb::occupant(&db))),
                        Ok(Err(error)) => Err(in_words(&error)),
                        Err(_) => Err("no answer in time"),
                    };
                    Known { id, found, pool }
                }
            });
            known.buffered(LOOKUPS).collect().await
        }
    }
}

async fn pinged(deadline: Instant, ping: impl Future<Output = Result<(), Error>>) -> Pinged {
    let began = Instant::now();
    let answer = match timeout_at(deadline, ping).await {
        Ok(Ok(())) => Ok(began.elapsed()),
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err("no answer in time"),
    };
    Pinged { began, answer }
}

fn all(tenants: &[Known], pinged: Pinged) -> HashMap<TenantId, Pinged> {
    tenants.iter().map(|tenant| (tenant.id.clone(), pinged)).collect()
}

fn grade(
    server: &Server,
    tenant: &Known,
    pinged: &HashMap<TenantId, Pinged>,
    options: &HealthOptions,
) -> TenantHealth {
    let (total, idle, waiting) =
        tenant.pool.as_ref().map_or((0, 0, 0), |pool| (pool.total, pool.idle, pool.waiting));
    let cap = server.options().cap_of_a_tenant();
    let load = HealthStatus::of_load(total - idle, cap, waiting);
    let answer = match (&tenant.found, pinged.get(&tenant.id)) {
        (Err(reason), _) => Err(*reason),
        (Ok(_), Some(pinged)) => pinged.answer,
        (Ok(_), None) => Ok(Duration::ZERO),
    };
    let (status, reason) = match answer {
        Ok(took) => (load.max(HealthStatus::of_answer(took, options.ping_timeout)), None),
        Err(reason) => (HealthStatus::Unhealthy, Some(reason)),
    };
    TenantHealth {
        tenant_id: tenant.id.clone(),
        status,
        total_connections: total,
        idle_connections: idle,
        waiting_requests: waiting,
        reason,
    }
}

fn report(
    server: &Server,
    options: &HealthOptions,
    pinged: Option<Pinged>,
    pools: Vec<TenantHealth>,
    timestamp: SystemTime,
    began: Instant,
) -> HealthReport {
    let pool = server.snapshot(Detail::Totals);
    let answer = pinged.map(|pinged| pinged.answer);
    let mut status = HealthStatus::of_load(pool.leased, pool.max, pool.waiting);
    status = status.max(HealthStatus::of_breaker(pool.breaker));
    let (of_shared, reason) = match answer {
        None => (HealthStatus::of_breaker(pool.breaker), None),
        Some(Ok(took)) => (HealthStatus::of_answer(took, options.ping_timeout), None),
        Some(Err(reason)) => (HealthStatus::Unhealthy, Some(reason)),
    };
    status = status.max(of_shared);
    if server.is_closed() {
        status = HealthStatus::Unhealthy;
    }
    let shared_db = options.include_shared.then_some(SharedHealth {
        status: of_shared,
        response_time: answer.and_then(Result::ok),
        reason,
    });
    let count = |status| pools.iter().filter(|pool| pool.status == status).count();
    HealthReport {
        healthy: status != HealthStatus::Unhealthy,
        status,
        shared_db,
        breaker: pool.breaker,
        total_pools: pools.len(),
        degraded_pools: count(HealthStatus::Degraded),
        unhealthy_pools: count(HealthStatus::Unhealthy),
        pools,
        timestamp,
        duration: began.elapsed(),
    }
}

/// Says what is wrong without the database's words: a report may be read by anybody.
fn in_words(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::UnknownTenant => "unknown tenant",
        ErrorKind::Suspended => "suspended",
        ErrorKind::Placement => "it has no container of its own",
        ErrorKind::Timeout | ErrorKind::Overloaded => "no connection in time",
        ErrorKind::Unavailable => "the database cannot be reached",
        ErrorKind::Catalog => "the catalog cannot be asked",
        ErrorKind::Closed => "the manager is closed",
        _ => "the database has answered with an error",
    }
}
