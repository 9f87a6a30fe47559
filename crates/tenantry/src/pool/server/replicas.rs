//! The replicas of a server: pools of servers that follow it, for reads. [`routing`](super::super::routing) chooses
//! among them.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    super::{
        connector::Connector,
        occupant::Occupant,
        options::PoolOptions,
        pooling::Guard,
        replicas::{Instance, Instances, Marks, ReplicaLimits, Trail},
        reset::Replayed,
        scheduler::Time,
        session::Session,
    },
    Own, Server,
};
use crate::{
    event::{Event, ReplicaChange, ReplicaState},
    tenant::TenantId,
};

/// How a replica is connected to, and how far behind it may be.
#[derive(Debug)]
pub(crate) struct ReplicaPool {
    pub(crate) connector: Connector,
    pub(crate) options: PoolOptions,
    pub(crate) limits: ReplicaLimits,
}

/// The replicas of a server, and what is known of its log.
#[derive(Debug)]
pub(crate) struct Replicas {
    pub(in crate::pool) primary: Weak<Server>,
    replicas: Vec<Arc<Replica>>,
    began: Instant,
    /// Number of the next choice.
    next: AtomicUsize,
    pub(in crate::pool) trail: Mutex<Trail>,
    pub(in crate::pool) marks: Mutex<Marks<Reader>>,
    /// Held while the primary is asked.
    pub(in crate::pool) turn: tokio::sync::Mutex<()>,
    /// When all replicas may be asked again whether one was promoted, in nanoseconds since it began.
    pub(in crate::pool) next_search: AtomicU64,
}

/// A tenant as its sessions on replicas know it.
#[derive(Debug)]
pub(in crate::pool) struct Reader {
    of: Weak<Occupant>,
    occupant: Arc<Occupant>,
}

#[derive(Debug)]
pub(in crate::pool) struct Replica {
    pub(in crate::pool) server: Arc<Server>,
    pub(in crate::pool) limits: ReplicaLimits,
    pub(in crate::pool) standing: Arc<Standing>,
}

/// What is known of a replica.
#[derive(Debug)]
pub(in crate::pool) struct Standing {
    began: Instant,
    pub(in crate::pool) instances: Mutex<Instances>,
    /// It is not asked for connections before this time, in nanoseconds since it began.
    rests_until: AtomicU64,
    state: Mutex<ReplicaState>,
    /// `true` while it is asked in the background whether it gives connections again.
    is_probed: AtomicBool,
}

/// How long a replica is left alone after it could not be used.
const REST: Duration = Duration::from_secs(1);

/// A replica, for reports.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaStatus {
    pub(crate) name: Arc<str>,
    pub(crate) state: ReplicaState,
    /// How many bytes of the log it had not replayed when both were last asked.
    pub(crate) lag: Option<u64>,
}

impl Server {
    /// Adds the pools of servers that follow this one.
    pub(crate) fn add_replicas(self: &Arc<Self>, pools: Vec<ReplicaPool>) {
        let began = Instant::now();
        let longest = pools.iter().map(|pool| pool.limits.time).max().unwrap_or_default();
        let replicas = pools.into_iter().enumerate().map(|(index, pool)| {
            let name = format!("{}/replica-{}", self.name(), index + 1);
            Arc::new(Replica::new(self, name.into(), pool, began))
        });
        let replicas = Arc::new(Replicas {
            primary: Arc::downgrade(self),
            replicas: replicas.collect(),
            began,
            next: AtomicUsize::new(0),
            trail: Mutex::new(Trail::of(longest)),
            marks: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            next_search: AtomicU64::new(0),
        });
        let is_first = self.related.replicas.set(replicas).is_ok();
        debug_assert!(is_first, "replicas are added at once");
    }

    /// Creates the pool of a replica. They share the gates.
    fn followed_by(
        &self,
        name: Arc<str>,
        connector: Connector,
        options: PoolOptions,
        standing: &Arc<Standing>,
    ) -> Arc<Self> {
        let own = Own {
            system: Arc::clone(self.system()),
            upkeep: None,
            manager: self.manager.clone(),
            extensions: Arc::clone(&self.extensions),
            guard: Guard::Refuses,
        };
        let observer = self.observer.beside(options.max_tenant_pools);
        let replica = self.related(name, connector, options, own, observer);
        drop(replica.related.standing.set(Arc::clone(standing)));
        replica.observer.name_server(replica.name());
        replica
    }

    /// Returns the replicas, if there are any.
    pub(crate) fn replicas(&self) -> Option<&Arc<Replicas>> {
        self.related.replicas.get()
    }

    /// Returns `true` if it is a replica.
    pub(in crate::pool) fn is_replica(&self) -> bool {
        self.related.standing.get().is_some()
    }

    /// Records what a replica has said in the response to a bind.
    pub(in crate::pool) fn note_replayed(&self, session: &mut Session) {
        if let (Some(replayed), Some(standing)) = (session.replayed(), self.related.standing.get())
            && let Some(started) = session.server_started()
        {
            let Replayed { in_recovery, lsn } = replayed;
            let now = standing.began.elapsed();
            let mut instances = standing.instances.lock();
            if session.is_first_heard() {
                instances.note_session(started, lsn);
            }
            instances.note_replayed(started, in_recovery, lsn, now);
        }
    }

    /// Makes reads of a tenant go to the primary, because it is at another place now.
    pub(crate) fn read_no_more(&self, occupant: &Arc<Occupant>) {
        if let (Some(replicas), Some(tenant)) = (self.replicas(), occupant.tenant())
            && occupant.can_read_on_replicas()
        {
            replicas.reader(tenant, occupant).retire();
        }
    }
}

impl Replicas {
    /// Returns the pools.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.replicas.iter().map(|replica| &replica.server)
    }

    pub(in crate::pool) fn all(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.replicas.iter()
    }

    /// Returns what was found last, without asking.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = ReplicaStatus> {
        let newest = self.trail.lock().newest();
        self.replicas.iter().map(move |replica| {
            let instance = replica.standing.instances.lock().latest();
            let lag = newest.zip(instance).filter(|(newest, of)| newest.history == of.history);
            ReplicaStatus {
                name: Arc::clone(&replica.server.name),
                state: *replica.standing.state.lock(),
                lag: lag.map(|(newest, of)| of.lsn.behind(newest.lsn)),
            }
        })
    }

    /// Records that a tenant was changed.
    pub(crate) fn note_change(&self, tenant: &TenantId) {
        self.marks.lock().wrote(tenant);
    }

    /// Returns the tenant as its sessions on replicas know it.
    pub(in crate::pool) fn reader(
        &self,
        tenant: &TenantId,
        occupant: &Arc<Occupant>,
    ) -> Arc<Occupant> {
        let suits = |reader: &Reader| Weak::as_ptr(&reader.of) == Arc::as_ptr(occupant);
        let make =
            || Reader { of: Arc::downgrade(occupant), occupant: Arc::new(occupant.on_replicas()) };
        let mut marks = self.marks.lock();
        Arc::clone(&marks.with(tenant, suits, make).occupant)
    }

    /// Chooses a replica, in turn, of those that gave connections and do not rest.
    pub(in crate::pool) fn choose(&self) -> Option<&Arc<Replica>> {
        let (now, count) = (self.now(), self.replicas.len());
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut others = (0..count).map(|nth| &self.replicas[first.wrapping_add(nth) % count]);
        others.find(|replica| !replica.standing.rests(now) && !replica.standing.is_away())
    }

    pub(in crate::pool) fn now(&self) -> Time {
        self.began.elapsed()
    }
}

impl Replica {
    fn new(primary: &Server, name: Arc<str>, pool: ReplicaPool, began: Instant) -> Self {
        let standing = Arc::new(Standing {
            began,
            instances: Mutex::default(),
            rests_until: AtomicU64::new(0),
            state: Mutex::default(),
            is_probed: AtomicBool::new(false),
        });
        let server = primary.followed_by(name, pool.connector, pool.options, &standing);
        Self { server, limits: pool.limits, standing }
    }

    /// Records what a server has said that was started then, and returns that.
    pub(in crate::pool) fn note(
        &self,
        started: Option<i64>,
        said: impl FnOnce(i64, Time) -> Instance,
    ) -> Instance {
        let instance = said(started.unwrap_or_default(), self.standing.began.elapsed());
        // One that is not told apart from others is asked each time.
        if started.is_some() {
            self.standing.instances.lock().note(instance);
        }
        instance
    }

    /// Records whether it is of use. If not, it is left alone for a while.
    pub(in crate::pool) fn note_state(&self, state: ReplicaState, lag_bytes: Option<u64>) {
        if state != ReplicaState::InUse {
            let until = self.standing.began.elapsed() + REST;
            let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
            self.standing.rests_until.store(until, Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut *self.standing.state.lock(), state);
        if before != state {
            let change = ReplicaChange { state, lag_bytes, server: None };
            self.server.observer.tell(Event::Replica(change));
        }
    }
}

/// A question to a replica in the background. Dropping it records the end.
#[derive(Debug)]
pub(in crate::pool) struct Probe(Arc<Standing>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.is_probed.store(false, Ordering::Release);
    }
}

impl Standing {
    /// Returns `true` if it gave no connection when it was last asked for one.
    fn is_away(&self) -> bool {
        *self.state.lock() == ReplicaState::Away
    }

    /// Returns `true` if it may give connections again.
    pub(in crate::pool) fn may_be_back(&self, now: Time) -> bool {
        self.is_away() && !self.rests(now)
    }

    /// Begins to ask it in the background whether it gives connections, unless that is being asked.
    pub(in crate::pool) fn begin_probe(self: &Arc<Self>) -> Option<Probe> {
        let is_first = !self.is_probed.swap(true, Ordering::AcqRel);
        is_first.then(|| Probe(Arc::clone(self)))
    }

    fn rests(&self, now: Time) -> bool {
        now < Duration::from_nanos(self.rests_until.load(Ordering::Relaxed))
    }
}
