//! Which servers get new tenants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync, time::Instant};

use crate::tenant::{MAIN, NoServer, PlacementPolicy, ServerLoad, TenantRecord};

/// How long a count of the tenants of each server is used, at least.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// How long it is used, in multiples of the time that it took: counting a million tenants takes seconds.
const TIMES_ITS_COST: u32 = 20;

/// The policy for new tenants, and what it knows of the servers.
#[derive(Debug, Default)]
pub(crate) struct NewTenants {
    policy: PlacementPolicy,
    /// The weight of each server but the main one.
    weights: BTreeMap<Arc<str>, f64>,
    draining: BTreeSet<Arc<str>>,
    counted: Mutex<Option<Counted>>,
    /// Held while tenants are counted, so that concurrent creations share one count.
    counting: sync::Mutex<()>,
}

/// The number of tenants by server.
#[derive(Debug, Default)]
pub(crate) struct TenantsByServer(BTreeMap<Arc<str>, usize>);

impl TenantsByServer {
    pub(crate) fn add(&mut self, tenant: &TenantRecord) {
        *self.0.entry(server_of(tenant)).or_default() += 1;
    }
}

/// The last count, and until when it is used.
#[derive(Debug)]
struct Counted {
    until: Instant,
    tenants: TenantsByServer,
}

impl NewTenants {
    pub(crate) fn new(
        policy: PlacementPolicy,
        weights: BTreeMap<Arc<str>, f64>,
        draining: BTreeSet<Arc<str>>,
    ) -> Self {
        let (counted, counting) = (Mutex::default(), sync::Mutex::default());
        Self { policy, weights, draining, counted, counting }
    }

    /// Returns `true` if there is nothing to choose.
    pub(crate) fn go_to_main(&self) -> bool {
        self.policy.is_always_main()
    }

    /// Waits until no other creation counts tenants. Ask [`need_a_count`](Self::need_a_count) again afterwards.
    pub(crate) async fn counting(&self) -> sync::MutexGuard<'_, ()> {
        self.counting.lock().await
    }

    /// Returns `true` if the tenants of each server have to be counted before the choice.
    pub(crate) fn need_a_count(&self) -> bool {
        let is_old = || self.counted.lock().as_ref().is_none_or(|it| Instant::now() >= it.until);
        self.policy.counts_tenants() && is_old()
    }

    /// Sets the number of tenants of each server, which took this long to count.
    pub(crate) fn set_count(&self, tenants: TenantsByServer, took: Duration) {
        let until = Instant::now() + COUNTED_FOR.max(took * TIMES_ITS_COST);
        *self.counted.lock() = Some(Counted { until, tenants });
    }

    /// Counts a tenant that was created meanwhile.
    pub(crate) fn count_created(&self, tenant: &TenantRecord) {
        if let Some(counted) = self.counted.lock().as_mut() {
            counted.tenants.add(tenant);
        }
    }

    /// Chooses the server of a new tenant.
    pub(crate) fn choose(&self, tenant: &TenantRecord, draw: f64) -> Result<Arc<str>, NoServer> {
        self.policy.choose(tenant, &self.candidates(), draw)
    }

    /// Returns `true` if no policy places a new tenant on this server.
    pub(crate) fn never_go_to(&self, server: &str) -> bool {
        self.draining.contains(server) || self.policy.excludes(server)
    }

    /// Chooses other servers for these tenants: by the policy, or the least loaded of these servers. Each choice
    /// counts for the next ones. `draw` returns random numbers from 0 to 1, exclusive.
    pub(crate) fn spread(
        &self,
        tenants: &[TenantRecord],
        only: &[String],
        mut draw: impl FnMut() -> f64,
    ) -> Vec<Result<Arc<str>, NoServer>> {
        let least_loaded = PlacementPolicy::least_loaded();
        let (policy, mut servers) = if only.is_empty() {
            (&self.policy, self.candidates())
        } else {
            let named = |of: &ServerLoad| only.iter().any(|name| **name == *of.name);
            (&least_loaded, self.loads().into_iter().filter(named).collect())
        };
        let mut choose = |tenant| {
            let chosen = policy.choose(tenant, &servers, draw())?;
            servers.iter_mut().filter(|of| of.name == chosen).for_each(|of| of.tenants += 1);
            Ok(chosen)
        };
        tenants.iter().map(&mut choose).collect()
    }

    /// Returns `true` if a server gets no new tenants.
    pub(crate) fn are_kept_off(&self, server: &str) -> bool {
        self.draining.contains(server)
    }

    /// Returns the servers that can get a tenant, the main one first.
    fn candidates(&self) -> Vec<ServerLoad> {
        let mut loads = self.loads();
        loads.retain(|of| !self.never_go_to(&of.name));
        loads
    }

    /// Returns all servers, the main one first.
    fn loads(&self) -> Vec<ServerLoad> {
        let counted = self.counted.lock();
        let tenants = |name: &str| {
            let counts = counted.as_ref().map(|counted| &counted.tenants);
            counts.and_then(|counts| counts.0.get(name)).copied().unwrap_or_default()
        };
        let others = self.weights.iter().map(|(name, weight)| (Arc::clone(name), *weight));
        std::iter::once((MAIN.into(), 1.0))
            .chain(others)
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

    fn three() -> TenantsByServer {
        let mut counts = TenantsByServer::default();
        let three = [tenant("a", None), tenant("b", Some("main")), tenant("c", Some("eu-1"))];
        three.iter().for_each(|tenant| counts.add(tenant));
        counts
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
        servers.set_count(three(), Duration::from_millis(5));
        assert!(!servers.need_a_count());
        let new = tenant("new", None);
        assert_eq!(servers.choose(&new, 0.0).as_deref(), Ok("eu-2"));
        servers.count_created(&tenant("new", Some("eu-2")));
        servers.count_created(&tenant("newer", Some("eu-2")));
        assert_eq!(servers.choose(&new, 0.0).as_deref(), Ok("eu-1"));
        tokio::time::advance(COUNTED_FOR).await;
        assert!(servers.need_a_count());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dear_count_is_used_for_longer() {
        let servers = servers(PlacementPolicy::least_loaded(), &[]);
        servers.set_count(three(), Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!servers.need_a_count());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(servers.need_a_count());
    }

    #[test]
    fn tenants_of_a_server_are_spread_over_the_others() {
        let drained =
            [tenant("a", Some("eu-1")), tenant("b", Some("eu-1")), tenant("c", Some("eu-1"))];
        let servers = servers(PlacementPolicy::least_loaded(), &["eu-1"]);
        let spread = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(ToString::to_string).collect();
            servers.spread(&drained, &only, || 0.5).into_iter().collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(spread(&[]), Ok(["main", "eu-2", "main"].map(Arc::from).to_vec()));
        assert_eq!(spread(&["eu-2"]), Ok(["eu-2"; 3].map(Arc::from).to_vec()));
        servers.set_count(three(), Duration::ZERO);
        assert_eq!(spread(&[]), Ok(["eu-2", "eu-2", "main"].map(Arc::from).to_vec()));
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
