//! A database with tenants in it, and a server on top.

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use sqlx::{Connection, PgConnection};
use tenantry::{FixedCatalog, ManagerBuilder, TenantManager, TenantState};
use tenantry_devdb::DevDatabase;

use crate::{
    adapter::{Adapter, App, Server},
    client::{Answer, get},
    resolver::Resolver,
    world::{self, eventually, offline_with, record, users},
};

/// Returns the SQL that creates the tenants `acme`, `globex`, `t1` to `t50`, and `frozen`, which is
/// suspended, and a table `plans` with the plan `free` in the shared schema.
pub(crate) fn setup() -> String {
    let named = ["acme", "globex", "frozen"].map(str::to_owned).into_iter();
    let tenants = named.chain((1..=50).map(|number| format!("t{number}")));
    let plans = "create table public.plans (name text); insert into public.plans values ('free');";
    world::setup(tenants) + plans
}

/// An app with a database of its own.
pub(crate) struct Stage {
    database: DevDatabase,
    pub(crate) manager: TenantManager,
    pub(crate) server: Server,
}

impl Stage {
    /// Serves an app that has so many connections.
    pub(crate) async fn new<A: Adapter>(connections: usize) -> Self {
        Self::with::<A>(|builder| builder.max_connections(connections)).await
    }

    pub(crate) async fn with<A: Adapter>(
        configure: impl FnOnce(ManagerBuilder) -> ManagerBuilder,
    ) -> Self {
        let database = DevDatabase::from_template(&setup()).await.expect("a server can be started");
        let builder = TenantManager::builder(database.url()).catalog(catalog());
        let manager = configure(builder.acquire_timeout(Duration::from_secs(30)));
        let manager = manager.build().expect("the configuration is sound");
        let server = A::serve(App::new(manager.clone(), Resolver::Header)).await;
        Self { database, manager, server }
    }

    pub(crate) async fn get(&self, path: &str, tenant: &str) -> Answer {
        get(path).tenant(tenant).send(&self.server).await
    }

    /// Returns the names in a tenant's table.
    pub(crate) async fn users(&self, tenant: &str) -> Vec<String> {
        users(&self.manager, tenant).await
    }

    /// A connection beside the pool.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.expect("the database is running")
    }

    pub(crate) async fn wait_until_all_are_back(&self) {
        eventually("the connections are back", async || self.manager.snapshot().leased == 0).await;
    }

    /// Ends, with every connection where it belongs.
    pub(crate) async fn end(self) {
        self.wait_until_all_are_back().await;
        drop(self.server);
        self.manager.close().await;
    }
}

pub(crate) fn catalog() -> FixedCatalog {
    let numbered = (1..=50).map(|n| format!("t{n}"));
    let tenants = ["acme", "globex"].into_iter().map(str::to_owned).chain(numbered);
    let tenants = tenants.map(|tenant| record(&tenant));
    FixedCatalog::new(tenants.chain([record("frozen").state(TenantState::Suspended)]))
}

/// Creates a manager whose database does not exist.
pub(crate) fn offline() -> TenantManager {
    offline_with(catalog())
}

/// Serves an app that finds tenants, and never needs their database.
pub(crate) async fn serve_offline<A: Adapter>(resolver: Resolver) -> Server {
    A::serve(App::new(offline(), resolver)).await
}

/// Lets this program, which is client and server at once, have as many sockets as it may.
pub(crate) fn allow_many_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit may be raised to its maximum");
}
