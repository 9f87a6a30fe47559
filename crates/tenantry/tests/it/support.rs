//! A database with tenants in it, and what tests wait with.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use prometheus::core::Collector;
use sqlx::{Connection, Executor, PgConnection, Row};
use tenantry::{
    ErrorKind, Event, ManagerBuilder, MetricsCollector, PoolOptions, TenantDb, TenantManager,
    event::Retry,
};
use tenantry_devdb::{DevDatabase, DevServer};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Says what is not tested on this machine, and why. The harness captures what a test prints that passes, and not what
/// it writes.
pub(crate) fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, and so not tested: {what}");
}

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

    /// As [`with_tenants`](Self::with_tenants), and each schema has the table of migration records, with no record.
    pub(crate) async fn with_managed_tenants(tenants: &[&str]) -> Self {
        let world = Self::with_tenants(tenants).await;
        let mut admin = world.admin().await;
        for tenant in tenants {
            let sql = format!(
                "create table tenant_{tenant}._sqlx_migrations (version bigint primary key, \
                 description text not null, installed_on timestamptz not null default now(), \
                 success boolean not null, checksum bytea not null, execution_time bigint not null)"
            );
            run(&mut admin, &sql).await;
        }
        world
    }

    /// A connection beside the pool, as a superuser.
    pub(crate) async fn admin(&self) -> PgConnection {
        connect(self.database.url()).await
    }

    pub(crate) fn builder(&self) -> ManagerBuilder {
        TenantManager::builder(self.database.url())
    }

    pub(crate) fn manager(&self) -> TenantManager {
        self.builder().build().expect("the configuration is sound")
    }

    /// A manager with one connection, so that all tenants share one session.
    pub(crate) fn one_session(&self) -> TenantManager {
        self.with_pool(|options| options.max_connections = 1)
    }

    pub(crate) fn with_pool(&self, change: impl FnOnce(&mut PoolOptions)) -> TenantManager {
        self.builder()
            .pool_options(pool_options(change))
            .build()
            .expect("the configuration is sound")
    }
}

/// A server of the test's own, with tenants in its database `postgres`.
pub(crate) async fn private_server(tenants: &[&str]) -> DevServer {
    let server = DevServer::start().await.expect("a server can be started");
    let mut admin = connect(&server.url()).await;
    for tenant in tenants {
        create_tenant(&mut admin, tenant).await;
    }
    server
}

pub(crate) fn pool_options(change: impl FnOnce(&mut PoolOptions)) -> PoolOptions {
    let mut options = PoolOptions::default();
    change(&mut options);
    options
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the server is running")
}

/// The major version of the server.
pub(crate) async fn server_version(admin: &mut PgConnection) -> i32 {
    let version = sqlx::query_scalar("select current_setting('server_version_num')::int / 10000");
    version.fetch_one(admin).await.expect("the server is running")
}

/// Server sessions of managers in this database, by the name that they give themselves, but for a `witness`.
pub(crate) async fn sessions(admin: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() \
         and application_name like 'tenantry/%' and application_name <> 'tenantry/witness' \
         and backend_type = 'client backend'",
    )
    .fetch_one(admin)
    .await
    .expect("the server is running")
}

/// Ends a session at the server.
pub(crate) async fn kill(admin: &mut PgConnection, pid: i32) {
    sqlx::query("select pg_terminate_backend($1, 5000)")
        .bind(pid)
        .execute(admin)
        .await
        .expect("the server is running");
}

/// Says what the backend is doing, or that it is gone.
pub(crate) async fn state_of(admin: &mut PgConnection, pid: i32) -> String {
    let state: Option<Option<String>> =
        sqlx::query_scalar("select state from pg_stat_activity where pid = $1")
            .bind(pid)
            .fetch_optional(admin)
            .await
            .expect("the server is running");
    state.map_or("gone".into(), Option::unwrap_or_default)
}

/// Sessions of this database that sit in a transaction.
pub(crate) async fn idle_in_transaction(admin: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() \
         and state like 'idle in transaction%'",
    )
    .fetch_one(admin)
    .await
    .expect("the server is running")
}

/// Runs SQL that a test has put together.
pub(crate) async fn run(conn: impl Executor<'_, Database = sqlx::Postgres>, sql: &str) {
    let outcome = try_run(conn, sql).await;
    outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Runs SQL that a test has put together, and hands back how that went.
#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
pub(crate) async fn try_run(
    conn: impl Executor<'_, Database = sqlx::Postgres>,
    sql: &str,
) -> sqlx::Result<()> {
    let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(conn).await;
    outcome.map(drop)
}

/// Runs SQL that a test has put together, and tells its first value or its SQLSTATE as text.
#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
pub(crate) async fn observe(
    conn: impl Executor<'_, Database = sqlx::Postgres>,
    sql: &str,
) -> String {
    let query = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    match query.fetch_one(conn).await {
        Ok(row) => row
            .try_get_unchecked::<Option<String>, _>(0)
            .map_or_else(|error| error.to_string(), |text| format!("{text:?}")),
        Err(error) => code_of(&error),
    }
}

/// The SQLSTATE of an error, or the error's own text when it has none.
pub(crate) fn code_of(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    code.map_or_else(|| error.to_string(), |code| format!("error {code}"))
}

/// The kind of an error that has come through sqlx.
pub(crate) fn kind_of(error: sqlx::Error) -> ErrorKind {
    tenantry::Error::from(error).kind()
}

pub(crate) async fn create_tenant(admin: &mut PgConnection, tenant: &str) {
    let sql = format!(
        r#"create schema "tenant_{tenant}";
           create table "tenant_{tenant}".users (id int primary key, name text not null);
           insert into "tenant_{tenant}".users values (1, '{tenant}')"#
    );
    run(admin, &sql).await;
}

/// Makes a function that hides any command in a plain query.
pub(crate) async fn create_perform(world: &World) {
    run(
        &mut world.admin().await,
        "create function public.perform(command text) returns void volatile language plpgsql \
         as 'begin execute command; end'",
    )
    .await;
}

/// Frees the names of schemas that were given up, as if a while had passed.
pub(crate) async fn free_names(admin: &mut PgConnection) {
    run(admin, "update tenantry_retired set retired_at = retired_at - interval '1 hour'").await;
}

/// The name that the tenant's own table holds: whose data a handle sees.
pub(crate) async fn name_of(
    db: impl Executor<'_, Database = sqlx::Postgres>,
) -> sqlx::Result<String> {
    sqlx::query_scalar("select name from users where id = 1").fetch_one(db).await
}

/// The process id of the session that a plain statement runs on.
pub(crate) async fn pid_of(db: &TenantDb) -> sqlx::Result<i32> {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(db).await
}

/// What a counter without labels says.
pub(crate) fn counted(collector: &MetricsCollector, name: &str) -> f64 {
    let families = collector.collect();
    let family = families.iter().find(|family| family.name() == name);
    let family = family.unwrap_or_else(|| panic!("there is no {name}"));
    family.get_metric()[0].get_counter().get_value()
}

/// Waits until a condition holds, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(Duration::from_secs(10), what, condition).await;
}

pub(crate) async fn eventually_within(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let deadline = Instant::now() + patience;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nobody leases a connection or waits for one.
pub(crate) async fn at_rest(manager: &TenantManager) {
    eventually("nobody leases or waits", async || {
        let pool = manager.snapshot();
        pool.leased == 0 && pool.waiting == 0
    })
    .await;
}

/// What a hook has heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    /// A hook that notes every event.
    pub(crate) fn hook(&self) -> impl Fn(Event) + Send + Sync + 'static {
        let heard = Arc::clone(&self.0);
        move |event| heard.lock().expect("no hook panics").push(event)
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().expect("no hook panics").clone()
    }

    pub(crate) fn retries(&self) -> Vec<Retry> {
        let retry = |event| if let Event::Retry(retry) = event { Some(retry) } else { None };
        self.all().into_iter().filter_map(retry).collect()
    }
}
