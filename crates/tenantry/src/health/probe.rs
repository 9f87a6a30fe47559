//! Questions to one server: whether it answers, and whether its tenants can be reached.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::TryFutureExt;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use crate::{
    db::{Handle, SharedDb},
    error::{Error, ErrorKind},
    pool::{Lease, Occupant, Server, TRANSACTION_POOLER, TenantPoolSnapshot},
    tenant::TenantId,
};

/// The checks of one server. They run one after the other, and concurrent requests for the
/// same check share the next one: clients of a health endpoint cannot exhaust the connections.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Serializes pings. It is held briefly, so that a probe that needs only a ping does not wait
    /// for a check of all tenants.
    ping: Mutex<Option<Pinged>>,
    /// Serializes checks of the tenants.
    look: Mutex<Option<Look>>,
}

/// A server, with connections of its reserve.
pub(super) struct On<'a> {
    pub(super) name: &'a str,
    pub(super) server: &'a Arc<Server>,
    system: SharedDb,
}

impl<'a> On<'a> {
    pub(super) fn new(name: &'a str, server: &'a Arc<Server>) -> Self {
        let system = Handle::new(Arc::clone(server), Arc::clone(server.system()));
        Self { name, server, system: SharedDb::new(system) }
    }
}

/// Result of a ping.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
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
pub(super) struct Seen {
    pub(super) id: TenantId,
    pub(super) found: Result<Arc<Occupant>, &'static str>,
    pub(super) pool: Option<TenantPoolSnapshot>,
    pub(super) answer: Option<Answer>,
}

impl Probe {
    /// Pings the database.
    pub(super) async fn ping(&self, of: &On<'_>, asked: Instant, deadline: Instant) -> Answer {
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
    pub(super) async fn look(
        &self,
        of: &On<'_>,
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
    pub(super) async fn ask_about(
        &self,
        of: &On<'_>,
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
pub(super) const LATE: &str = "no answer in time";

/// Pings the server on one of the library's own connections.
async fn sign_of_life(of: &On<'_>, began: Instant, deadline: Instant) -> Answer {
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
        Ok(Ok(())) => {
            let answer = Answer::In(began.elapsed());
            find_citus(of.server, lease, deadline).await;
            answer
        }
        Ok(Err(error)) => Answer::None(in_words(&error.into())),
        Err(_) => Answer::None(LATE),
    }
}

/// Finds out, at the first check, whether the server has Citus. What fails is found out at the next one.
async fn find_citus(server: &Server, mut lease: Lease, deadline: Instant) {
    if server.citus().known(None).is_none() {
        drop(timeout_at(deadline, lease.citus()).await);
    }
}

/// Checks the schemas and roles of all these tenants at once.
async fn with_answers(
    of: &On<'_>,
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
            Some(false) => {
                Answer::None("its schema, database or role is missing or may not be used")
            }
            _ => answer,
        });
    }
    seen
}

/// Returns the tenants that have a tenant pool, by name.
fn bound(server: &Arc<Server>) -> Vec<Seen> {
    let mut seen: Vec<_> = server
        .serving()
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

/// Describes an error without text from the database, because any client may read a report.
pub(super) fn in_words(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::UnknownTenant => "unknown tenant",
        ErrorKind::Suspended => "suspended",
        ErrorKind::Placement => "its placement cannot be used",
        ErrorKind::Timeout | ErrorKind::Overloaded => "no connection in time",
        ErrorKind::Unavailable => "the database cannot be reached",
        ErrorKind::Catalog => "the catalog cannot be queried",
        ErrorKind::TransactionPooler => TRANSACTION_POOLER,
        ErrorKind::Closed => "the manager is closed",
        _ => "the database returned an error",
    }
}
