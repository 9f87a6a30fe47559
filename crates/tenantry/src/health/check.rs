use std::{
    cmp::Reverse,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, TryFutureExt, stream};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    HealthOf, HealthOptions, HealthReport, HealthStatus, Holder, SATURATED, Saturation,
    SharedHealth, TenantHealth,
};
use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    pool::{
        Detail, Holding, Occupant, OccupantId, PoolSnapshot, Pooling, Server, TRANSACTION_POOLER,
        TenantPoolSnapshot,
    },
    tenant::TenantId,
    warmup::Tenants,
};

/// The health checks of a manager. They run one after the other, and concurrent requests for the
/// same check share the next one: clients of a health endpoint cannot exhaust the connections.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Serializes pings. It is held briefly, so that a probe that needs only a ping does not wait
    /// for a check of all tenants.
    ping: Mutex<Option<Pinged>>,
    /// Serializes checks of the tenants.
    look: Mutex<Option<Look>>,
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
    pub(crate) server: &'a Arc<Server>,
    /// The shared schema, with connections of the reserve.
    pub(crate) system: &'a SharedDb,
    pub(crate) find: &'a Tenants<'a>,
}

/// Result of a ping.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// It has answered after this time.
    In(Duration),
    /// Every connection is in use: the result is unknown.
    Busy,
    /// It has not answered, or has returned an error.
    None(&'static str),
}

/// A result, and the start of its ping.
#[derive(Debug, Clone, Copy)]
struct Pinged {
    began: Instant,
    answer: Answer,
}

/// A check of all tenants that have a tenant pool.
#[derive(Debug, Clone)]
struct Look {
    began: Instant,
    tenants: Arc<[Seen]>,
}

/// The known state of one tenant.
#[derive(Debug, Clone)]
struct Seen {
    id: TenantId,
    found: Result<Arc<Occupant>, &'static str>,
    pool: Option<TenantPoolSnapshot>,
    answer: Option<Answer>,
}

impl Checks {
    pub(crate) fn last(&self) -> Option<Summary> {
        *self.last.lock()
    }

    pub(crate) async fn run(&self, of: &Subject<'_>, options: &HealthOptions) -> HealthReport {
        let (began, timestamp) = (Instant::now(), SystemTime::now());
        let deadline = began + options.ping_timeout.min(A_YEAR);
        let answer = match options.ping {
            true => Some(self.ping(of, began, deadline).await),
            false => None,
        };
        let tenants = match &options.tenants {
            HealthOf::Nobody => Arc::default(),
            HealthOf::Bound => self.look(of, answer, began, deadline).await,
            HealthOf::These(ids) => {
                let seen = found(of, ids, deadline).await;
                self.ask_about(of, seen, answer, deadline).await
            }
        };
        let pools = tenants.iter().map(|tenant| grade(of.server, tenant, options)).collect();
        let report = report(of.server, options, answer, pools, timestamp, began);
        self.remember(&report, options);
        report
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

    /// Pings the database.
    async fn ping(&self, of: &Subject<'_>, asked: Instant, deadline: Instant) -> Answer {
        let Ok(mut turn) = timeout_at(deadline, self.ping.lock()).await else {
            // Earlier callers have already waited for the same answer.
            return Answer::None(LATE);
        };
        match *turn {
            Some(shared) if shared.began >= asked => shared.answer,
            _ => {
                let began = Instant::now();
                let answer = sign_of_life(of, began, deadline).await;
                *turn = Some(Pinged { began, answer });
                answer
            }
        }
    }

    /// Checks all tenants that have a tenant pool.
    async fn look(
        &self,
        of: &Subject<'_>,
        answer: Option<Answer>,
        asked: Instant,
        deadline: Instant,
    ) -> Arc<[Seen]> {
        let turn = timeout_at(deadline, self.look.lock()).await;
        let shared = turn.as_ref().ok().and_then(|turn| turn.as_ref());
        if let Some(look) = shared.filter(|look| look.began >= asked) {
            return Arc::clone(&look.tenants);
        }
        let began = Instant::now();
        let tenants = bound(of.server);
        let Ok(mut turn) = turn else {
            // Too many checks at once: the pool's own state must suffice.
            return tenants.into();
        };
        let tenants: Arc<[Seen]> = with_answers(of, tenants, answer, deadline).await.into();
        *turn = Some(Look { began, tenants: Arc::clone(&tenants) });
        tenants
    }

    /// Checks some tenants, unless another check is running.
    async fn ask_about(
        &self,
        of: &Subject<'_>,
        seen: Vec<Seen>,
        answer: Option<Answer>,
        deadline: Instant,
    ) -> Arc<[Seen]> {
        match timeout_at(deadline, self.look.lock()).await {
            Ok(_turn) => with_answers(of, seen, answer, deadline).await.into(),
            Err(_) => seen.into(),
        }
    }
}

/// The reason for a missing answer.
const LATE: &str = "no answer in time";

/// Pings the server on one of the library's own connections.
async fn sign_of_life(of: &Subject<'_>, began: Instant, deadline: Instant) -> Answer {
    let mut acquire = pin!(of.system.acquire().map_err(Error::from));
    let half = began + deadline.saturating_duration_since(began) / 2;
    let acquired = match timeout_at(half, &mut acquire).await {
        // The prober has a timeout, too, and needs an answer before that.
        Err(_) if of.server.is_used_up() => return Answer::Busy,
        Err(_) => timeout_at(deadline, acquire).await,
        acquired => acquired,
    };
    let mut lease = match acquired {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) if !matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Overloaded) => {
            return Answer::None(in_words(&error));
        }
        // A tenant that uses every connection must not make the others look dead.
        _ if of.server.is_used_up() => return Answer::Busy,
        _ => return Answer::None("no connection in time"),
    };
    match timeout_at(deadline, lease.ping()).await {
        Ok(Ok(())) => Answer::In(began.elapsed()),
        Ok(Err(error)) => Answer::None(in_words(&error.into())),
        Err(_) => Answer::None(LATE),
    }
}

/// Checks the schemas and roles of all these tenants at once.
async fn with_answers(
    of: &Subject<'_>,
    mut seen: Vec<Seen>,
    answer: Option<Answer>,
    deadline: Instant,
) -> Vec<Seen> {
    let Some(Answer::In(_)) = answer else {
        seen.iter_mut().for_each(|tenant| tenant.answer = answer);
        return seen;
    };
    let asked: Vec<_> =
        seen.iter().filter_map(|tenant| tenant.found.as_ref().ok()).cloned().collect();
    if asked.is_empty() {
        return seen;
    }
    let began = Instant::now();
    let (answer, reachable) = match timeout_at(deadline, of.system.reachable(&asked)).await {
        Ok(Ok(reachable)) => (Answer::In(began.elapsed()), reachable),
        Ok(Err(error)) => (Answer::None(in_words(&error)), Vec::new()),
        Err(_) => (Answer::None(LATE), Vec::new()),
    };
    let mut reachable = reachable.into_iter();
    for tenant in seen.iter_mut().filter(|tenant| tenant.found.is_ok()) {
        tenant.answer = Some(match reachable.next() {
            Some(false) => Answer::None("its schema or role is missing or may not be used"),
            _ => answer,
        });
    }
    seen
}

/// Maximum duration of a check, which the clock can represent.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Number of concurrent tenant look-ups.
const LOOKUPS: usize = 4;

/// Returns the tenants that have a tenant pool, by name.
fn bound(server: &Server) -> Vec<Seen> {
    let mut seen: Vec<_> = server
        .tenant_pools()
        .map(|(occupant, pool)| Seen {
            id: pool.tenant.clone(),
            found: Ok(occupant),
            pool: Some(pool),
            answer: None,
        })
        .collect();
    seen.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    seen
}

/// Looks up these tenants.
async fn found(of: &Subject<'_>, ids: &[TenantId], deadline: Instant) -> Vec<Seen> {
    let seen = stream::iter(ids.to_vec()).map(|id| {
        let pool = of.server.tenant_pool(&id);
        let find = (of.find)(id.as_str().into());
        async move {
            let found = match timeout_at(deadline, find).await {
                Ok(Ok(db)) => Ok(Arc::clone(db.occupant())),
                Ok(Err(error)) => Err(in_words(&error)),
                Err(_) => Err(LATE),
            };
            Seen { id, found, pool, answer: None }
        }
    });
    seen.buffered(LOOKUPS).collect().await
}

fn grade(server: &Server, tenant: &Seen, options: &HealthOptions) -> TenantHealth {
    let (total, idle, waiting) =
        tenant.pool.as_ref().map_or((0, 0, 0), |pool| (pool.total, pool.idle, pool.waiting));
    let cap = server.cap_of_a_tenant();
    let in_use = total - idle;
    let load = HealthStatus::of_load(in_use, cap, waiting);
    let (answered, reason) = match tenant.found {
        Ok(_) => of_answer(tenant.answer, options),
        Err(reason) => (HealthStatus::Unhealthy, Some(reason)),
    };
    let reason = reason.or((in_use >= cap && waiting > 0).then_some(AT_ITS_CAP));
    TenantHealth {
        tenant_id: tenant.id.clone(),
        status: load.max(answered),
        total_connections: total,
        idle_connections: idle,
        waiting_requests: waiting,
        reason,
    }
}

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

fn report(
    server: &Server,
    options: &HealthOptions,
    answer: Option<Answer>,
    pools: Vec<TenantHealth>,
    timestamp: SystemTime,
    began: Instant,
) -> HealthReport {
    let pool = server.snapshot(Detail::Totals);
    let of_breaker = HealthStatus::of_breaker(pool.breaker);
    let (of_shared, reason) = match answer {
        None => (of_breaker, None),
        answer => of_answer(answer, options),
    };
    let saturation = server.saturation().map(|holdings| Saturation {
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
            of_load.max(of_breaker).max(of_shared)
        }
    };
    let shared_db = options.include_shared.then_some(SharedHealth {
        status: of_shared,
        response_time: match answer {
            Some(Answer::In(took)) => Some(took),
            _ => None,
        },
        reason,
    });
    let count = |status| pools.iter().filter(|pool| pool.status == status).count();
    HealthReport {
        healthy: status != HealthStatus::Unhealthy,
        status,
        shared_db,
        breaker: pool.breaker,
        pooling,
        reason: match &saturation {
            _ if pooling == Pooling::Transaction => Some(TRANSACTION_POOLER),
            Some(_) => Some(SATURATED),
            None => None,
        },
        saturation,
        total_pools: pools.len(),
        degraded_pools: count(HealthStatus::Degraded),
        unhealthy_pools: count(HealthStatus::Unhealthy),
        pools,
        timestamp,
        duration: began.elapsed(),
    }
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
                Some(OccupantId::Upkeep) => "upkeep",
                _ => "tenant",
            },
            connections: of.connections,
            longest_hold: of.longest,
        }
    });
    named.collect()
}

/// Describes an error without text from the database, because any client may read a report.
fn in_words(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::UnknownTenant => "unknown tenant",
        ErrorKind::Suspended => "suspended",
        ErrorKind::Placement => "it does not have its own container",
        ErrorKind::Timeout | ErrorKind::Overloaded => "no connection in time",
        ErrorKind::Unavailable => "the database cannot be reached",
        ErrorKind::Catalog => "the catalog cannot be queried",
        ErrorKind::TransactionPooler => TRANSACTION_POOLER,
        ErrorKind::Closed => "the manager is closed",
        _ => "the database returned an error",
    }
}
