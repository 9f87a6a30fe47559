//! A database with tenants in it, and what tests wait with.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use tenantry::{ManagerBuilder, TenantDb, TenantManager};
use tenantry_devdb::DevDatabase;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A database of the test's own.
pub(crate) struct World {
    pub(crate) database: DevDatabase,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self { database: DevDatabase::create().await.expect("a server can be started") }
    }

    /// A database with these tenants, each with a table `users` that holds the tenant's own name.
    pub(crate) async fn with_tenants(tenants: &[&str]) -> Self {
        let world = Self::new().await;
        let mut admin = world.admin().await;
        for tenant in tenants {
            create_tenant(&mut admin, tenant).await;
        }
        world
    }

    /// A connection beside the pool, as a superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.expect("the server is running")
    }

    pub(crate) fn builder(&self) -> ManagerBuilder {
        TenantManager::builder(self.database.url())
    }

    pub(crate) fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    /// Server sessions in this database, those of `admin` aside.
    pub(crate) async fn sessions(&self, admin: &mut PgConnection) -> i64 {
        sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and pid <> pg_backend_pid() and backend_type = 'client backend'",
        )
        .fetch_one(admin)
        .await
        .expect("the server is running")
    }
}

/// Runs SQL that a test has put together.
#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
pub(crate) async fn run(conn: impl Executor<'_, Database = sqlx::Postgres>, sql: &str) {
    let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await;
    outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(crate) async fn create_tenant(admin: &mut PgConnection, tenant: &str) {
    let sql = format!(
        r#"create schema "tenant_{tenant}";
           create table "tenant_{tenant}".users (id int primary key, name text not null);
           insert into "tenant_{tenant}".users values (1, '{tenant}')"#
    );
    run(admin, &sql).await;
}

/// The name that the tenant's own table holds: whose data a handle sees.
pub(crate) async fn name_of(db: &TenantDb) -> sqlx::Result<String> {
    sqlx::query_scalar("select name from users where id = 1").fetch_one(db).await
}

/// Waits until a condition holds, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
