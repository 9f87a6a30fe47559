//! The servers of a manager.

mod new_tenants;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    event::EvictReason,
    pool::{OccupantId, Server},
    tenant::{Home, MAIN, Placement, TenantId},
};

pub(crate) use new_tenants::{NewTenants, TenantsByServer};

/// The main server, and further ones by their names. Each has a pool and a budget of its own, and
/// no connection before its first use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    main: Arc<Server>,
    others: Arc<BTreeMap<Arc<str>, Arc<Server>>>,
    new_tenants: Arc<NewTenants>,
}

impl Servers {
    pub(crate) fn new(main: Arc<Server>, others: BTreeMap<Arc<str>, Arc<Server>>) -> Self {
        let servers = Self { main, others: Arc::new(others), new_tenants: Arc::default() };
        if servers.are_several() {
            servers.all().for_each(|(name, server)| server.name_in_events(name));
        }
        servers
    }

    /// Sets which servers get new tenants.
    pub(crate) fn placing(self, new_tenants: NewTenants) -> Self {
        Self { new_tenants: Arc::new(new_tenants), ..self }
    }

    /// Returns which servers get new tenants.
    pub(crate) fn new_tenants(&self) -> &NewTenants {
        &self.new_tenants
    }

    /// Returns the server that has the catalog and the shared schema.
    pub(crate) fn main(&self) -> &Arc<Server> {
        &self.main
    }

    /// Returns the server of a placement. The rules refuse a placement on an unknown one, so that
    /// there always is one.
    pub(crate) fn of(&self, placement: &Placement) -> &Arc<Server> {
        self.named(placement.server())
    }

    /// Returns the server of a database.
    pub(crate) fn at(&self, home: &Home) -> &Arc<Server> {
        self.named(home.server())
    }

    fn named(&self, name: &str) -> &Arc<Server> {
        self.others.get(name).unwrap_or(&self.main)
    }

    /// Returns all servers with their names, the main one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Arc<Server>)> {
        let others = self.others.iter().map(|(name, server)| (&**name, server));
        std::iter::once((MAIN, &self.main)).chain(others)
    }

    /// Returns the databases in the URLs of all servers.
    pub(crate) fn homes(&self) -> impl Iterator<Item = Home> {
        let others = self.others.keys().map(Home::of_url);
        std::iter::once(Home::MANAGERS).chain(others)
    }

    /// Returns `true` if there are others than the main one.
    pub(crate) fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Makes the sessions of a tenant drop their prepared statements before their next use.
    pub(crate) fn note_change(&self, id: &OccupantId) {
        self.all().for_each(|(_, server)| server.note_change(id));
    }

    /// Makes the next read of a tenant on a replica ask the primary, on each server. An older handle can be for the
    /// place at which the tenant was.
    pub(crate) fn read_anew(&self, tenant: &TenantId) {
        let replicas = self.all().filter_map(|(_, server)| server.replicas());
        replicas.for_each(|replicas| replicas.note_change(tenant));
    }

    /// Evicts the tenant pools of an occupant. Returns `true` if there was one.
    pub(crate) fn evict(&self, id: &OccupantId, reason: EvictReason) -> bool {
        let evicted = self.all().map(|(_, server)| server.evict(id, reason));
        evicted.fold(false, |any, evicted| any | evicted)
    }

    /// Invalidates every handle of a tenant that uses its tenant pools.
    pub(crate) fn retire(&self, tenant: &TenantId) {
        self.all().for_each(|(_, server)| server.retire(tenant));
    }
}
