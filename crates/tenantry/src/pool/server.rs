use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Acquires, Lease, PoolOptions, PoolSnapshot, TenantPoolSnapshot,
    occupant::{Occupant, OccupantId},
    scheduler::{
        Acquire, Action, ConnId, EvictReason, How, Refusal, Released, Scheduler, TenantKey, Ticket,
        Time,
    },
    session::{KeepStatements, Session, leaves_session_usable},
};
use crate::error::{Error, ErrorKind, RETRY_AFTER};

/// The pool of one PostgreSQL server: the scheduler, the sessions, and the tasks that do the I/O.
pub(crate) struct Server {
    pub(super) options: PoolOptions,
    pub(super) connect: PgConnectOptions,
    /// The library's own occupant, for catalog and housekeeping.
    pub(super) system: Arc<Occupant>,
    /// Never held across an await; every event takes it once.
    state: Mutex<State>,
    began: Instant,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// Where connections live. A socket belongs to the runtime that opened it, so all of them are
    /// opened on one, whichever runtime asks: a worker that ends takes no connection with it.
    runtime: OnceLock<Handle>,
    housekeeping: AtomicBool,
    emptied: Notify,
}

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    /// The sessions that are idle, by their connection.
    sessions: Vec<Option<Session>>,
    pools: HashMap<OccupantId, Pool>,
    names: HashMap<TenantKey, OccupantId>,
    acquires: Acquires,
    /// Sessions last seen before this are asked before they are handed out.
    suspect_before: Option<Instant>,
    /// Why the last connection could not be opened.
    open_error: Option<Arc<sqlx::Error>>,
}

struct Pool {
    key: TenantKey,
    occupant: Arc<Occupant>,
}

/// How to reach somebody who waits.
pub(super) struct Waiter {
    occupant: Arc<Occupant>,
    answer: oneshot::Sender<Result<Lease, Error>>,
}

/// What an acquire has come to without waiting.
enum Attempt {
    Lease { lease: Lease, check: bool },
    Wait(Waiting),
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
    Open(ConnId),
    Close {
        conn: ConnId,
        session: Option<Session>,
    },
    Evicted {
        occupant: OccupantId,
        reason: EvictReason,
    },
}

impl Server {
    /// Makes a pool with `outside` connections of the budget left to something else.
    pub(crate) fn new(
        connect: PgConnectOptions,
        options: PoolOptions,
        outside: usize,
        system: Arc<Occupant>,
    ) -> Arc<Self> {
        let limits = options.limits(outside);
        let sessions = (0..limits.budget).map(|_| None).collect();
        Arc::new(Self {
            options,
            connect,
            system,
            state: Mutex::new(State {
                scheduler: Scheduler::new(limits),
                sessions,
                pools: HashMap::new(),
                names: HashMap::new(),
                acquires: Acquires::default(),
                suspect_before: None,
                open_error: None,
            }),
            began: Instant::now(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            runtime: Handle::try_current().map_or_else(|_| OnceLock::new(), OnceLock::from),
            housekeeping: AtomicBool::new(false),
            emptied: Notify::new(),
        })
    }

    /// Takes a connection that is bound to the occupant.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the place in the queue, or the connection, goes back.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        occupant: &Arc<Occupant>,
    ) -> Result<Lease, Error> {
        let attempt = match self.ask(occupant)? {
            Attempt::Lease {
                lease,
                check: false,
            } if lease.is_clean() => return Ok(lease),
            attempt => attempt,
        };
        let deadline = Instant::now() + self.options.acquire_timeout;
        let result = match timeout_at(deadline, self.see_through(attempt, occupant)).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(occupant)),
        };
        result.map_err(|error| name(error, occupant))
    }

    /// Waits for a connection and prepares it; begins again when it turns out to be dead.
    async fn see_through(
        self: &Arc<Self>,
        mut attempt: Attempt,
        occupant: &Arc<Occupant>,
    ) -> Result<Lease, Error> {
        loop {
            let (mut lease, check) = match attempt {
                Attempt::Lease { lease, check } => (lease, check),
                Attempt::Wait(waiting) => {
                    let lease = waiting.answer().await?;
                    let check = self.needs_check(&lease);
                    (lease, check)
                }
            };
            let fresh = lease.backend_pid().is_none();
            match lease.prepare(check).await {
                Ok(()) => return Ok(lease),
                Err(error) if leaves_session_usable(&error) => {
                    return Err(
                        Error::new(ErrorKind::Database, "binding a session").with_source(error)
                    );
                }
                Err(error) if fresh => return Err(unavailable("binding a session", error)),
                // Nothing of the lease was sent, and the next connection may be better.
                Err(error) => {
                    tracing::debug!(error = %error, "a connection was lost while it was idle");
                    drop(lease);
                    attempt = self.ask(occupant)?;
                }
            }
        }
    }

    /// Asks the scheduler once.
    fn ask(self: &Arc<Self>, occupant: &Arc<Occupant>) -> Result<Attempt, Error> {
        self.start();
        let (answer, receiver) = oneshot::channel();
        let mut waiter = None;
        let (decision, key, session, suspect_before) = self.change(|state, now| {
            let (key, occupant) = state.pool_of(now, occupant);
            let decision = state.scheduler.acquire(now, key, || Waiter {
                occupant: Arc::clone(&occupant),
                answer,
            });
            let session = match decision {
                Acquire::Granted(conn, how) => {
                    state.count(how);
                    state.sessions[conn.index()].take()
                }
                Acquire::QueueFull => {
                    state.acquires.refused += 1;
                    None
                }
                Acquire::Waiting(_) | Acquire::Closed => None,
            };
            waiter = Some(occupant);
            (decision, key, session, state.suspect_before)
        });
        let occupant = waiter.expect("the closure above has run");
        match (decision, session) {
            (Acquire::Granted(conn, _), Some(session)) => {
                let check = self.is_stale(&session, suspect_before);
                let lease = Lease::new(Arc::clone(self), conn, occupant, session);
                Ok(Attempt::Lease { lease, check })
            }
            (Acquire::Waiting(ticket), _) => {
                let server = Arc::clone(self);
                Ok(Attempt::Wait(Waiting {
                    server,
                    key,
                    ticket,
                    receiver,
                    answered: false,
                }))
            }
            (Acquire::QueueFull, _) => Err(name(self.queue_full(), &occupant)),
            (Acquire::Closed | Acquire::Granted(..), _) => Err(name(closed(), &occupant)),
        }
    }

    fn needs_check(&self, lease: &Lease) -> bool {
        let suspect_before = self.state.lock().suspect_before;
        lease.was_seen_before(suspect_before, self.options.liveness_check_after)
    }

    fn is_stale(&self, session: &Session, suspect_before: Option<Instant>) -> bool {
        is_stale(
            session.seen,
            suspect_before,
            self.options.liveness_check_after,
        )
    }

    /// Notes that a connection broke: all that were idle at this time are asked before their next
    /// use.
    pub(super) fn suspect_all(&self) {
        self.state.lock().suspect_before = Some(Instant::now());
    }

    /// Takes back a session that is bound to its occupant and unchanged.
    pub(super) fn give_back(self: &Arc<Self>, conn: ConnId, mut session: Session) {
        session.seen = Instant::now();
        self.change(|state, now| {
            state.sessions[conn.index()] = Some(session);
            state.scheduler.release(now, conn, Released::Usable);
        });
    }

    /// Notes that a lease's connection is gone.
    pub(super) fn release_closed(self: &Arc<Self>, conn: ConnId) {
        self.change(|state, now| state.scheduler.release(now, conn, Released::Closed));
    }

    /// Forgets the tenant pool of an occupant. Returns whether there was one.
    pub(crate) fn evict(self: &Arc<Self>, id: &OccupantId, reason: EvictReason) -> bool {
        self.change(|state, now| match state.pools.get(id) {
            Some(pool) => {
                let key = pool.key;
                state.scheduler.evict(now, key, reason);
                true
            }
            None => false,
        })
    }

    pub(crate) fn snapshot(&self) -> PoolSnapshot {
        let state = self.state.lock();
        let counts = state.scheduler.counts();
        let tenants = state.pools.iter().filter_map(|(id, pool)| {
            let OccupantId::Tenant(tenant) = id else {
                return None;
            };
            let counts = state.scheduler.tenant_counts(pool.key);
            Some(TenantPoolSnapshot {
                tenant: tenant.clone(),
                total: counts.idle + counts.leased,
                idle: counts.idle,
                waiting: counts.waiting,
            })
        });
        PoolSnapshot {
            max: self.options.max_connections,
            total: counts.opening + counts.idle + counts.leased + counts.closing,
            idle: counts.idle,
            leased: counts.leased,
            waiting: counts.waiting,
            acquires: state.acquires,
            tenants: tenants.collect(),
        }
    }

    /// Refuses new acquires, waits for leases until the deadline, and ends every task.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the pool stays closed; call again to wait on.
    pub(crate) async fn close(self: &Arc<Self>, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.change(|state, now| state.scheduler.close(now));
        loop {
            let emptied = self.emptied.notified();
            if self.state.lock().scheduler.is_empty() {
                break;
            }
            if timeout_at(deadline, emptied).await.is_err() {
                let leased = self.state.lock().scheduler.counts().leased;
                tracing::warn!(
                    leased,
                    "closed the pool while connections were still leased"
                );
                break;
            }
        }
        self.shutdown.cancel();
        self.tasks.close();
        let last = deadline.max(Instant::now() + self.options.cleanup_timeout);
        if timeout_at(last, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "tasks of the pool did not end in time"
            );
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().scheduler.is_closed()
    }

    pub(crate) fn system(&self) -> &Arc<Occupant> {
        &self.system
    }

    /// Ends when the pool is shut down.
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Runs a task that [`close`](Self::close) waits for. Without a runtime it is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            self.tasks.spawn_on(task, runtime);
        }
    }

    /// Returns true to the first who asks while there is a runtime.
    pub(super) fn claim_housekeeping(&self) -> bool {
        !self.housekeeping.load(Ordering::Relaxed)
            && self.runtime.get().is_some()
            && !self.housekeeping.swap(true, Ordering::Relaxed)
    }

    pub(super) fn keep(&self) -> KeepStatements {
        self.options.keep()
    }

    pub(super) fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Feeds one event to the scheduler, then does what it decided outside the lock.
    pub(super) fn change<R>(self: &Arc<Self>, event: impl FnOnce(&mut State, Time) -> R) -> R {
        let mut state = self.state.lock();
        let result = event(&mut state, self.now());
        let orders = state.orders();
        let emptied = state.scheduler.is_closed() && state.scheduler.is_empty();
        drop(state);
        for order in orders {
            self.carry_out(order);
        }
        if emptied {
            self.emptied.notify_waiters();
        }
        result
    }

    fn carry_out(self: &Arc<Self>, order: Order) {
        match order {
            Order::Hand {
                waiter: Waiter { occupant, answer },
                conn,
                session,
            } => {
                // If the waiter has gone, the lease comes back here and is dropped: that returns it.
                let lease = Lease::new(Arc::clone(self), conn, occupant, session);
                drop(answer.send(Ok(lease)));
            }
            Order::Refuse { waiter, error } => drop(waiter.answer.send(Err(error))),
            Order::Open(conn) => self.open_later(conn),
            Order::Close { conn, session } => self.close_idle(conn, session),
            Order::Evicted { occupant, reason } => {
                tracing::debug!(%occupant, reason = reason.as_str(), "tenant pool evicted");
            }
        }
    }

    /// Notes the runtime at the first use, and starts the housekeeping.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.runtime.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(self.runtime.set(runtime));
        }
        self.start_housekeeping();
    }

    fn timed_out(&self, occupant: &Occupant) -> Error {
        let mut state = self.state.lock();
        state.acquires.timeout += 1;
        tracing::debug!(occupant = %occupant.id, "no connection in time");
        let waited = self.options.acquire_timeout;
        Error::new(
            ErrorKind::Timeout,
            format!("waited {waited:?} for a connection"),
        )
        .with_retry_after(RETRY_AFTER)
    }

    fn queue_full(&self) -> Error {
        let most = self.options.max_waiting_per_tenant;
        Error::new(
            ErrorKind::Overloaded,
            format!("{most} requests are waiting already"),
        )
        .with_retry_after(RETRY_AFTER)
    }
}

impl State {
    /// Finds or begins the pool of an occupant, and returns the occupant as the pool knows it.
    fn pool_of(&mut self, now: Time, occupant: &Arc<Occupant>) -> (TenantKey, Arc<Occupant>) {
        if let Some(pool) = self.pools.get(&occupant.id) {
            let known = &pool.occupant;
            let same = Arc::ptr_eq(known, occupant)
                || (known.binding == occupant.binding && known.class == occupant.class);
            if same {
                return (pool.key, Arc::clone(known));
            }
            let key = pool.key;
            self.scheduler.evict(now, key, EvictReason::Changed);
            self.pools.remove(&occupant.id);
        }
        let key = self.scheduler.add_tenant(now, occupant.class);
        let pool = Pool {
            key,
            occupant: Arc::clone(occupant),
        };
        self.pools.insert(occupant.id.clone(), pool);
        self.names.insert(key, occupant.id.clone());
        (key, Arc::clone(occupant))
    }

    fn count(&mut self, how: How) {
        match how {
            How::Hit => self.acquires.hit += 1,
            How::Rebind => self.acquires.rebind += 1,
            How::Bind => self.acquires.open += 1,
        }
    }

    pub(super) fn note_open_error(&mut self, error: Option<sqlx::Error>) {
        self.open_error = error.map(Arc::new);
    }

    /// Turns the scheduler's actions into orders: takes sessions out, forgets names.
    fn orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some(action) = self.scheduler.next_action() {
            orders.extend(self.order(action));
        }
        orders
    }

    fn order(&mut self, action: Action<Waiter>) -> Option<Order> {
        Some(match action {
            Action::Grant {
                waiter, conn, how, ..
            } => {
                self.count(how);
                let session = self.sessions[conn.index()].take();
                let session = session.expect("a connection that is granted was put back before");
                Order::Hand {
                    waiter,
                    conn,
                    session,
                }
            }
            Action::Refuse { waiter, why } => {
                self.acquires.refused += 1;
                let error = match (why, &self.open_error) {
                    (Refusal::Closed, _) => closed(),
                    (Refusal::OpenFailed, Some(error)) => {
                        unavailable("opening a connection", Arc::clone(error))
                    }
                    (Refusal::OpenFailed, None) => {
                        Error::new(ErrorKind::Unavailable, "opening a connection")
                    }
                };
                let error = name(error, &waiter.occupant);
                Order::Refuse { waiter, error }
            }
            Action::Open(conn) => Order::Open(conn),
            Action::Close(conn) => Order::Close {
                conn,
                session: self.sessions[conn.index()].take(),
            },
            Action::Evicted { tenant, reason } => {
                let occupant = self.names.remove(&tenant)?;
                if self
                    .pools
                    .get(&occupant)
                    .is_some_and(|pool| pool.key == tenant)
                {
                    self.pools.remove(&occupant);
                }
                Order::Evicted { occupant, reason }
            }
        })
    }

    pub(super) fn put_session(&mut self, conn: ConnId, session: Session) {
        self.sessions[conn.index()] = Some(session);
    }
}

/// A place in a queue. Dropping it leaves the queue.
struct Waiting {
    server: Arc<Server>,
    key: TenantKey,
    ticket: Ticket,
    receiver: oneshot::Receiver<Result<Lease, Error>>,
    answered: bool,
}

impl Waiting {
    async fn answer(mut self) -> Result<Lease, Error> {
        let answer = (&mut self.receiver).await;
        self.answered = true;
        answer.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        // An answer that is already in the channel is dropped with it, and a lease in it goes back.
        let (key, ticket) = (self.key, self.ticket);
        let waiter = self
            .server
            .change(|state, now| state.scheduler.cancel(now, key, ticket));
        drop(waiter);
    }
}

pub(super) fn is_stale(seen: Instant, suspect_before: Option<Instant>, after: Duration) -> bool {
    suspect_before.is_some_and(|time| seen < time) || seen.elapsed() >= after
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "taking a connection")
}

fn unavailable(
    attempted: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Unavailable, attempted).with_source(source)
}

fn name(error: Error, occupant: &Occupant) -> Error {
    match occupant.tenant() {
        Some(tenant) => error.with_tenant(tenant),
        None => error,
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the connect options: they hold the password.
        f.debug_struct("Server")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
