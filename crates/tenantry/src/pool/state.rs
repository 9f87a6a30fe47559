//! What the pool's lock protects: the scheduler, the idle sessions, and who is who.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    Acquires, BreakerOptions, Lease, PoolSnapshot, SharedPoolSnapshot, TenantPoolSnapshot,
    breaker::{Breaker, Opener},
    occupant::{Occupant, OccupantId},
    pooling::transaction_pooler,
    scheduler::{
        Acquire, Action, ConnId, How, Limits, Refusal, Released, Scheduler, Supply, TenantKey,
        Ticket, Time,
    },
    session::Session,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of},
    event::{BreakerChange, BreakerState, Event, EvictReason, Observer, PoolCreated, PoolEvicted},
};

/// How long no connection is opened while there are some that serve and no more can be had.
const SHORTAGE: Duration = Duration::from_millis(200);

/// How long an answer of the server shows that it is there.
const RECENTLY: Duration = Duration::from_secs(1);

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    /// The sessions that are idle, by their connection.
    sessions: Vec<Option<Session>>,
    pools: HashMap<OccupantId, Pool>,
    names: HashMap<TenantKey, Arc<Occupant>>,
    acquires: Acquires,
    evictions: BTreeMap<EvictReason, u64>,
    /// Why the last connection could not be opened.
    open_error: Option<Arc<sqlx::Error>>,
    breaker: Breaker,
    /// The connection that is opened to see whether the server is there.
    probing: Option<ConnId>,
    /// The connection that is opened for another one to be compared with.
    partner: Option<ConnId>,
    /// Whether nothing is to be served, because tenants cannot be kept apart.
    condemned: bool,
    /// What has come up beside what the scheduler has decided.
    more_orders: Vec<Order>,
    /// What is to be told.
    events: Vec<Event>,
    /// What is to be told after what the scheduler has decided: a tenant pool that takes the place of
    /// another begins when that one has ended.
    later_events: Vec<Event>,
    /// When the server last answered.
    answered_at: Option<Time>,
}

struct Pool {
    key: TenantKey,
    occupant: Arc<Occupant>,
}

/// How to reach somebody who waits.
pub(super) struct Waiter {
    pub(super) occupant: Arc<Occupant>,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What somebody who waits is told.
pub(super) type Answer = Result<Lease, Error>;

/// What an acquire comes to at once.
pub(super) enum Asked {
    Granted { conn: ConnId, session: Session, occupant: Arc<Occupant> },
    Waiting { key: TenantKey, ticket: Ticket, answer: oneshot::Receiver<Answer> },
    QueueFull,
    Cut(Error),
    Closed,
}

/// How much a snapshot tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Totals,
    /// The tenant pools, too.
    Tenants,
}

/// Something to be done outside the lock.
pub(super) enum Order {
    Hand {
        waiter: Waiter,
        conn: ConnId,
        session: Session,
    },
    Refuse {
        waiter: Waiter,
        error: Error,
    },
    Open(ConnId, Opener),
    /// Look after this time whether connections can be opened again.
    ReviewSupply(Duration),
    Close {
        conn: ConnId,
        session: Option<Session>,
    },
}

impl State {
    pub(super) fn new(limits: Limits, breaker: BreakerOptions) -> Self {
        let sessions = (0..limits.budget).map(|_| None).collect();
        Self {
            scheduler: Scheduler::new(limits),
            sessions,
            pools: HashMap::new(),
            names: HashMap::new(),
            acquires: Acquires::default(),
            evictions: BTreeMap::new(),
            open_error: None,
            breaker: Breaker::new(breaker),
            probing: None,
            partner: None,
            condemned: false,
            more_orders: Vec::new(),
            events: Vec::new(),
            later_events: Vec::new(),
            answered_at: None,
        }
    }

    pub(super) fn ask(&mut self, now: Time, occupant: &Arc<Occupant>) -> Asked {
        let (key, occupant) = self.pool_of(now, occupant);
        let mut receiver = None;
        let decision = self.scheduler.acquire(now, key, || {
            let (sender, answer) = oneshot::channel();
            receiver = Some(answer);
            Waiter { occupant: Arc::clone(&occupant), answer: sender }
        });
        match (decision, receiver) {
            (Acquire::Granted(conn, how), _) => {
                self.count(how);
                Asked::Granted { conn, session: self.take_session(conn), occupant }
            }
            (Acquire::Waiting(ticket), Some(answer)) => Asked::Waiting { key, ticket, answer },
            (Acquire::QueueFull, _) => {
                self.acquires.refused += 1;
                Asked::QueueFull
            }
            (Acquire::Cut, _) => {
                self.acquires.refused += 1;
                Asked::Cut(self.refusal(now, Refusal::Cut, &occupant))
            }
            (Acquire::Closed | Acquire::Waiting(_), _) => Asked::Closed,
        }
    }

    /// Finds or begins the pool of an occupant, and returns the occupant as the pool knows it.
    fn pool_of(&mut self, now: Time, occupant: &Arc<Occupant>) -> (TenantKey, Arc<Occupant>) {
        if let Some(pool) = self.pools.get(&occupant.id)
            && pool.occupant.is_same(occupant)
        {
            return (pool.key, Arc::clone(&pool.occupant));
        }
        let key = self.scheduler.add_tenant(now, occupant.class);
        // Only now, so that the new pool does not get the old one's key: what is told of the old
        // one's end later would be taken to be about the new one.
        if let Some(before) = self.pools.remove(&occupant.id) {
            self.scheduler.evict(now, before.key, EvictReason::Changed);
        }
        let pool = Pool { key, occupant: Arc::clone(occupant) };
        self.pools.insert(occupant.id.clone(), pool);
        self.names.insert(key, Arc::clone(occupant));
        if let Some(tenant) = occupant.tenant() {
            self.tell(Event::PoolCreated(PoolCreated {
                tenant_id: tenant.clone(),
                schema: Arc::clone(&occupant.schema),
            }));
        }
        (key, Arc::clone(occupant))
    }

    /// Forgets the tenant pool of an occupant. Returns whether there was one.
    pub(super) fn evict(&mut self, now: Time, id: &OccupantId, reason: EvictReason) -> bool {
        let key = self.pools.get(id).map(|pool| pool.key);
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

    /// Takes a connection that was opened.
    pub(super) fn opened(&mut self, now: Time, conn: ConnId, session: Session, expires: Time) {
        self.open_error = None;
        self.probing.take_if(|probe| *probe == conn);
        self.partner.take_if(|partner| *partner == conn);
        self.note_success(now, now);
        self.put_session(conn, session);
        self.scheduler.opened(now, conn, expires);
    }

    /// Notes that a connection could not be opened, and why, unless nobody knows.
    pub(super) fn open_failed(&mut self, now: Time, conn: ConnId, error: Option<sqlx::Error>) {
        if self.partner.take_if(|partner| *partner == conn).is_some() {
            return self.scheduler.open_given_up(now, conn);
        }
        let probe = self.probing.take_if(|probe| *probe == conn).is_some();
        let opener = if probe { Opener::Probe } else { Opener::Need };
        let class = error.as_ref().map(class_of);
        self.open_error = error.map(Arc::new);
        if self.is_served(now, class) {
            // The server is there, and so are some of our connections to it: they come back.
            self.breaker.succeeded(now).then(|| self.tell_of_breaker(now));
            self.set_supply(now, Supply::Short);
            self.more_orders.push(Order::ReviewSupply(SHORTAGE));
        } else if let Some(class) = class
            && self.breaker.failed(now, opener, class.is_transient())
        {
            self.set_supply(now, Supply::Cut);
            self.more_orders.push(Order::ReviewSupply(self.breaker.pause()));
            self.tell_of_breaker(now);
        }
        self.scheduler.open_failed(now, conn);
    }

    /// Has a connection opened for another one to be compared with, unless one is on its way already.
    /// Returns whether there will be one.
    pub(super) fn open_partner(&mut self) -> bool {
        // The one that asks counts as being opened itself.
        if self.scheduler.counts().opening > 1 {
            return true;
        }
        self.partner = self.scheduler.open_probe();
        self.partner.is_some()
    }

    /// Refuses whoever waits, and has no connection opened any more.
    pub(super) fn condemn(&mut self, now: Time) {
        self.condemned = true;
        self.scheduler.set_supply(now, Supply::Cut);
    }

    fn set_supply(&mut self, now: Time, supply: Supply) {
        if !self.condemned {
            self.scheduler.set_supply(now, supply);
        }
    }

    /// Says whether requests can be served although a connection could not be opened: the server has
    /// said that it has no room for more, or has answered on another one just now.
    fn is_served(&self, now: Time, class: Option<ErrorClass>) -> bool {
        let answered = self.answered_at.is_some_and(|at| now.saturating_sub(at) < RECENTLY);
        let full = class == Some(ErrorClass::TooManyConnections);
        self.scheduler.alive() > 0 && (full || answered)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered_at.is_some()
    }

    /// Notes that the server has answered, and when.
    fn note_success(&mut self, now: Time, at: Time) {
        self.answered_at = self.answered_at.max(Some(at));
        if self.breaker.succeeded(at) {
            self.set_supply(now, Supply::Normal);
            self.tell_of_breaker(now);
        }
    }

    /// Opens connections again after a shortage, or one to see whether the server is there.
    pub(super) fn review_supply(&mut self, now: Time) {
        if self.scheduler.supply() == Supply::Short {
            return self.set_supply(now, Supply::Normal);
        }
        if !self.breaker.begin_probe(now) {
            return;
        }
        self.probing = self.scheduler.open_probe();
        if self.probing.is_some() {
            self.tell_of_breaker(now);
        } else if !self.scheduler.is_closed() {
            // Every place is taken by a connection that has not come back yet.
            let pause = self.breaker.postpone_probe(now);
            self.more_orders.push(Order::ReviewSupply(pause));
        }
    }

    fn tell_of_breaker(&mut self, now: Time) {
        let state = self.breaker.state();
        let open = state == BreakerState::Open;
        let retry_after = open.then(|| self.breaker.retry_after(now));
        let failed_probes = self.breaker.failed_probes();
        self.tell(Event::Breaker(BreakerChange { state, retry_after, failed_probes }));
    }

    fn tell(&mut self, event: Event) {
        self.later_events.push(event);
    }

    /// Hands over what is to be told, so that it is in the order in which it has happened. Returns
    /// whether there was anything.
    pub(super) fn queue_events(&mut self, observer: &Observer) -> bool {
        let any = !self.events.is_empty();
        self.events.drain(..).for_each(|event| observer.queue(event));
        any
    }

    pub(super) fn note_timeout(&mut self) {
        self.acquires.timeout += 1;
    }

    fn count(&mut self, how: How) {
        match how {
            How::Hit => self.acquires.hit += 1,
            How::Rebind => self.acquires.rebind += 1,
            How::Bind => self.acquires.open += 1,
        }
    }

    /// Turns the scheduler's actions into orders: takes sessions out, forgets names.
    pub(super) fn orders(&mut self, now: Time) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some(action) = self.scheduler.next_action() {
            orders.extend(self.order(now, action));
        }
        orders.append(&mut self.more_orders);
        self.events.append(&mut self.later_events);
        orders
    }

    fn order(&mut self, now: Time, action: Action<Waiter>) -> Option<Order> {
        Some(match action {
            Action::Grant { waiter, conn, how, .. } => {
                self.count(how);
                Order::Hand { waiter, conn, session: self.take_session(conn) }
            }
            Action::Refuse { waiter, why } => {
                self.acquires.refused += 1;
                Order::Refuse { error: self.refusal(now, why, &waiter.occupant), waiter }
            }
            Action::Open(conn) => {
                let opener = match Some(conn) {
                    conn if conn == self.probing => Opener::Probe,
                    conn if conn == self.partner => Opener::Partner,
                    _ => Opener::Need,
                };
                Order::Open(conn, opener)
            }
            Action::Close(conn) => {
                Order::Close { conn, session: self.sessions[conn.index()].take() }
            }
            Action::Evicted { tenant, reason } => {
                let occupant = self.names.remove(&tenant)?;
                *self.evictions.entry(reason).or_default() += 1;
                if self.pools.get(&occupant.id).is_some_and(|pool| pool.key == tenant) {
                    self.pools.remove(&occupant.id);
                }
                self.events.push(Event::PoolEvicted(PoolEvicted {
                    tenant_id: occupant.tenant()?.clone(),
                    schema: Arc::clone(&occupant.schema),
                    reason,
                }));
                return None;
            }
        })
    }

    fn refusal(&self, now: Time, why: Refusal, occupant: &Occupant) -> Error {
        if self.condemned && why != Refusal::Closed {
            return transaction_pooler();
        }
        let error = match why {
            Refusal::Closed => Error::new(ErrorKind::Closed, "waiting for a connection"),
            Refusal::OpenFailed => Error::new(ErrorKind::Unavailable, "opening a connection"),
            Refusal::Cut => {
                let attempted = "opening connections is suspended, because it failed every time";
                let wait = self.breaker.retry_after(now);
                Error::new(ErrorKind::Unavailable, attempted).with_retry_after(wait)
            }
        };
        let error = match (why, &self.open_error) {
            (Refusal::OpenFailed | Refusal::Cut, Some(source)) => {
                error.with_source(Arc::clone(source))
            }
            _ => error,
        };
        occupant.name(error)
    }

    /// Says whether a connection is bound to the occupant now.
    pub(super) fn is_warm(&self, id: &OccupantId) -> bool {
        self.pools.get(id).is_some_and(|pool| {
            let counts = self.scheduler.tenant_counts(pool.key);
            counts.idle + counts.leased > 0
        })
    }

    /// Takes the idle connections that hold a pin in vain, to be reset. One that is bound to nobody any
    /// more is closed, and one whose tenant may have no more leases now waits for the next time.
    pub(super) fn take_pinned(&mut self, now: Time) -> Vec<(ConnId, Session, Arc<Occupant>)> {
        let in_vain =
            |session: &Option<Session>| session.as_ref().is_some_and(Session::is_pinned_in_vain);
        let places = self.sessions.iter().enumerate();
        let pinned: Vec<_> =
            places.filter(|(_, session)| in_vain(session)).map(|(place, _)| place).collect();
        let mut taken = Vec::new();
        for place in pinned {
            let Some((conn, key)) = self.scheduler.take_out(now, place) else { continue };
            let Some(occupant) = self.names.get(&key).cloned() else {
                self.scheduler.release(now, conn, Released::Usable);
                continue;
            };
            let mut session = self.take_session(conn);
            session.unpin();
            taken.push((conn, session, occupant));
        }
        taken
    }

    /// Has every handle refused that uses the pool of an occupant.
    pub(super) fn retire(&self, id: &OccupantId) {
        if let Some(pool) = self.pools.get(id) {
            pool.occupant.retire();
        }
    }

    /// Has the sessions of an occupant drop their prepared statements before their next use.
    pub(super) fn note_change(&self, id: &OccupantId) {
        if let Some(pool) = self.pools.get(id) {
            pool.occupant.note_change();
        }
    }

    pub(super) fn tenant_pools(&self) -> impl Iterator<Item = (Arc<Occupant>, TenantPoolSnapshot)> {
        self.pools.iter().filter_map(|(id, pool)| {
            let OccupantId::Tenant(tenant) = id else { return None };
            let counts = self.scheduler.tenant_counts(pool.key);
            let snapshot = TenantPoolSnapshot {
                tenant: tenant.clone(),
                schema: Arc::clone(&pool.occupant.schema),
                total: counts.idle + counts.leased,
                idle: counts.idle,
                waiting: counts.waiting,
                acquires: counts.granted,
            };
            Some((Arc::clone(&pool.occupant), snapshot))
        })
    }

    pub(super) fn snapshot(
        &self,
        max: usize,
        max_tenant_pools: usize,
        detail: Detail,
    ) -> PoolSnapshot {
        let counts = self.scheduler.counts();
        let shared = self.pools.get(&OccupantId::Shared).map(|pool| {
            let counts = self.scheduler.tenant_counts(pool.key);
            SharedPoolSnapshot {
                total: counts.idle + counts.leased,
                idle: counts.idle,
                waiting: counts.waiting,
            }
        });
        let tenants = match detail {
            Detail::Totals => Vec::new(),
            Detail::Tenants => self.tenant_pools().map(|(_, snapshot)| snapshot).collect(),
        };
        use OccupantId::{Catalog, Shared, System, Upkeep};
        let beside = [Shared, System, Catalog, Upkeep];
        let beside = beside.iter().filter(|id| self.pools.contains_key(id)).count();
        PoolSnapshot {
            max,
            total: counts.opening + counts.idle + counts.leased + counts.closing,
            idle: counts.idle,
            leased: counts.leased,
            waiting: counts.waiting,
            acquires: self.acquires,
            evictions: self.evictions.clone(),
            breaker: self.breaker.state(),
            granted_to_tenants: counts.granted,
            tenant_pools: self.pools.len() - beside,
            max_tenant_pools,
            shared,
            tenants,
        }
    }
}
