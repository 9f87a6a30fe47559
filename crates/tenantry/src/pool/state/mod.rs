//! State protected by the pool's lock: the scheduler, the idle sessions, and the occupants.

mod report;
mod supply;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;

use self::supply::SHORTAGE;
use super::{
    answer::{Asked, Grant, QueuePlace, Waiter},
    breaker::{Breaker, BreakerOptions, Opener},
    holder::Held,
    lent::Lent,
    names::Names,
    occupant::{Occupant, OccupantId},
    outbox::{Order, Outbox, Outgoing},
    pooling::transaction_pooler,
    scheduler::{
        Acquire, Action, ConnId, How, Limits, OwnLimits, Refusal, Released, Scheduler, TenantKey,
        Time,
    },
    session::Session,
};
use crate::{
    error::{Error, ErrorKind, own},
    event::{BudgetChange, Event, EvictReason, Observer, PoolCreated, PoolEvicted},
    tenant::Ident,
};

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    /// The idle sessions, by connection.
    sessions: Vec<Option<Session>>,
    /// The holder of each connection, as its session records it.
    held: Vec<Held>,
    pools: HashMap<OccupantId, Pool>,
    names: Names,
    /// Number of pools that only remain for their leases and waiters.
    leaving: usize,
    evictions: BTreeMap<EvictReason, u64>,
    /// Error of the last failed connect.
    open_error: Option<Arc<sqlx::Error>>,
    breaker: Breaker,
    /// The connection that probes whether the server is up.
    probing: Option<ConnId>,
    /// The connection that is opened as a partner for a comparison.
    partner: Option<ConnId>,
    /// Reason why nothing is served any more, if so.
    condemned: Option<Condemned>,
    /// How long after the last failure a server without free slots is tried again.
    shortage: Duration,
    outbox: Outbox,
    /// When the server last answered.
    answered_at: Option<Time>,
    /// The part of this process in a budget that others share, if so.
    pub(super) lent: Option<Lent>,
}

struct Pool {
    key: TenantKey,
    occupant: Arc<Occupant>,
    /// The version of its limits that the scheduler knows.
    limits: u64,
    /// `true` if it was evicted and only remains for its leases and waiters.
    leaving: bool,
}

impl Pool {
    /// Returns the limits of its occupant, of which this is the latest, if they have changed.
    fn new_limits(&mut self, latest: &Occupant) -> Option<OwnLimits> {
        let limits = &self.occupant.limits;
        limits.follow(&latest.limits);
        // Read before the limits, so that a change in between is seen the next time.
        let version = limits.version();
        let before = std::mem::replace(&mut self.limits, version);
        (version != before).then(|| limits.of_scheduler())
    }
}

/// Reason why nothing is served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condemned {
    /// Tenants cannot be isolated behind a pooler in transaction mode.
    Pooler,
    /// The runtime that the connections belong to has ended.
    Homeless,
}

/// An idle connection that was taken out, and the occupant that it is bound to.
#[derive(Debug)]
pub(super) struct TakenOut {
    pub(super) conn: ConnId,
    pub(super) session: Session,
    pub(super) occupant: Arc<Occupant>,
}

impl State {
    pub(super) fn new(limits: Limits, breaker: BreakerOptions) -> Self {
        let sessions = (0..limits.budget).map(|_| None).collect();
        let held = (0..limits.budget).map(|_| Held::default()).collect();
        Self {
            scheduler: Scheduler::new(limits),
            sessions,
            held,
            pools: HashMap::new(),
            names: Names::default(),
            leaving: 0,
            evictions: BTreeMap::new(),
            open_error: None,
            breaker: Breaker::new(breaker),
            probing: None,
            partner: None,
            condemned: None,
            shortage: SHORTAGE,
            outbox: Outbox::default(),
            answered_at: None,
            lent: None,
        }
    }

    pub(super) fn ask(&mut self, now: Time, occupant: &Arc<Occupant>) -> Asked {
        if self.scheduler.is_closed() {
            // No tenant pool is created after the last one has ended.
            return Asked::Closed;
        }
        if let Some(error) = self.lent.as_ref().and_then(|lent| lent.barred(occupant)) {
            return Asked::Cut(occupant.name(error));
        }
        let (key, occupant) = self.pool_of(now, occupant);
        let mut receiver = None;
        let decision = self.scheduler.acquire(now, key, || {
            let (sender, answer) = oneshot::channel();
            receiver = Some(answer);
            Waiter { occupant: Arc::clone(&occupant), answer: sender }
        });
        match (decision, receiver) {
            (Acquire::Granted(conn, how), _) => {
                Asked::Granted(self.grant(now, conn, how, occupant))
            }
            (Acquire::Waiting(ticket), Some(answer)) => {
                Asked::Waiting(QueuePlace { key, ticket, answer })
            }
            (Acquire::QueueFull, _) => Asked::QueueFull(self.scheduler.max_waiting(key)),
            (Acquire::Cut, _) => Asked::Cut(self.refusal(now, Refusal::Cut, &occupant)),
            (Acquire::Closed | Acquire::Waiting(_), _) => Asked::Closed,
        }
    }

    /// Takes an idle connection for an occupant, if there is one that it may have.
    pub(super) fn ask_for_idle(&mut self, now: Time, occupant: &Arc<Occupant>) -> Option<Grant> {
        if self.scheduler.is_closed() {
            return None;
        }
        let (key, occupant) = self.pool_of(now, occupant);
        let (conn, how) = self.scheduler.try_acquire(now, key)?;
        Some(self.grant(now, conn, how, occupant))
    }

    fn grant(&mut self, since: Time, conn: ConnId, how: How, occupant: Arc<Occupant>) -> Grant {
        Grant { conn, how, session: self.take_session(conn), occupant, since }
    }

    /// Finds or creates the pool of an occupant, and returns the occupant as known to the pool.
    fn pool_of(&mut self, now: Time, occupant: &Arc<Occupant>) -> (TenantKey, Arc<Occupant>) {
        if let Some(pool) = self.pools.get_mut(&occupant.id)
            && !pool.leaving
        {
            let key = pool.key;
            if pool.occupant.is_same(occupant) {
                occupant.share_ties_of(&pool.occupant);
                let (known, own) = (Arc::clone(&pool.occupant), pool.new_limits(occupant));
                own.into_iter().for_each(|own| self.scheduler.set_limits(now, key, own));
                return (key, known);
            }
            self.scheduler.evict(now, key, EvictReason::Changed);
            self.settle(now);
        }
        // Connections of the former pool that are still in use count against this one's cap.
        let key = match self.pools.get(&occupant.id) {
            Some(before) => {
                self.leaving -= usize::from(before.leaving);
                self.scheduler.begin_anew(now, before.key, occupant.class);
                before.key
            }
            None => self.scheduler.add_tenant(now, occupant.class),
        };
        let pool = Pool { key, occupant: Arc::clone(occupant), limits: 0, leaving: false };
        self.pools.insert(occupant.id.clone(), pool);
        self.follow_limits(now, occupant);
        self.names.give(key, Arc::clone(occupant));
        if let Some(tenant) = occupant.tenant() {
            self.outbox.tell(Event::PoolCreated(PoolCreated {
                tenant_id: tenant.clone(),
                schema: Arc::clone(occupant.schema()),
                server: None,
            }));
        }
        (key, Arc::clone(occupant))
    }

    /// Tells the scheduler the limits of an occupant that has a pool, if they have changed.
    pub(super) fn follow_limits(&mut self, now: Time, occupant: &Occupant) {
        if let Some(pool) = self.pools.get_mut(&occupant.id)
            && let Some(own) = pool.new_limits(occupant)
        {
            self.scheduler.set_limits(now, pool.key, own);
        }
    }

    /// Applies other limits.
    pub(super) fn resize(&mut self, now: Time, limits: Limits) {
        let places = self.sessions.len().max(limits.budget);
        self.sessions.resize_with(places, || None);
        self.held.resize_with(places, Held::default);
        self.scheduler.resize(now, limits);
    }

    /// Refuses all requests that wait, but those of the library.
    pub(super) fn bar(&mut self, now: Time) {
        self.scheduler.bar(now);
    }

    /// Reports that the part in a shared budget has another state.
    pub(super) fn tell_of_budget(&mut self, change: BudgetChange) {
        self.outbox.tell(Event::Budget(change));
    }

    /// Evicts the tenant pool of an occupant. Returns `true` if there was one.
    pub(super) fn evict(&mut self, now: Time, id: &OccupantId, reason: EvictReason) -> bool {
        let key = self.pools.get(id).filter(|pool| !pool.leaving).map(|pool| pool.key);
        if let Some(key) = key {
            self.scheduler.evict(now, key, reason);
        }
        key.is_some()
    }

    pub(super) fn give_back(&mut self, now: Time, conn: ConnId, mut session: Session) {
        if let Some(at) = session.take_answer() {
            session.seen = at;
            self.note_success(now, at);
        }
        self.put_session(conn, session);
        self.scheduler.release(now, conn, Released::Usable);
    }

    fn put_session(&mut self, conn: ConnId, session: Session) {
        self.sessions[conn.index()] = Some(session);
    }

    fn take_session(&mut self, conn: ConnId) -> Session {
        self.sessions[conn.index()].take().expect("what is granted was put back before")
    }

    /// Turns the scheduler's actions into orders, and empties the outbox.
    pub(super) fn empty_outbox(&mut self, now: Time, observer: &Observer) -> Outgoing {
        self.settle(now);
        self.outbox.empty(observer)
    }

    /// Turns the scheduler's actions into orders: takes sessions out, removes names.
    fn settle(&mut self, now: Time) {
        while let Some(action) = self.scheduler.next_action() {
            let order = self.order(now, action);
            order.into_iter().for_each(|order| self.outbox.order(order));
        }
    }

    fn order(&mut self, now: Time, action: Action<Waiter>) -> Option<Order> {
        Some(match action {
            Action::Grant { waiter: Waiter { occupant, answer }, conn, how, .. } => {
                Order::Answer(answer, Ok(self.grant(now, conn, how, occupant)))
            }
            Action::Refuse { waiter: Waiter { occupant, answer }, why } => {
                Order::Answer(answer, Err(self.refusal(now, why, &occupant)))
            }
            Action::Open(conn) => Order::Open(conn, self.opener_of(conn), self.home_of(conn)),
            Action::Review(after) => Order::ReviewHomes(after),
            Action::Close(conn) => {
                Order::Close { conn, session: self.sessions[conn.index()].take() }
            }
            Action::Evicted { tenant, reason } => {
                self.note_evicted(tenant, reason);
                return None;
            }
            Action::Forgotten(tenant) => {
                self.forget(tenant);
                return None;
            }
        })
    }

    /// Returns the database of the tenant that a connection is opened for.
    fn home_of(&self, conn: ConnId) -> Option<Ident> {
        self.names.get(self.scheduler.aim_of(conn)?)?.home().database().cloned()
    }

    fn opener_of(&self, conn: ConnId) -> Opener {
        match Some(conn) {
            conn if conn == self.probing => Opener::Probe,
            conn if conn == self.partner => Opener::Partner,
            _ => Opener::Need,
        }
    }

    /// Records that a tenant pool only remains for its leases and waiters.
    fn note_evicted(&mut self, tenant: TenantKey, reason: EvictReason) {
        let Some(occupant) = self.names.retire(tenant) else { return };
        *self.evictions.entry(reason).or_default() += 1;
        if let Some(pool) = self.pools.get_mut(&occupant.id) {
            pool.leaving = true;
            self.leaving += 1;
        }
        if let Some(tenant) = occupant.tenant() {
            self.outbox.tell_decision(Event::PoolEvicted(PoolEvicted {
                tenant_id: tenant.clone(),
                schema: Arc::clone(occupant.schema()),
                reason,
                server: None,
            }));
        }
    }

    /// Removes a tenant pool after its last lease and waiter.
    fn forget(&mut self, tenant: TenantKey) {
        if let Some(occupant) = self.names.take(tenant) {
            let pool = self.pools.remove(&occupant.id);
            self.leaving -= usize::from(pool.is_some_and(|pool| pool.leaving));
        }
    }

    fn refusal(&self, now: Time, why: Refusal, occupant: &Occupant) -> Error {
        match self.condemned.filter(|_| why != Refusal::Closed) {
            Some(Condemned::Pooler) => transaction_pooler(),
            Some(Condemned::Homeless) => occupant.name(homeless()),
            None => occupant.name(match why {
                Refusal::Closed => Error::new(ErrorKind::Closed, "waiting for a connection"),
                Refusal::Barred => {
                    match self.lent.as_ref().and_then(|lent| lent.barred(occupant)) {
                        Some(error) => error,
                        None => Error::new(ErrorKind::Overloaded, "waiting for a connection"),
                    }
                }
                Refusal::OpenFailed => {
                    self.with_cause(Error::new(ErrorKind::Unavailable, "opening a connection"))
                }
                Refusal::Cut => {
                    let attempted = "connecting is suspended, because every attempt failed";
                    let error = Error::new(ErrorKind::Unavailable, attempted);
                    self.with_cause(error.with_retry_after(self.breaker.retry_after(now)))
                }
            }),
        }
    }

    /// Adds the error of the last failed connect.
    fn with_cause(&self, error: Error) -> Error {
        let Some(source) = &self.open_error else { return error };
        match own(source) {
            // The server is fine: the configuration has to be changed.
            Some(own) if own.kind() == ErrorKind::Config => own.again(),
            _ => error.with_source(Arc::clone(source)),
        }
    }

    /// Takes idle connections out, as leases of the occupants they are bound to. An unbound one is
    /// closed; one whose tenant is at its cap stays.
    pub(super) fn take_idle(
        &mut self,
        now: Time,
        which: impl Fn(&Session) -> bool,
    ) -> Vec<TakenOut> {
        let mut taken = Vec::new();
        for place in self.places_of(which) {
            let Some((conn, key)) = self.scheduler.take_out(now, place) else { continue };
            let Some(occupant) = self.names.get(key).cloned() else {
                self.scheduler.release(now, conn, Released::Usable);
                continue;
            };
            taken.push(TakenOut { conn, session: self.take_session(conn), occupant });
        }
        taken
    }

    /// Closes idle connections.
    pub(super) fn close_idle(&mut self, which: impl Fn(&Session) -> bool) {
        for place in self.places_of(which) {
            self.scheduler.close_if_idle(place);
        }
    }

    fn places_of(&self, which: impl Fn(&Session) -> bool) -> Vec<usize> {
        let places = self.sessions.iter().enumerate();
        places
            .filter(|(_, session)| session.as_ref().is_some_and(&which))
            .map(|(place, _)| place)
            .collect()
    }

    /// Invalidates every handle that uses the pool of an occupant.
    pub(super) fn retire(&self, id: &OccupantId) {
        if let Some(pool) = self.pools.get(id) {
            pool.occupant.retire();
        }
    }

    /// Makes the sessions of an occupant drop their prepared statements before their next use.
    pub(super) fn note_change(&self, id: &OccupantId) {
        if let Some(pool) = self.pools.get(id) {
            pool.occupant.note_change();
        }
    }
}

/// Returns the error after the runtime of the connections has ended.
fn homeless() -> Error {
    let attempted = "acquiring a connection: the runtime on which the pool was first used has ended, and \
                     its connections with it";
    let closed = Error::new(ErrorKind::Closed, attempted);
    closed.with_source("use a manager on a runtime that outlives it")
}
