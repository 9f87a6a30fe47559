mod away_nodes;
mod front;
mod lifecycle;
mod liveness;
mod place;
mod replicas;
mod report;
mod shared_budget;

use std::{
    collections::HashSet,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use self::place::{Closing, Newcomer, Opening, Returning};
pub(in crate::pool) use self::replicas::{Replica, Replicas};
use self::{away_nodes::AwayNodes, front::Related, lifecycle::Lifecycle, liveness::Liveness};
pub(crate) use self::{
    place::Place,
    replicas::{ReplicaPool, ReplicaStatus},
    report::Detail,
};
use super::{
    connector::Connector,
    credentials::Login,
    extensions::ExtensionSchemas,
    gate::{GateGuard, Gates},
    manner::Manner,
    meeting::Table,
    occupant::{Occupant, OccupantId},
    options::PoolOptions,
    outbox::Order,
    outcomes::Outcomes,
    pooling::{Guard, Pooling, Separation},
    scheduler::{Class, ConnId, Time},
    session::Session,
    share::Share,
    state::State,
};
use crate::{
    citus::Remembered,
    error::{Error, OptionsError},
    event::{EventOptions, EvictReason, Hooks, Observer},
    tenant::{Binding, Home, Ident, MAIN, TenantId},
};

/// The pool of one PostgreSQL server: the shell around the scheduler.
pub(crate) struct Server {
    /// Its name in the manager's configuration.
    name: Arc<str>,
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
    liveness: Liveness,
    life: Lifecycle,
    /// Which of its databases have Citus.
    citus: Remembered,
    away_nodes: AwayNodes,
    pub(super) gates: Arc<Gates>,
    /// The budget that it shares with other processes, if so.
    share: OnceLock<Arc<Share>>,
    /// The other pools of the same server and of its replicas, and what this one is to them.
    related: Related,
    /// Hashes of messages that are logged only once.
    told: Mutex<HashSet<u64>>,
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

/// Maximum number of messages that are logged only once.
const MOST_TOLD: usize = 64;

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
        let shutdown = CancellationToken::new();
        // Hooks receive events during the shutdown, so they are stopped last.
        let observer = Observer::new(events, hooks, options.max_tenant_pools, &shutdown);
        Self::with(MAIN.into(), connector, options, outside, own, observer, shutdown)
    }

    /// Creates the pool of a further server, with the same identities and hooks.
    pub(crate) fn beside(
        &self,
        name: Arc<str>,
        connector: Connector,
        options: PoolOptions,
    ) -> Arc<Self> {
        let own = Own {
            system: Arc::clone(&self.system),
            upkeep: self.upkeep.login().cloned(),
            manager: self.manager.clone(),
            extensions: Arc::clone(&self.extensions),
            guard: Guard::Refuses,
        };
        let observer = self.observer.beside(options.max_tenant_pools);
        Self::with(name, connector, options, 0, own, observer, CancellationToken::new())
    }

    /// Creates a pool for the same tenants. They share the hooks and the gates.
    fn related(
        &self,
        name: Arc<str>,
        connector: Connector,
        options: PoolOptions,
        own: Own,
        observer: Observer,
    ) -> Arc<Self> {
        let shutdown = CancellationToken::new();
        let mut other = Self::with(name, connector, options, 0, own, observer, shutdown);
        if let Some(other) = Arc::get_mut(&mut other) {
            other.gates = Arc::clone(&self.gates);
        }
        other
    }

    fn with(
        name: Arc<str>,
        connector: Connector,
        options: PoolOptions,
        outside: usize,
        own: Own,
        observer: Observer,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let limits = options.limits(outside);
        let Own { system, upkeep, manager, extensions, guard } = own;
        let separation = Separation::new(limits.budget, guard);
        let state = Mutex::new(State::new(limits, options.breaker.clone()));
        let class = if upkeep.is_some() { Class::Upkeep } else { Class::Shared };
        let upkeep =
            Occupant::new(OccupantId::Upkeep, class, Binding::library()).logging_in(upkeep);
        let max_connections = AtomicUsize::new(options.max_connections);
        Arc::new(Self {
            name,
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
            liveness: Liveness::new(),
            life: Lifecycle::new(shutdown),
            citus: Remembered::default(),
            away_nodes: AwayNodes::default(),
            gates: Arc::default(),
            share: OnceLock::new(),
            related: Related::default(),
            told: Mutex::default(),
        })
    }

    /// Takes back a session that is bound to its occupant and unchanged.
    pub(super) fn give_back(self: &Arc<Self>, conn: ConnId, session: Session) {
        if session.is_worn_out(&self.options) || !self.is_current(&session) {
            return self.close_lease(conn, session, None);
        }
        self.change(|state, now| state.give_back(now, conn, session));
    }

    /// Evicts the tenant pool of an occupant. Returns `true` if there was one.
    pub(crate) fn evict(self: &Arc<Self>, id: &OccupantId, reason: EvictReason) -> bool {
        let others = self.others().map(|other| other.evict(id, reason));
        let in_others = others.fold(false, |any, evicted| any | evicted);
        self.change(|state, now| state.evict(now, id, reason)) || in_others
    }

    /// Makes the sessions of an occupant drop their prepared statements before their next use,
    /// because its tables were changed.
    pub(crate) fn note_change(&self, id: &OccupantId) {
        self.state.lock().note_change(id);
        if let (Some(replicas), OccupantId::Tenant(tenant)) = (self.replicas(), id) {
            replicas.note_change(tenant);
        }
        self.others().for_each(|other| other.note_change(id));
    }

    /// Applies the limits of an occupant, which may have changed, to its tenant pool.
    pub(crate) fn follow_limits(self: &Arc<Self>, occupant: &Occupant) {
        self.change(|state, now| state.follow_limits(now, occupant));
        self.others().for_each(|other| other.follow_limits(occupant));
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
        self.others().for_each(|other| other.retire(tenant));
    }

    /// Records a message that is logged only once. Returns `true` if it is new; after a limit,
    /// nothing is.
    pub(crate) fn is_news(&self, what: &impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let mut told = self.told.lock();
        told.len() < MOST_TOLD && told.insert(hasher.finish())
    }

    /// Returns the kind of pooling between the pool and the server, if known.
    pub(crate) fn pooling(&self) -> Pooling {
        self.separation.verdict()
    }

    /// Skips the check that a connection keeps its session.
    pub(crate) fn assume_sessions_are_kept(&self) {
        self.separation.acquit(self.separation.generation());
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
        if let Some(share) = self.share.get() {
            // The next beat asks for a part of it.
            share.check(max_connections)?;
            share.set_total(max_connections);
            return Ok(());
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

    /// Returns its name in the manager's configuration.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Names the server in an error, if there are several.
    pub(crate) fn name_in(&self, error: Error) -> Error {
        self.observer.server().into_iter().fold(error, Error::with_server)
    }

    /// Returns the library's occupant for operations on the schemas of a database.
    pub(crate) fn upkeep_at(&self, home: &Home) -> Arc<Occupant> {
        let Some(database) = home.database() else { return Arc::clone(&self.upkeep) };
        let id = OccupantId::UpkeepIn(database.clone());
        // Its connections serve no other database, so no other occupant can use them.
        let occupant = Occupant::new(id, Class::Dedicated, Binding::library()).at(home.clone());
        Arc::new(occupant.logging_in(self.upkeep.login().cloned()))
    }

    /// Returns the user of the library's own sessions, if it is not that of the others.
    pub(crate) async fn user_of_upkeep(&self) -> Result<Option<String>, Error> {
        let Some(login) = self.upkeep.login() else { return Ok(None) };
        let credentials = login.credentials().await?;
        Ok(credentials.map(|credentials| credentials.user().to_owned()))
    }

    /// Returns the initial options.
    pub(crate) fn options(&self) -> &PoolOptions {
        &self.options
    }

    /// Returns the connector.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Returns which of its databases have Citus.
    pub(crate) fn citus(&self) -> &Remembered {
        &self.citus
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

    pub(super) fn manner(&self) -> Manner {
        Manner::from(&self.options).on_replica(self.is_replica())
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
        if state.lent.as_ref().is_some_and(|lent| now >= lent.end()) {
            // Before anything else: no connection is opened in a place that is no longer ours.
            self.expire(&mut state, now);
        }
        let result = event(&mut state, now);
        let outgoing = state.empty_outbox(now, &self.observer);
        let emptied = state.scheduler.is_closed() && state.scheduler.is_empty();
        let waits = state.lent.is_some() && state.scheduler.tenants_wait();
        drop(state);
        if waits && let Some(share) = self.share.get() {
            share.wake.notify_one();
        }
        if outgoing.events {
            self.observer.tell_in_order();
        }
        for order in outgoing.orders {
            self.carry_out(order);
        }
        if emptied {
            self.life.emptied.notify_waiters();
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
            Order::Open(conn, opener, home) => self.open_later(conn, opener, home),
            Order::ReviewSupply(after) => self.review_supply_later(after),
            Order::ReviewHomes(after) => self.review_homes_later(after),
            Order::Close { conn, session } => self.close_idle(conn, session),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the connect options, which contain the password.
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}
