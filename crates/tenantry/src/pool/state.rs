//! State protected by the pool's lock: the scheduler, the idle sessions, and the occupants.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    answer::{Asked, Grant, QueuePlace, Waiter},
    breaker::{Breaker, BreakerOptions, Opener},
    holder::{Held, Holder},
    names::{Names, Page},
    occupant::{Occupant, OccupantId},
    options::PoolOptions,
    outbox::{Order, Outbox, Outgoing},
    pooling::transaction_pooler,
    scheduler::{
        Acquire, Action, ConnId, How, Limits, Refusal, Released, Scheduler, Supply, TenantCounts,
        TenantKey, Time,
    },
    session::Session,
    snapshot::{Acquires, Holding, PoolSnapshot, SharedPoolSnapshot, TenantPoolSnapshot},
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of, own},
    event::{BreakerChange, BreakerState, Event, EvictReason, Observer, PoolCreated, PoolEvicted},
    tenant::TenantId,
};

/// How long no connection is opened when the server is out of slots but existing connections work;
/// doubled each time that there is still no slot.
const SHORTAGE: Duration = Duration::from_millis(200);

/// The longest such pause.
const LONGEST_SHORTAGE: Duration = Duration::from_secs(2);

/// How long an answer proves that the server is up.
const RECENTLY: Duration = Duration::from_secs(1);

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
}

struct Pool {
    key: TenantKey,
    occupant: Arc<Occupant>,
    /// `true` if it was evicted and only remains for its leases and waiters.
    leaving: bool,
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
        }
    }

    pub(super) fn ask(&mut self, now: Time, occupant: &Arc<Occupant>) -> Asked {
        if self.scheduler.is_closed() {
            // No tenant pool is created after the last one has ended.
            return Asked::Closed;
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
            (Acquire::QueueFull, _) => Asked::QueueFull,
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
        if let Some(Pool { key, occupant: known, leaving: false }) = self.pools.get(&occupant.id) {
            let key = *key;
            if known.is_same(occupant) {
                return (key, Arc::clone(known));
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
        let pool = Pool { key, occupant: Arc::clone(occupant), leaving: false };
        self.pools.insert(occupant.id.clone(), pool);
        self.names.give(key, Arc::clone(occupant));
        if let Some(tenant) = occupant.tenant() {
            self.outbox.tell(Event::PoolCreated(PoolCreated {
                tenant_id: tenant.clone(),
                schema: Arc::clone(&occupant.schema),
            }));
        }
        (key, Arc::clone(occupant))
    }

    /// Applies other limits.
    pub(super) fn resize(&mut self, now: Time, limits: Limits) {
        let places = self.sessions.len().max(limits.budget);
        self.sessions.resize_with(places, || None);
        self.held.resize_with(places, Held::default);
        self.scheduler.resize(now, limits);
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

    /// Takes a connection that was opened.
    pub(super) fn opened(&mut self, now: Time, conn: ConnId, session: Session, expires: Time) {
        self.open_error = None;
        let probe = self.probing.take_if(|probe| *probe == conn).is_some();
        self.partner.take_if(|partner| *partner == conn);
        self.note_success(now, now);
        self.held[conn.index()] = session.held.clone();
        self.put_session(conn, session);
        self.scheduler.opened(now, conn, expires);
        if probe && self.scheduler.supply() == Supply::Short {
            self.shortage = SHORTAGE;
            match self.scheduler.is_short() {
                // There was a slot for one; the other waiters must not all try at once.
                true => self.outbox.order(Order::ReviewSupply(Duration::ZERO)),
                false => self.set_supply(now, Supply::Normal),
            }
        }
    }

    /// Records that a connect failed, and the error if it is known.
    pub(super) fn open_failed(&mut self, now: Time, conn: ConnId, error: Option<sqlx::Error>) {
        if self.partner.take_if(|partner| *partner == conn).is_some() {
            return self.scheduler.open_given_up(now, conn);
        }
        let probe = self.probing.take_if(|probe| *probe == conn).is_some();
        let opener = if probe { Opener::Probe } else { Opener::Need };
        let class = error.as_ref().map(class_of);
        self.open_error = error.map(Arc::new);
        if self.is_served(now, class) {
            // The server is up, and so are some of our connections to it, which will be returned.
            self.breaker.succeeded(now).then(|| self.tell_of_breaker(now));
            self.run_short(now, opener);
        } else if let Some(class) = class
            && self.breaker.failed(now, opener, class.is_transient())
        {
            self.set_supply(now, Supply::Cut);
            self.outbox.order(Order::ReviewSupply(self.breaker.pause()));
            self.tell_of_breaker(now);
        } else if probe && self.scheduler.supply() == Supply::Short {
            self.run_short(now, opener);
        }
        self.scheduler.open_failed(now, conn);
    }

    /// Suspends connects for a while, because the server is out of slots; then tries one.
    fn run_short(&mut self, now: Time, opener: Opener) {
        self.shortage = match (opener, self.scheduler.supply()) {
            (Opener::Probe, _) => (self.shortage * 2).min(LONGEST_SHORTAGE),
            // A retry is already scheduled.
            (_, Supply::Short) => return,
            _ => SHORTAGE,
        };
        self.set_supply(now, Supply::Short);
        self.outbox.order(Order::ReviewSupply(self.shortage));
    }

    /// Opens a connection as a partner for a comparison, unless one is already being opened.
    /// Returns `true` if there will be one.
    pub(super) fn open_partner(&mut self) -> bool {
        // The caller itself counts as being opened.
        if self.scheduler.counts().opening > 1 {
            return true;
        }
        self.partner = self.scheduler.open_probe();
        self.partner.is_some()
    }

    /// Refuses all waiters, and opens no further connection.
    pub(super) fn condemn(&mut self, now: Time, why: Condemned) {
        self.condemned.get_or_insert(why);
        self.scheduler.set_supply(now, Supply::Cut);
    }

    fn set_supply(&mut self, now: Time, supply: Supply) {
        if self.condemned.is_none() {
            self.scheduler.set_supply(now, supply);
        }
    }

    /// Returns `true` if requests can be served although a connect failed: the server has reported
    /// that it is out of slots, or has just answered on another connection.
    fn is_served(&self, now: Time, class: Option<ErrorClass>) -> bool {
        let answered = self.answered_at.is_some_and(|at| now.saturating_sub(at) < RECENTLY);
        let full = class == Some(ErrorClass::TooManyConnections);
        self.scheduler.alive() > 0 && (full || answered)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered_at.is_some()
    }

    /// Records that the server has answered, and when.
    fn note_success(&mut self, now: Time, at: Time) {
        self.answered_at = self.answered_at.max(Some(at));
        if self.breaker.succeeded(at) {
            self.set_supply(now, Supply::Normal);
            self.tell_of_breaker(now);
        }
    }

    /// Resumes connects after a shortage, or opens a connection that probes the server.
    pub(super) fn review_supply(&mut self, now: Time) {
        let short = self.scheduler.supply() == Supply::Short;
        if short && !self.scheduler.is_short() {
            return self.set_supply(now, Supply::Normal);
        }
        if self.probing.is_some() || !(short || self.breaker.begin_probe(now)) {
            return;
        }
        self.probing = self.scheduler.open_probe();
        if short {
            // If every place is taken, this runs again when one is free.
            if self.probing.is_none() {
                self.set_supply(now, Supply::Normal);
            }
        } else if self.probing.is_some() {
            self.tell_of_breaker(now);
        } else if !self.scheduler.is_closed() {
            // Every place is taken by a connection that has not been returned yet.
            let pause = self.breaker.postpone_probe(now);
            self.outbox.order(Order::ReviewSupply(pause));
        }
    }

    fn tell_of_breaker(&mut self, now: Time) {
        let state = self.breaker.state();
        let open = state == BreakerState::Open;
        let retry_after = open.then(|| self.breaker.retry_after(now));
        let failed_probes = self.breaker.failed_probes();
        self.outbox.tell(Event::Breaker(BreakerChange { state, retry_after, failed_probes }));
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
                let occupant = self.names.retire(tenant)?;
                *self.evictions.entry(reason).or_default() += 1;
                if let Some(pool) = self.pools.get_mut(&occupant.id) {
                    pool.leaving = true;
                    self.leaving += 1;
                }
                self.outbox.tell_decision(Event::PoolEvicted(PoolEvicted {
                    tenant_id: occupant.tenant()?.clone(),
                    schema: Arc::clone(&occupant.schema),
                    reason,
                }));
                return None;
            }
            Action::Forgotten(tenant) => {
                let occupant = self.names.take(tenant)?;
                let pool = self.pools.remove(&occupant.id);
                self.leaving -= usize::from(pool.is_some_and(|pool| pool.leaving));
                return None;
            }
        })
    }

    fn refusal(&self, now: Time, why: Refusal, occupant: &Occupant) -> Error {
        match self.condemned.filter(|_| why != Refusal::Closed) {
            Some(Condemned::Pooler) => return transaction_pooler(),
            Some(Condemned::Homeless) => {
                let attempted = "taking a connection: the runtime on which the pool was first used has \
                                 ended, and its connections with it";
                let closed = Error::new(ErrorKind::Closed, attempted);
                return occupant
                    .name(closed.with_source("use a manager on a runtime that outlives it"));
            }
            None => {}
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
            (Refusal::OpenFailed | Refusal::Cut, Some(source)) => match own(source) {
                // The server is fine: the configuration has to be changed.
                Some(own) if own.kind() == ErrorKind::Config => own.again(),
                _ => error.with_source(Arc::clone(source)),
            },
            _ => error,
        };
        occupant.name(error)
    }

    /// Returns `true` if a connection is currently bound to the occupant.
    pub(super) fn is_warm(&self, id: &OccupantId) -> bool {
        self.pools.get(id).filter(|pool| !pool.leaving).is_some_and(|pool| {
            let counts = self.scheduler.tenant_counts(pool.key);
            counts.idle + counts.leased > 0
        })
    }

    /// Takes idle connections out, as leases of the occupants they are bound to. An unbound one is
    /// closed; one whose tenant is at its cap stays.
    pub(super) fn take_idle(
        &mut self,
        now: Time,
        which: impl Fn(&Session) -> bool,
    ) -> Vec<TakenOut> {
        let places = self.sessions.iter().enumerate();
        let places: Vec<_> = places
            .filter(|(_, session)| session.as_ref().is_some_and(&which))
            .map(|(place, _)| place)
            .collect();
        let mut taken = Vec::new();
        for place in places {
            let Some((conn, key)) = self.scheduler.take_out(now, place) else { continue };
            let Some(occupant) = self.names.get(key).cloned() else {
                self.scheduler.release(now, conn, Released::Usable);
                continue;
            };
            taken.push(TakenOut { conn, session: self.take_session(conn), occupant });
        }
        taken
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

    /// Returns one tenant's part of the pool.
    pub(super) fn tenant_pool(&self, tenant: &TenantId) -> Option<TenantPoolSnapshot> {
        let pool =
            self.pools.get(&OccupantId::Tenant(tenant.clone())).filter(|pool| !pool.leaving)?;
        TenantPoolSnapshot::new(&pool.occupant, self.scheduler.tenant_counts(pool.key))
    }

    /// Starts listing the current tenant pools.
    pub(super) fn first_page(&self) -> Page {
        self.names.first_page()
    }

    /// Lists a page of the tenant pools, and those of the library; returns the next page. It copies
    /// only pointers and numbers.
    pub(super) fn list(
        &self,
        page: Page,
        places: usize,
        into: &mut Vec<(Arc<Occupant>, TenantCounts)>,
    ) -> Option<Page> {
        self.names.read(page, places, |key, occupant| {
            into.push((Arc::clone(occupant), self.scheduler.tenant_counts(key)));
        })
    }

    /// Describes who holds the connections that an occupant waits for.
    pub(super) fn occupancy(&self, of: &Occupant) -> String {
        let counts = self.scheduler.counts();
        let (leased, places) = (counts.leased_to_tenants, self.scheduler.places_for_tenants());
        let mut text = format!("{leased} of {places} connections for tenants are in use");
        if of.tenant().is_some() {
            let pool = self.pools.get(&of.id);
            let own = pool.map_or(0, |pool| self.scheduler.tenant_counts(pool.key).leased);
            let cap = self.scheduler.cap_of_a_tenant();
            text += &format!(", {own} by this one, which may have {cap}");
        }
        let others = [
            (counts.opening, "being opened"),
            (counts.closing, "being closed"),
            (counts.waiting, "other requests waiting"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!("; {count} {what}");
        }
        if self.scheduler.supply() == Supply::Short {
            text += "; the server is out of connection slots";
        }
        text
    }

    /// Returns the connection that a task has held longest: its owner, and since when.
    pub(super) fn held_by(&self, holder: Holder) -> Option<(Option<Arc<Occupant>>, Time)> {
        let places = self.held.iter().enumerate().filter(|(_, held)| held.is_by(holder));
        let leases = places.filter_map(|(place, _)| self.scheduler.lease_at(place));
        let (key, since) = leases.min_by_key(|(_, since)| *since)?;
        Some((self.names.get(key).cloned(), since))
    }

    /// Returns `true` if the library waits because other occupants use every available connection:
    /// every place is leased, or the server is out of slots.
    pub(super) fn is_used_up(&self) -> bool {
        let leased = self.scheduler.counts().leased;
        let no_room = self
            .open_error
            .as_deref()
            .is_some_and(|error| leased > 0 && class_of(error) == ErrorClass::TooManyConnections);
        let closed = self.breaker.state() == BreakerState::Closed;
        closed && (leased >= self.sessions.len() || no_room)
    }

    /// Returns the holders of the connections available to tenants, if all are in use and a request
    /// waits.
    pub(super) fn saturation(&self, now: Time) -> Option<Vec<Holding>> {
        if !self.scheduler.is_saturated() {
            return None;
        }
        let mut holdings: HashMap<TenantKey, Holding> = HashMap::new();
        for (key, since) in self.scheduler.leases() {
            let holding = holdings.entry(key).or_insert_with(|| Holding {
                occupant: self.names.get(key).cloned(),
                connections: 0,
                longest: Duration::ZERO,
            });
            holding.connections += 1;
            holding.longest = holding.longest.max(now.saturating_sub(since));
        }
        Some(holdings.into_values().collect())
    }

    /// Returns the pool's counters, without the tenants.
    pub(super) fn totals(
        &self,
        max: usize,
        options: &PoolOptions,
        acquires: Acquires,
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
        use OccupantId::{Catalog, Shared, System, Upkeep};
        let beside = [Shared, System, Catalog, Upkeep];
        let beside = beside.iter().filter(|id| self.pools.contains_key(id)).count();
        PoolSnapshot {
            max,
            total: counts.opening + counts.idle + counts.leased + counts.closing,
            idle: counts.idle,
            leased: counts.leased,
            leased_to_tenants: counts.leased_to_tenants,
            places_for_tenants: self.scheduler.places_for_tenants(),
            waiting: counts.waiting,
            acquires,
            evictions: self.evictions.clone(),
            breaker: self.breaker.state(),
            granted_to_tenants: counts.granted,
            tenant_pools: self.pools.len() - self.leaving - beside,
            max_tenant_pools: options.max_tenant_pools,
            shared,
            tenants: Vec::new(),
        }
    }
}
