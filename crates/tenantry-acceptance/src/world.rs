//! A database with a few tenants, for the tests that only one adapter has.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenantry::{FixedCatalog, ManagerBuilder, TenantId, TenantManager, TenantRecord, TenantState};
use tenantry_devdb::DevDatabase;

/// The tenants of a [`World`].
pub const TENANTS: [&str; 4] = ["acme", "globex", "initech", "frozen"];

/// Creates a tenant's schema, with a table `users` that contains the tenant's own name.
const CREATE_TENANT: &str = "
    create function pg_temp.add(tenant text) returns void language plpgsql as $$
    begin
        execute format('create schema %I', 'tenant_' || tenant);
        execute format('create table %I.users (name text primary key)', 'tenant_' || tenant);
        execute format('insert into %I.users values (%L)', 'tenant_' || tenant, tenant);
    end $$;
";

/// Returns the SQL that creates these tenants, of which none needs quotes.
pub(crate) fn setup(tenants: impl IntoIterator<Item = impl Display>) -> String {
    let calls = tenants.into_iter().map(|tenant| format!("select pg_temp.add('{tenant}');"));
    calls.fold(CREATE_TENANT.to_owned(), |setup, call| setup + &call)
}

/// Creates the [`TENANTS`] in a database.
pub(crate) async fn create_tenants(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(CREATE_TENANT).execute(&mut *conn).await?;
    for tenant in TENANTS {
        sqlx::query("select pg_temp.add($1)").bind(tenant).execute(&mut *conn).await?;
    }
    Ok(())
}

/// A database with the [`TENANTS`], dropped with the value. Each has a table `users` that contains the tenant's own
/// name. `frozen` is suspended.
#[derive(Debug)]
pub struct World {
    database: DevDatabase,
}

impl World {
    /// Creates the database.
    ///
    /// # Panics
    ///
    /// When no server can be started.
    pub async fn new() -> Self {
        let database = DevDatabase::from_template(&setup(TENANTS)).await;
        Self { database: database.expect("a server can be started") }
    }

    /// Returns the URL of the database.
    #[must_use]
    pub fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) fn database_name(&self) -> &str {
        self.database.name()
    }

    /// Starts configuring a manager.
    pub fn builder(&self) -> ManagerBuilder {
        builder(self.url())
    }

    /// Creates a manager with the default configuration.
    ///
    /// # Panics
    ///
    /// Never: the configuration is valid.
    #[must_use]
    pub fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is valid")
    }

    /// Opens a connection beside the pool.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.expect("the server is running")
    }
}

/// Starts configuring a manager of the [`TENANTS`] in this database.
pub(crate) fn builder(database_url: &str) -> ManagerBuilder {
    let records = TENANTS.map(|tenant| match tenant {
        "frozen" => record(tenant).state(TenantState::Suspended),
        _ => record(tenant),
    });
    TenantManager::builder(database_url).catalog(FixedCatalog::new(records))
}

/// Creates a manager of these tenants whose server does not exist.
///
/// # Panics
///
/// When an id is invalid.
pub fn offline(tenants: impl IntoIterator<Item = &'static str>) -> TenantManager {
    offline_with(FixedCatalog::new(tenants.into_iter().map(record)))
}

pub(crate) fn offline_with(catalog: FixedCatalog) -> TenantManager {
    TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(catalog)
        .acquire_timeout(Duration::from_millis(300))
        .build()
        .expect("the configuration is valid")
}

pub(crate) fn record(tenant: &str) -> TenantRecord {
    TenantRecord::new(TenantId::parse(tenant).expect("the id is valid"))
}

/// Returns the names in a tenant's table `users`, sorted.
///
/// # Panics
///
/// When the tenant or its database is unavailable.
pub async fn users(manager: &TenantManager, tenant: &str) -> Vec<String> {
    let db = manager.tenant(tenant).await.expect("the tenant exists");
    let query = sqlx::query_scalar("select name from users order by 1");
    query.fetch_all(&db).await.expect("the server is running")
}

/// Waits until a condition holds.
///
/// # Panics
///
/// When it does not hold within ten seconds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
