mod place;

use std::{
    collections::HashSet,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::{Mutex, MutexGuard};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::place::Place;
pub(super) use self::place::{Closing, Newcomer, Opening, Returning};
use super::{
    connector::Connector,
    credentials::Login,
    deadline::after,
    extensions::ExtensionSchemas,
    gate::{GateGuard, Gates},
    holder::Holder,
    manner::Manner,
    meeting::Table,
    occupant::{Occupant, OccupantId},
    options::PoolOptions,
    outbox::Order,
    outcomes::Outcomes,
    pooling::{Guard, Pooling, Separation},
    scheduler::{Class, ConnId, TenantCounts, Time},
    session::Session,
    snapshot::{Holding, PoolSnapshot, TenantPoolSnapshot},
    standby::Standby,
    state::State,
};
use crate::{
    error::OptionsError,
    event::{EventOptions, EvictReason, Hooks, Observer},
    tenant::{Binding, Ident, TenantId},
};

/// The pool of one PostgreSQL server: the shell around the scheduler.
pub(crate) struct Server {
    pub(super) options: PoolOptions,
    /// The current budget; the options contain the initial one.
    max_connections: AtomicUsize,
    /// Connections of the budget that are used elsewhere.
    outside: usize,
    pub(super) connector: Connector,
    /// The library's own occupant, for catalog and housekeeping.
    system: Arc<Occupant>,
    /// The shared schema as the application uses it; set before handles exist.
    shared: OnceLock<Arc<Occupant>>,
    /// The library's occupant for operations on many tenants, bound to none of them.
    pub(super) upkeep: Arc<Occupant>,
    /// The manager's role, if maintenance uses another one.
    pub(super) manager: Option<Ident>,
    /// Never held across an await; every event takes it once.
    state: Mutex<State>,
    /// The state of session checks: which backends answer on the connections.
    pub(super) separation: Arc<Separation>,
    /// Where the first two connections meet.
    pub(super) table: Arc<Table<Newcomer>>,
    /// The extension schemas that each new connection checks.
    pub(super) extensions: Arc<ExtensionSchemas>,
    pub(crate) observer: Observer,
    pub(super) outcomes: Outcomes,
    began: Instant,
    /// Sessions last seen before this time are pinged before they are handed out; in nanoseconds.
    suspect_before: AtomicU64,
    /// Round-trip time to the server; in nanoseconds.
    round_trip: AtomicU64,
    /// Connections to a server in recovery that were opened before this time are no longer used; in
    /// nanoseconds.
    standby_before: AtomicU64,
    standby: Mutex<Standby>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// The runtime of the connections. A socket belongs to the runtime that opened it, so all of
    /// them are opened on one, whichever runtime asks: the end of another runtime closes no
    /// connection.
    runtime: OnceLock<Handle>,
    pub(super) gates: Arc<Gates>,
    /// Hashes of messages that are logged only once.
    told: Mutex<HashSet<u64>>,
    housekeeping: AtomicBool,
    /// Mirrors the scheduler's state, to be read without the lock.
    closed: AtomicBool,
    /// Cancelled when closing begins, even if it was only announced.
    closing: CancellationToken,
    /// Cancelled when the first close has finished.
    done: CancellationToken,
    emptied: Notify,
}

/// The library's own identities.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) system: Arc<Occupant>,
    /// The maintenance login, if it differs from the manager's.
    pub(crate) upkeep: Option<Login>,
    /// The manager's role, if maintenance uses another one.
    pub(crate) manager: Option<Ident>,
    pub(crate) extensions: Arc<ExtensionSchemas>,
    pub(crate) guard: Guard,
}

/// Level of detail of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Totals,
    /// Includes the tenant pools.
    Tenants,
}

/// Maximum number of messages that are logged only once.
const MOST_TOLD: usize = 64;

/// Number of tenant pools read per lock of the pool.
const PAGE: usize = 256;

impl Server {
    /// Creates a pool that leaves `outside` connections of the budget to other uses.
    pub(crate) fn new(
        connector: Connector,
        options: PoolOptions,
        outside: usize,
        own: Own,
        events: EventOptions,
        hooks: Hooks,
    ) -> Arc<Self> {
        let limits = options.limits(outside);
        let Own { system, upkeep, manager, extensions, guard } = own;
        let separation = Separation::new(limits.budget, guard);
        let state = Mutex::new(State::new(limits, options.breaker.clone()));
        let class = if upkeep.is_some() { Class::Upkeep } else { Class::Shared };
        let upkeep =
            Occupant::new(OccupantId::Upkeep, class, Binding::library()).logging_in(upkeep);
        let shutdown = CancellationToken::new();
        // Hooks receive events during the shutdown, so they are stopped last.
        let observer = Observer::new(events, hooks, options.max_tenant_pools, &shutdown);
        let max_connections = AtomicUsize::new(options.max_connections);
        Arc::new(Self {
            options,
            max_connections,
            outside,
            connector,
            system,
            shared: OnceLock::new(),
            upkeep: Arc::new(upkeep),
            manager,
            state,
            separation,
            table: Table::new(),
            extensions,
            observer,
            outcomes: Outcomes::default(),
            began: Instant::now(),
            suspect_before: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            standby_before: AtomicU64::new(0),
            standby: Mutex::new(Standby::new()),
            tasks: TaskTracker::new(),
            shutdown,
            runtime: Handle::try_current().map_or_else(|_| OnceLock::new(), OnceLock::from),
            gates: Arc::default(),
            told: Mutex::default(),
            housekeeping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            closing: CancellationToken::new(),
            done: CancellationToken::new(),
            emptied: Notify::new(),
        })
    }

    /// Takes back a session that is bound to its occupant and unchanged.
    pub(super) fn give_back(self: &Arc<Self>, conn: ConnId, session: Session) {
        if session.is_worn_out(&self.options) || !self.is_current(&session) {
            return self.close_lease(conn, session);
        }
        self.change(|state, now| state.give_back(now, conn, session));
    }

    /// Returns `true` if the connection may be used: no connection was found misrouted since it was
    /// opened, and its server is not a standby that should be replaced by a primary.
    pub(super) fn is_current(&self, session: &Session) -> bool {
        let before = Duration::from_nanos(self.standby_before.load(Ordering::Relaxed));
        let identity = &session.identity;
        identity.is_current() && !identity.is_on_standby_since_before(before)
    }

    /// Records that a server in recovery has, or may have, refused a write: another connection may
    /// lead to the primary.
    pub(super) fn leave_standby(&self) {
        if self.connector.target.wants_standby() {
            return;
        }
        if let Some(before) = self.standby.lock().refused(self.now()) {
            self.standby_before.fetch_max(nanos(before), Ordering::Relaxed);
        }
    }

    /// Records the kind of server to which a connection was opened.
    pub(super) fn note_opened(&self, session: &Session) {
        if !session.identity.is_on_standby() && self.standby_before.load(Ordering::Relaxed) > 0 {
            self.standby.lock().found_primary();
        }
    }

    /// Records that a connection broke: all that are idle now are pinged before their next use.
    pub(super) fn suspect_all(&self) {
        self.suspect_before.store(nanos(self.now()), Ordering::Relaxed);
    }

    /// Returns `true` if the session must be pinged before use.
    pub(super) fn is_in_doubt(&self, session: &Session, now: Instant) -> bool {
        let idle = now.duration_since(self.began).saturating_sub(session.seen);
        idle >= self.options.liveness_check_after || self.is_suspect(session)
    }

    /// Returns `true` if a connection broke after this session was last seen alive.
    pub(super) fn is_suspect(&self, session: &Session) -> bool {
        nanos(session.seen) < self.suspect_before.load(Ordering::Relaxed)
    }

    /// Records the round-trip time of a message to the server.
    pub(super) fn note_round_trip(&self, took: Duration) {
        // A moment of load changes the estimate little; a new network path replaces it.
        let known = self.round_trip();
        let now = if known.is_zero() { took } else { (known * 3 + took) / 4 };
        self.round_trip.store(nanos(now), Ordering::Relaxed);
    }

    pub(super) fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.round_trip.load(Ordering::Relaxed))
    }

    /// Returns `true` if there is a usable connection.
    pub(super) fn is_alive(&self) -> bool {
        self.state.lock().scheduler.alive() > 0
    }

    /// Evicts the tenant pool of an occupant. Returns `true` if there was one.
    pub(crate) fn evict(self: &Arc<Self>, id: &OccupantId, reason: EvictReason) -> bool {
        self.change(|state, now| state.evict(now, id, reason))
    }

    pub(crate) fn snapshot(&self, detail: Detail) -> PoolSnapshot {
        let (max, acquires) = (self.max_connections(), self.outcomes.read());
        let mut snapshot = self.state.lock().totals(max, &self.options, acquires);
        if detail == Detail::Tenants {
            snapshot.tenants = self.tenant_pools().map(|(_, snapshot)| snapshot).collect();
        }
        snapshot
    }

    /// Returns the tenants that currently have a tenant pool, with their part of the pool.
    pub(crate) fn tenant_pools(&self) -> impl Iterator<Item = (Arc<Occupant>, TenantPoolSnapshot)> {
        self.list().into_iter().filter_map(|(occupant, counts)| {
            let snapshot = TenantPoolSnapshot::new(&occupant, counts)?;
            Some((occupant, snapshot))
        })
    }

    /// Returns a tenant's part of the pool, if there is one.
    pub(crate) fn tenant_pool(&self, tenant: &TenantId) -> Option<TenantPoolSnapshot> {
        self.state.lock().tenant_pool(tenant)
    }

    /// Lists all pools, one page at a time: requests continue in between, however many pools there
    /// are.
    fn list(&self) -> Vec<(Arc<Occupant>, TenantCounts)> {
        let (first, count) = {
            let state = self.state.lock();
            (state.first_page(), state.scheduler.counts().tenant_pools)
        };
        let mut pools = Vec::with_capacity(count);
        let mut page = Some(first);
        while let Some(this) = page {
            // Reserves capacity, so that appending does not allocate under the lock.
            pools.reserve(PAGE);
            let state = self.state.lock();
            page = state.list(this, PAGE, &mut pools);
            MutexGuard::unlock_fair(state);
        }
        pools
    }

    /// Returns `true` if the library waits because other occupants use every available connection.
    pub(crate) fn is_used_up(&self) -> bool {
        self.state.lock().is_used_up()
    }

    /// Returns the number of connections that are usable or in use, and the number of idle ones.
    pub(crate) fn size(&self) -> (usize, usize) {
        let counts = self.state.lock().scheduler.counts();
        (counts.idle + counts.leased, counts.idle)
    }

    /// Returns the connection that the current task holds: its owner, and for how long.
    pub(super) fn held_here(&self) -> Option<(Option<Arc<Occupant>>, Duration)> {
        let (occupant, since) = self.state.lock().held_by(Holder::current())?;
        Some((occupant, self.now().saturating_sub(since)))
    }

    /// Describes who holds the connections that an occupant waits for.
    pub(super) fn occupancy(&self, of: &Occupant) -> String {
        self.state.lock().occupancy(of)
    }

    /// Returns the holders of the connections available to tenants, if all are in use and a request
    /// waits.
    pub(crate) fn saturation(&self) -> Option<Vec<Holding>> {
        let state = self.state.lock();
        state.saturation(self.now())
    }

    /// Makes the sessions of an occupant drop their prepared statements before their next use,
    /// because its tables were changed.
    pub(crate) fn note_change(&self, id: &OccupantId) {
        self.state.lock().note_change(id);
    }

    /// Holds back the requests of a tenant until the guard is dropped, within each one's timeout.
    pub(crate) fn close_gate(&self, tenant: &TenantId) -> GateGuard {
        self.gates.close(tenant)
    }

    /// Invalidates every handle of a tenant that uses its tenant pool, and evicts the pool.
    pub(crate) fn retire(self: &Arc<Self>, tenant: &TenantId) {
        let id = OccupantId::Tenant(tenant.clone());
        self.change(|state, now| {
            state.retire(&id);
            state.evict(now, &id, EvictReason::Changed)
        });
    }

    /// Records a message that is logged only once. Returns `true` if it is new; after a limit,
    /// nothing is.
    pub(crate) fn is_news(&self, what: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let mut told = self.told.lock();
        told.len() < MOST_TOLD && told.insert(hasher.finish())
    }

    /// Returns `true` if a request waits for a connection.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.state.lock().scheduler.counts().waiting > 0
    }

    /// Returns the number of connections being opened.
    pub(super) fn opening(&self) -> usize {
        self.state.lock().scheduler.counts().opening
    }

    /// Returns `true` if the server has ever answered.
    pub(crate) fn has_answered(&self) -> bool {
        self.state.lock().has_answered()
    }

    /// Maximum number of connections for maintenance.
    pub(crate) fn places_for_upkeep(&self) -> usize {
        let cap = self.options.max_connections_per_tenant;
        self.places_for_tenants().min(cap.unwrap_or(usize::MAX))
    }

    /// Maximum number of connections of one tenant.
    pub(crate) fn cap_of_a_tenant(&self) -> usize {
        self.state.lock().scheduler.cap_of_a_tenant()
    }

    /// Maximum number of connections of all tenants.
    pub(crate) fn places_for_tenants(&self) -> usize {
        self.state.lock().scheduler.places_for_tenants()
    }

    /// Returns `true` if a connection is currently bound to the occupant.
    pub(crate) fn is_warm(&self, id: &OccupantId) -> bool {
        self.state.lock().is_warm(id)
    }

    /// Refuses new acquires, waits for leases until the deadline, and stops every task.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the pool stays closed; call again to keep waiting.
    pub(crate) async fn close(self: &Arc<Self>, patience: Duration) {
        let deadline = after(patience);
        self.closing.cancel();
        self.closed.store(true, Ordering::Relaxed);
        self.change(|state, now| state.scheduler.close(now));
        loop {
            let emptied = self.emptied.notified();
            if self.state.lock().scheduler.is_empty() {
                break;
            }
            if timeout_at(deadline, emptied).await.is_err() {
                let leased = self.state.lock().scheduler.counts().leased;
                tracing::warn!(leased, "closed the pool while connections were still leased");
                break;
            }
        }
        self.shutdown.cancel();
        self.tasks.close();
        let last = deadline.max(after(self.options.cleanup_timeout));
        if timeout_at(last, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks of the pool did not end in time");
        }
        self.done.cancel();
    }

    /// Cancelled when closing begins; acquires may still be served then.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Cancelled when [`close`](Self::close) has finished.
    pub(crate) fn done(&self) -> &CancellationToken {
        &self.done
    }

    /// Returns the kind of pooling between the pool and the server, if known.
    pub(crate) fn pooling(&self) -> Pooling {
        self.separation.verdict()
    }

    /// Skips the check that a connection keeps its session.
    pub(crate) fn assume_sessions_are_kept(&self) {
        self.separation.acquit(self.separation.generation());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns the runtime that owns the connections, once known.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Returns the budget.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_connections.load(Ordering::Relaxed)
    }

    /// Changes the budget.
    pub(crate) fn resize(self: &Arc<Self>, max_connections: usize) -> Result<(), OptionsError> {
        let options = self.options.clone().max_connections(max_connections);
        options.check()?;
        if max_connections <= self.outside {
            let must = "be at least 2: the catalog keeps one to listen for changes";
            return Err(OptionsError::new("max_connections", must));
        }
        let limits = options.limits(self.outside);
        if limits.budget > 1 {
            self.separation.note_room();
        }
        self.change(|state, now| {
            self.max_connections.store(max_connections, Ordering::Relaxed);
            state.resize(now, limits);
        });
        Ok(())
    }

    /// Returns the initial options.
    pub(crate) fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Returns the connector.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(crate) fn system(&self) -> &Arc<Occupant> {
        &self.system
    }

    /// Sets the occupant of the shared schema.
    pub(crate) fn set_shared(&self, shared: &Arc<Occupant>) {
        self.shared.get_or_init(|| Arc::clone(shared));
    }

    /// Returns the occupant of the shared schema.
    pub(crate) fn shared(&self) -> &Arc<Occupant> {
        self.shared.get().expect("a fleet sets it before it makes handles of tenants")
    }

    /// Cancelled when the pool is shut down.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Records the runtime at the first use, and starts the housekeeping.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.housekeeping.load(Ordering::Relaxed) {
            return;
        }
        if self.runtime.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            // Another thread may have set it first; then that runtime is used.
            drop(self.runtime.set(runtime));
        }
        if self.runtime.get().is_some() && !self.housekeeping.swap(true, Ordering::Relaxed) {
            self.keep_house();
            for worker in self.observer.take_workers() {
                self.spawn(worker);
            }
        }
    }

    /// Runs a task that [`close`](Self::close) waits for. Without a runtime it is dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.runtime.get().map(|runtime| self.tasks.spawn_on(task, runtime))
    }

    /// Returns `true` if no runtime that could own connections is left.
    pub(super) fn is_homeless(&self) -> bool {
        let Some(runtime) = self.runtime.get() else { return true };
        // A runtime that has ended drops its tasks at once.
        runtime.spawn(async {}).now_or_never().is_some_and(|task| task.is_err())
    }

    pub(super) fn manner(&self) -> Manner {
        Manner::from(&self.options)
    }

    /// Returns the time since the pool was created.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Feeds one event to the scheduler, then carries out its decisions outside the lock.
    pub(super) fn change<R>(self: &Arc<Self>, event: impl FnOnce(&mut State, Time) -> R) -> R {
        let mut state = self.state.lock();
        let now = self.now();
        let result = event(&mut state, now);
        let outgoing = state.empty_outbox(now, &self.observer);
        let emptied = state.scheduler.is_closed() && state.scheduler.is_empty();
        drop(state);
        if outgoing.events {
            self.observer.tell_in_order();
        }
        for order in outgoing.orders {
            self.carry_out(order);
        }
        if emptied {
            self.emptied.notify_waiters();
        }
        result
    }

    fn carry_out(self: &Arc<Self>, order: Order) {
        match order {
            Order::Answer(waiter, answer) => {
                if let Err(Ok(grant)) = waiter.send(answer) {
                    self.take_back(grant);
                }
            }
            Order::Open(conn, opener) => self.open_later(conn, opener),
            Order::ReviewSupply(after) => self.review_supply_later(after),
            Order::Close { conn, session } => self.close_idle(conn, session),
        }
    }
}

fn nanos(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dropping a manager without closing it also stops its tasks.
        self.shutdown.cancel();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the connect options, which contain the password.
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}
