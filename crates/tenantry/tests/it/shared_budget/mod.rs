//! Processes that share a budget: together they never have more sessions than it allows, and each
//! has its floor.

mod beside;
mod child;
mod faults;
mod grows;
mod refused;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::PgConnection;
use tenantry::{BudgetSnapshot, BudgetState, ManagerBuilder, TenantManager};
use tokio::task::JoinHandle;

use crate::support::{World, run, sessions};

const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];

/// The configuration of each process.
fn process(url: &str, budget: usize) -> ManagerBuilder {
    TenantManager::builder(url)
        .max_connections(budget)
        .acquire_timeout(Duration::from_secs(20))
        .budget_shared_by("service")
}

/// A role that the server itself gives no more connections than the budget.
struct Walled(String);

impl Walled {
    async fn by(world: &World, budget: usize) -> Self {
        let role = format!("walled_{:08x}", fastrand::u32(..));
        let mut admin = world.admin().await;
        let sql = format!(
            "create role {role} login password 'x' connection limit {budget}; \
             grant create on schema public to {role}; \
             do $$ declare s text; begin foreach s in array array['{}'] loop \
             execute format('grant usage on schema %I to {role}', 'tenant_' || s); end loop; end $$",
            TENANTS.join("', '")
        );
        run(&mut admin, &sql).await;
        Self(role)
    }

    fn url(&self, world: &World) -> String {
        let url = world.database.url();
        let (scheme, rest) = url.split_once("://").expect("it is a URL");
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{}:x@{host}", self.0)
    }

    async fn remove(self, world: &World) {
        let mut admin = world.admin().await;
        run(&mut admin, &format!("drop owned by {0}; drop role {0}", self.0)).await;
    }
}

fn budget_of(manager: &TenantManager) -> BudgetSnapshot {
    manager.snapshot().budget.expect("it shares one")
}

fn is_granted(manager: &TenantManager) -> bool {
    budget_of(manager).state == BudgetState::Granted
}

/// Watches how many sessions there are at most.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicI64>,
    task: JoinHandle<u32>,
}

impl Watch {
    async fn begin(world: &World) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let task = tokio::spawn(watch(world.admin().await, Arc::clone(&stop), Arc::clone(&most)));
        Self { stop, most, task }
    }

    /// Returns the most sessions since the last call.
    fn most(&self) -> i64 {
        self.most.swap(0, Ordering::Relaxed)
    }

    /// Checks that there were never more, and some.
    async fn expect_at_most(self, budget: i64) {
        self.stop.store(true, Ordering::Relaxed);
        let most = self.most();
        assert!(self.task.await.expect("it watches") > 10, "it has hardly looked");
        assert!((1..=budget).contains(&most), "{most} sessions of {budget}");
    }
}

async fn watch(mut admin: PgConnection, stop: Arc<AtomicBool>, most: Arc<AtomicI64>) -> u32 {
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        most.fetch_max(sessions(&mut admin).await, Ordering::Relaxed);
        looks += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    looks
}

/// Tasks that use connections without a pause until this is dropped.
struct Load {
    served: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(manager: &TenantManager, tasks: usize) -> Self {
        let (served, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let tasks = (0..tasks).map(|task| {
            let (manager, served, failed) =
                (manager.clone(), Arc::clone(&served), Arc::clone(&failed));
            tokio::spawn(async move {
                let tenant = TENANTS[task % TENANTS.len()];
                loop {
                    let counter = match use_once(&manager, tenant).await {
                        Ok(()) => &served,
                        Err(_) => &failed,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        Self { served: Arc::clone(&served), failed: Arc::clone(&failed), tasks: tasks.collect() }
    }

    /// Returns how many requests were served since the last call.
    fn served(&self) -> u64 {
        self.served.swap(0, Ordering::Relaxed)
    }

    fn forget(&self) {
        self.served.store(0, Ordering::Relaxed);
    }

    fn failed(&self) -> u64 {
        self.failed.swap(0, Ordering::Relaxed)
    }
}

async fn use_once(manager: &TenantManager, tenant: &str) -> Result<(), tenantry::Error> {
    let db = manager.tenant(tenant).await?;
    sqlx::query("select pg_sleep(0.02)").execute(&db).await?;
    Ok(())
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
