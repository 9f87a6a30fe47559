use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tenantry::{FixedCatalog, ManagerBuilder, TenantId, TenantManager, TenantRecord, TenantState};
use tenantry_devdb::DevDatabase;

/// A database of the test's own, with the tenants `acme`, `globex` and `initech`. Each has a table
/// `users` that holds the tenant's own name. `frozen` has one too, and is suspended.
pub(crate) struct World {
    pub(crate) database: DevDatabase,
}

pub(crate) const TENANTS: [&str; 4] = ["acme", "globex", "initech", "frozen"];

/// The SQL that makes the tenants.
const SETUP: &str = "
    create function pg_temp.add(tenant text) returns void language plpgsql as $$
    begin
        execute format('create schema %I', 'tenant_' || tenant);
        execute format('create table %I.users (name text primary key)', 'tenant_' || tenant);
        execute format('insert into %I.users values (%L)', 'tenant_' || tenant, tenant);
    end $$;
    select pg_temp.add(t) from unnest(array['acme', 'globex', 'initech', 'frozen']) t;
";

impl World {
    pub(crate) async fn new() -> Self {
        let database = DevDatabase::from_template(SETUP).await;
        Self { database: database.expect("a server can be started") }
    }

    pub(crate) fn builder(&self) -> ManagerBuilder {
        builder(self.database.url())
    }

    pub(crate) fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    /// The names in a tenant's table.
    pub(crate) async fn users(&self, manager: &TenantManager, tenant: &str) -> Vec<String> {
        let db = manager.tenant(tenant).await.expect("there is such a tenant");
        let query = sqlx::query_scalar("select name from users order by 1");
        query.fetch_all(&db).await.expect("the server is running")
    }

    /// A connection beside the pool.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.expect("the server is running")
    }
}

fn builder(database_url: &str) -> ManagerBuilder {
    let records = TENANTS.map(|tenant| {
        let record = TenantRecord::new(TenantId::parse(tenant).expect("the id is one"));
        match tenant {
            "frozen" => record.state(TenantState::Suspended),
            _ => record,
        }
    });
    TenantManager::builder(database_url).catalog(FixedCatalog::new(records))
}

/// A manager whose server is not there. Nothing is ever connected to it.
pub(crate) fn offline(tenants: impl IntoIterator<Item = &'static str>) -> TenantManager {
    let records = tenants
        .into_iter()
        .map(|tenant| TenantRecord::new(TenantId::parse(tenant).expect("the id is one")));
    TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(FixedCatalog::new(records))
        .acquire_timeout(Duration::from_millis(300))
        .build()
        .expect("the configuration is sound")
}

/// Waits until a condition holds, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
