//! A database with tenants in it, and a server on top.

use std::{str::FromStr, time::Duration};

use rustix::process::{Resource, getrlimit, setrlimit};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::{
    FixedCatalog, Isolation, IsolationKind, ManagerBuilder, Rows, TenantManager, TenantState,
};
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

/// Returns the SQL that creates the same tenants in one table `users`, and the table `plans`.
fn setup_in_rows() -> String {
    let tenants = tenants().map(|tenant| format!("('{tenant}', '{tenant}')"));
    let users = tenants.collect::<Vec<_>>().join(", ");
    let setting = "nullif(current_setting('tenantry.tenant', true), '')";
    format!(
        "do $$ begin create role acceptance_app;
           exception when duplicate_object or unique_violation then null; end $$;
         create table public.users (name text, tenant_id text not null default {setting},
           primary key (tenant_id, name));
         insert into public.users values {users};
         alter table public.users enable row level security;
         alter table public.users force row level security;
         create policy tenants on public.users using (tenant_id = (select {setting}))
           with check (tenant_id = {setting});
         grant usage on schema public to acceptance_app;
         grant select, insert, update, delete on public.users to acceptance_app;
         create table public.plans (name text); insert into public.plans values ('free');"
    )
}

/// The tenants that have databases where each has one: those that the cases use.
const IN_DATABASES: [&str; 13] =
    ["acme", "globex", "frozen", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t20"];

/// Creates a database for each of the tenants that have one.
async fn create_databases(database: &DevDatabase) -> Result<(), Box<dyn std::error::Error>> {
    let plans = "create table public.plans (name text); insert into public.plans values ('free');";
    database.run_script(plans).await?;
    for tenant in IN_DATABASES {
        let name = format!("{}_{tenant}", database.name());
        database.run_script(&format!("create database \"{name}\"")).await?;
        let options = PgConnectOptions::from_str(database.url())?.database(&name);
        let mut conn = PgConnection::connect_with(&options).await?;
        let users = "create table users (name text primary key)";
        sqlx::raw_sql(users).execute(&mut conn).await?;
        sqlx::query("insert into users values ($1)").bind(tenant).execute(&mut conn).await?;
        conn.close().await?;
    }
    Ok(())
}

/// An app with a database of its own.
pub(crate) struct Stage {
    kind: IsolationKind,
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
        let (database, isolation) = ground(A::KIND).await;
        let builder = TenantManager::builder(database.url()).isolation(isolation);
        let builder = builder.catalog(catalog());
        let manager = configure(builder.acquire_timeout(Duration::from_secs(30)));
        let manager = manager.build().expect("the configuration is sound");
        let server = A::serve(App::new(manager.clone(), Resolver::Header)).await;
        Self { kind: A::KIND, database, manager, server }
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
        if self.kind == IsolationKind::Database {
            drop_databases(&self.database).await.expect("the databases can be dropped");
        }
    }
}

/// Creates a database with the tenants, and says how they are isolated in it.
async fn ground(kind: IsolationKind) -> (DevDatabase, Isolation) {
    let (setup, isolation) = match kind {
        IsolationKind::Row => {
            let rows = Rows::new().role("acceptance_app").expect("the name is an identifier");
            (setup_in_rows(), Some(Isolation::rows(rows)))
        }
        IsolationKind::Database => (String::new(), None),
        _ => (setup(), Some(Isolation::schema("tenant_{id}"))),
    };
    let database = DevDatabase::from_template(&setup).await.expect("a server can be started");
    match isolation {
        Some(isolation) => (database, isolation),
        None => {
            create_databases(&database).await.expect("databases can be created");
            let isolation = Isolation::database(&format!("{}_{{id}}", database.name()));
            (database, isolation)
        }
    }
}

async fn drop_databases(database: &DevDatabase) -> Result<(), Box<dyn std::error::Error>> {
    for tenant in IN_DATABASES {
        let drop = format!("drop database \"{}_{tenant}\" with (force)", database.name());
        database.run_script(&drop).await?;
    }
    Ok(())
}

/// Returns the tenants that are served.
fn tenants() -> impl Iterator<Item = String> {
    let numbered = (1..=50).map(|n| format!("t{n}"));
    ["acme", "globex"].into_iter().map(str::to_owned).chain(numbered)
}

pub(crate) fn catalog() -> FixedCatalog {
    let tenants = tenants().map(|tenant| record(&tenant));
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
