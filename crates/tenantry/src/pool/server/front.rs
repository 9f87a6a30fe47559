//! The pool of connections to a pooler in transaction mode, in front of the pool of direct ones.
//!
//! The statements of the application go through it, one transaction each. Whatever needs a session
//! stays with the direct connections: the catalog, maintenance, and the library's own statements.

use std::sync::{Arc, OnceLock, Weak};

use super::{
    super::{
        connector::Connector,
        occupant::{Occupant, OccupantId},
        options::PoolOptions,
        pooling::Guard,
        session::Purpose,
    },
    Own, Server,
    replicas::{Replicas, Standing},
};
use crate::error::{Error, ErrorKind};

/// How a pool is related to others of the same server, and of its replicas.
#[derive(Debug, Default)]
pub(in crate::pool) struct Related {
    /// The pool in front of it.
    front: OnceLock<Arc<Server>>,
    /// The pool that it is in front of.
    direct: OnceLock<Weak<Server>>,
    /// The pools of servers that follow it.
    pub(super) replicas: OnceLock<Arc<Replicas>>,
    /// What is known of it, if it is a replica.
    pub(super) standing: OnceLock<Arc<Standing>>,
}

impl Server {
    /// Puts a pool of connections to a pooler in front of this one.
    pub(crate) fn put_in_front(self: &Arc<Self>, connector: Connector, options: PoolOptions) {
        let own = Own {
            system: Arc::clone(self.system()),
            upkeep: None,
            manager: self.manager.clone(),
            extensions: Arc::clone(&self.extensions),
            guard: Guard::Expects,
        };
        let observer = self.observer.sharing(options.max_tenant_pools);
        let name = Arc::clone(&self.name);
        let front = self.related(name, connector, options, own, observer);
        let set = [
            front.related.direct.set(Arc::downgrade(self)).is_ok(),
            self.related.front.set(front).is_ok(),
        ];
        debug_assert!(set == [true; 2], "there is one front");
    }

    /// Names the server in each event from now on.
    pub(crate) fn name_in_events(&self, name: &str) {
        self.observer.name_server(name);
        if let Some(front) = self.front() {
            front.observer.name_server(name);
        }
    }

    /// Returns the pool in front, if there is one.
    pub(crate) fn front(&self) -> Option<&Arc<Self>> {
        self.related.front.get()
    }

    /// Returns the pools that serve its tenants, too.
    pub(super) fn others(&self) -> impl Iterator<Item = &Arc<Self>> {
        let replicas = self.replicas().into_iter().flat_map(|replicas| replicas.servers());
        self.front().into_iter().chain(replicas)
    }

    /// Returns the pool of direct connections that this one is in front of.
    pub(in crate::pool) fn direct(&self) -> Option<Arc<Self>> {
        self.related.direct.get().and_then(Weak::upgrade)
    }

    /// Returns the pool that serves the application: the one in front, if there is one.
    pub(crate) fn serving(self: &Arc<Self>) -> &Arc<Self> {
        self.front().unwrap_or(self)
    }

    /// Returns the pool that gives an occupant a connection for this purpose.
    pub(in crate::pool) fn giving(
        self: &Arc<Self>,
        occupant: &Occupant,
        purpose: Purpose,
    ) -> &Arc<Self> {
        match purpose {
            Purpose::Statement | Purpose::Read | Purpose::Transaction(_) | Purpose::Reading(_)
                if is_applications(occupant) =>
            {
                self.serving()
            }
            _ => self,
        }
    }

    /// Refuses to hand out a connection that would have to keep its session.
    pub(crate) fn check_keeps_sessions(&self, occupant: &Occupant) -> Result<(), Error> {
        match self.front().filter(|_| is_applications(occupant)) {
            None => Ok(()),
            Some(_) => Err(occupant.name(Error::new(ErrorKind::BehindPooler, NO_SESSION))),
        }
    }

    /// Refuses a statement that is not known to begin a transaction and to do nothing else.
    pub(crate) fn check_may_begin_otherwise(&self, occupant: &Occupant) -> Result<(), Error> {
        match self.front().filter(|_| is_applications(occupant)) {
            None => Ok(()),
            Some(_) => Err(occupant.name(Error::new(ErrorKind::BehindPooler, OTHER_BEGIN))),
        }
    }

    /// Returns `true` if the server is known to detect disconnected clients.
    pub(in crate::pool) fn checks_clients_behind(&self) -> bool {
        self.direct().is_some_and(|direct| direct.separation.checks_clients() == Some(true))
    }
}

fn is_applications(occupant: &Occupant) -> bool {
    matches!(occupant.id, OccupantId::Tenant(_) | OccupantId::Shared)
}

/// Why a transaction is not begun.
const OTHER_BEGIN: &str = "the statement does more than begin a transaction: write `begin` with an isolation level, \
                           `read only` or `read write`, and `deferrable`";

/// Why a connection is not handed out.
const NO_SESSION: &str = "a lease keeps its session, and a transaction pooler keeps none; run single statements on \
                          the handle, and several in a transaction";
