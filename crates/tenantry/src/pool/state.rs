//! What the pool's lock protects: the scheduler, the idle sessions, and who is who.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{
    Acquires, Lease, PoolSnapshot, TenantPoolSnapshot,
    occupant::{Occupant, OccupantId},
    scheduler::{
        Acquire, Action, ConnId, EvictReason, How, Limits, Refusal, Released, Scheduler, TenantKey,
        Ticket, Time,
    },
    session::Session,
};
use crate::error::{Error, ErrorKind};

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    /// The sessions that are idle, by their connection.
    sessions: Vec<Option<Session>>,
    pools: HashMap<OccupantId, Pool>,
    names: HashMap<TenantKey, OccupantId>,
    acquires: Acquires,
    evictions: BTreeMap<EvictReason, u64>,
    /// Why the last connection could not be opened.
    open_error: Option<Arc<sqlx::Error>>,
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
    Closed,
}

/// Something to be done outside the lock.
pub(super) enum Order {
    Hand { waiter: Waiter, conn: ConnId, session: Session },
    Refuse { waiter: Waiter, error: Error },
    Open(ConnId),
    Close { conn: ConnId, session: Option<Session> },
    Evicted { occupant: OccupantId, reason: EvictReason },
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        let sessions = (0..limits.budget).map(|_| None).collect();
        Self {
            scheduler: Scheduler::new(limits),
            sessions,
            pools: HashMap::new(),
            names: HashMap::new(),
            acquires: Acquires::default(),
            evictions: BTreeMap::new(),
            open_error: None,
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
        self.names.insert(key, occupant.id.clone());
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

    pub(super) fn give_back(&mut self, now: Time, conn: ConnId, session: Session) {
        self.put_session(conn, session);
        self.scheduler.release(now, conn, Released::Usable);
    }

    pub(super) fn put_session(&mut self, conn: ConnId, session: Session) {
        self.sessions[conn.index()] = Some(session);
    }

    fn take_session(&mut self, conn: ConnId) -> Session {
        self.sessions[conn.index()].take().expect("what is granted was put back before")
    }

    pub(super) fn note_open_error(&mut self, error: Option<sqlx::Error>) {
        self.open_error = error.map(Arc::new);
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
    pub(super) fn orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some(action) = self.scheduler.next_action() {
            orders.extend(self.order(action));
        }
        orders
    }

    fn order(&mut self, action: Action<Waiter>) -> Option<Order> {
        Some(match action {
            Action::Grant { waiter, conn, how, .. } => {
                self.count(how);
                Order::Hand { waiter, conn, session: self.take_session(conn) }
            }
            Action::Refuse { waiter, why } => {
                self.acquires.refused += 1;
                Order::Refuse { error: self.refusal(why, &waiter.occupant), waiter }
            }
            Action::Open(conn) => Order::Open(conn),
            Action::Close(conn) => {
                Order::Close { conn, session: self.sessions[conn.index()].take() }
            }
            Action::Evicted { tenant, reason } => {
                let occupant = self.names.remove(&tenant)?;
                *self.evictions.entry(reason).or_default() += 1;
                if self.pools.get(&occupant).is_some_and(|pool| pool.key == tenant) {
                    self.pools.remove(&occupant);
                }
                Order::Evicted { occupant, reason }
            }
        })
    }

    fn refusal(&self, why: Refusal, occupant: &Occupant) -> Error {
        let error = match why {
            Refusal::Closed => Error::new(ErrorKind::Closed, "waiting for a connection"),
            Refusal::OpenFailed => Error::new(ErrorKind::Unavailable, "opening a connection"),
        };
        let error = match (why, &self.open_error) {
            (Refusal::OpenFailed, Some(source)) => error.with_source(Arc::clone(source)),
            _ => error,
        };
        occupant.name(error)
    }

    pub(super) fn snapshot(&self, max: usize) -> PoolSnapshot {
        let counts = self.scheduler.counts();
        let tenants = self.pools.iter().filter_map(|(id, pool)| {
            let OccupantId::Tenant(tenant) = id else { return None };
            let counts = self.scheduler.tenant_counts(pool.key);
            Some(TenantPoolSnapshot {
                tenant: tenant.clone(),
                total: counts.idle + counts.leased,
                idle: counts.idle,
                waiting: counts.waiting,
            })
        });
        PoolSnapshot {
            max,
            total: counts.opening + counts.idle + counts.leased + counts.closing,
            idle: counts.idle,
            leased: counts.leased,
            waiting: counts.waiting,
            acquires: self.acquires,
            evictions: self.evictions.clone(),
            tenants: tenants.collect(),
        }
    }
}
