//! Which servers get new tenants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::tenant::{MAIN, NoServer, PlacementPolicy, ServerLoad, TenantRecord};

/// How long a count of the tenants of each server is used.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// The policy for new tenants, and what it knows of the servers.
#[derive(Debug, Default)]
pub(crate) struct NewTenants {
    policy: PlacementPolicy,
    /// The weight of each server but the main one.
    weights: BTreeMap<Arc<str>, f64>,
    draining: BTreeSet<Arc<str>>,
    counted: Mutex<Option<Counted>>,
}

/// The number of tenants by server, at some time.
#[derive(Debug)]
struct Counted {
    at: Instant,
    tenants: BTreeMap<Arc<str>, usize>,
}

impl NewTenants {
    pub(crate) fn new(
        policy: PlacementPolicy,
        weights: BTreeMap<Arc<str>, f64>,
        draining: BTreeSet<Arc<str>>,
    ) -> Self {
        Self { policy, weights, draining, counted: Mutex::default() }
    }

    /// Returns `true` if there is nothing to choose.
    pub(crate) fn go_to_main(&self) -> bool {
        self.policy.is_always_main()
    }

    /// Returns `true` if the tenants of each server have to be [counted](Self::count) before the choice.
    pub(crate) fn need_a_count(&self) -> bool {
        let is_old =
            || self.counted.lock().as_ref().is_none_or(|it| it.at.elapsed() >= COUNTED_FOR);
        self.policy.counts_tenants() && is_old()
    }

    /// Counts the tenants of each server.
    pub(crate) fn count(&self, tenants: &[TenantRecord]) {
        let mut counts = BTreeMap::new();
        for tenant in tenants {
            *counts.entry(server_of(tenant)).or_default() += 1;
        }
        *self.counted.lock() = Some(Counted { at: Instant::now(), tenants: counts });
    }

    /// Counts a tenant that was created meanwhile.
    pub(crate) fn count_created(&self, tenant: &TenantRecord) {
        if let Some(counted) = self.counted.lock().as_mut() {
            *counted.tenants.entry(server_of(tenant)).or_default() += 1;
        }
    }

    /// Chooses the server of a new tenant.
    pub(crate) fn choose(&self, tenant: &TenantRecord, draw: f64) -> Result<Arc<str>, NoServer> {
        self.policy.choose(tenant, &self.candidates(), draw)
    }

    /// Returns `true` if a server gets no new tenants.
    pub(crate) fn are_kept_off(&self, server: &str) -> bool {
        self.draining.contains(server)
    }

    /// Returns the servers that can get a tenant, the main one first.
    fn candidates(&self) -> Vec<ServerLoad> {
        let counted = self.counted.lock();
        let tenants = |name: &str| {
            let counts = counted.as_ref().map(|counted| &counted.tenants);
            counts.and_then(|counts| counts.get(name)).copied().unwrap_or_default()
        };
        let others = self.weights.iter().map(|(name, weight)| (Arc::clone(name), *weight));
        std::iter::once((MAIN.into(), 1.0))
            .chain(others)
            .filter(|(name, _)| !self.policy.excludes(name) && !self.draining.contains(name))
            .map(|(name, weight)| {
                let tenants = tenants(&name);
                ServerLoad::new(name, weight, tenants)
            })
            .collect()
    }
}

fn server_of(tenant: &TenantRecord) -> Arc<str> {
    tenant.server.clone().unwrap_or_else(|| MAIN.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantId;

    fn tenant(id: &str, server: Option<&str>) -> TenantRecord {
        let record = TenantRecord::new(TenantId::parse(id).expect("an id"));
        server.into_iter().fold(record, TenantRecord::server)
    }

    fn servers(policy: PlacementPolicy, draining: &[&str]) -> NewTenants {
        let weights = ["eu-1", "eu-2"].map(|name| (name.into(), 1.0));
        let draining = draining.iter().map(|name| (*name).into());
        NewTenants::new(policy, weights.into(), draining.collect())
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_are_counted_by_server_and_for_a_while() {
        let servers = servers(PlacementPolicy::least_loaded(), &[]);
        assert!(servers.need_a_count());
        servers.count(&[tenant("a", None), tenant("b", Some("main")), tenant("c", Some("eu-1"))]);
        assert!(!servers.need_a_count());
        let new = tenant("new", None);
        assert_eq!(servers.choose(&new, 0.0).as_deref(), Ok("eu-2"));
        servers.count_created(&tenant("new", Some("eu-2")));
        servers.count_created(&tenant("newer", Some("eu-2")));
        assert_eq!(servers.choose(&new, 0.0).as_deref(), Ok("eu-1"));
        tokio::time::advance(COUNTED_FOR).await;
        assert!(servers.need_a_count());
    }

    #[test]
    fn excluded_and_draining_servers_get_none() {
        let new = tenant("new", None);
        let policy = || PlacementPolicy::by_weight().except("main");
        for draw in [0.0, 0.5, 0.99] {
            let chosen = servers(policy(), &["eu-2"]).choose(&new, draw);
            assert_eq!(chosen.as_deref(), Ok("eu-1"));
        }
        let none = servers(policy(), &["eu-1", "eu-2"]);
        assert_eq!(none.choose(&new, 0.0), Err(NoServer::AllDrain));
        assert!(none.are_kept_off("eu-1") && !none.are_kept_off("main"));
    }
}
