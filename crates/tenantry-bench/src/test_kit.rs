//! The benchmark of the test kit: how long a test waits for its tenants.

use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use tenantry_devdb::DevDatabase;
use tenantry_test::{TestTenant, TestTenants};
use tokio::runtime::{Builder, Runtime};

use crate::{
    args::TestKitArgs,
    clone::history,
    failure::Failure,
    times::{self, Times},
};

/// The timeout for the kit to create spares for the next test.
const PATIENCE: Duration = Duration::from_secs(30);

/// All figures, in the shape of the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Milliseconds until a test in the database of the run has two tenants.
    pub(crate) tenant_ms: f64,
    /// Milliseconds until a test has a tenant in a separate database.
    pub(crate) alone_ms: f64,
    /// Milliseconds for an empty database.
    pub(crate) create_database_ms: f64,
    /// Milliseconds for a connection.
    pub(crate) connect_ms: f64,
    pub(crate) raw: Raw,
}

/// The measurements behind the figures: milliseconds of each run.
#[derive(Debug, Serialize)]
pub(crate) struct Raw {
    pub(crate) rounds: u32,
    pub(crate) test_kit: Vec<Times>,
}

/// Starts tests like the attribute does, each in a runtime with one thread.
pub(crate) fn run(args: &TestKitArgs) -> Result<Report, Failure> {
    let tenants = TestTenants::new(history::migrations()?);
    let outer = runtime()?;
    // A test that runs during the whole benchmark, so that no measured one is the last, which waits for the cleanup
    // of the database.
    let first = outer.block_on(tenants.tenant("first"))?;
    let url = first.database_url();
    let contenders = ["connect", "create_database", "tenant", "alone"];
    let test_kit = outer.block_on(times::run("test_kit", &contenders, args.rounds, {
        async |contender, _| {
            spares_are_ready(&url).await?;
            let (tenants, url) = (tenants.clone(), url.clone());
            let measured = move || measure(contender, &tenants, &url);
            tokio::task::spawn_blocking(measured).await?
        }
    }))?;
    outer.block_on(first.end());
    let median = |contender| times::find(&test_kit, contender).map_or(f64::NAN, Times::median);
    Ok(Report {
        tenant_ms: median("tenant"),
        alone_ms: median("alone"),
        create_database_ms: median("create_database"),
        connect_ms: median("connect"),
        raw: Raw { rounds: args.rounds, test_kit },
    })
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn measure(contender: usize, tenants: &TestTenants, url: &str) -> Result<Duration, Failure> {
    let runtime = runtime()?;
    let began = Instant::now();
    let took = || began.elapsed();
    runtime.block_on(async {
        match contender {
            0 => {
                let conn = PgConnection::connect(url).await?;
                let took = took();
                conn.close().await?;
                Ok(took)
            }
            1 => {
                let database = DevDatabase::create().await?;
                let took = took();
                drop(database);
                Ok(took)
            }
            2 => {
                let one = tenants.tenant("with two tenants").await?;
                let another = one.another().await?;
                let took = took();
                check(&[&one, &another]).await?;
                one.end().await;
                Ok(took)
            }
            _ => {
                let one = tenants.alone("in a database").await?;
                let took = took();
                check(&[&one]).await?;
                one.end().await;
                Ok(took)
            }
        }
    })
}

/// Checks that tenants have their tables.
async fn check(tenants: &[&TestTenant]) -> Result<(), Failure> {
    for tenant in tenants {
        let tables: i64 = sqlx::query_scalar(
            "select count(*) from pg_tables
             where schemaname = current_schema() and tablename not like '\\_%'",
        )
        .fetch_one(&tenant.db)
        .await?;
        if usize::try_from(tables)? != history::TABLES {
            return Err(format!("tenant {} has {tables} tables", tenant.id).into());
        }
    }
    Ok(())
}

/// Waits until the kit has replaced the spares that the previous test used.
async fn spares_are_ready(url: &str) -> Result<(), Failure> {
    let mut conn = PgConnection::connect(url).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let spares: i64 = sqlx::query_scalar(
            "select count(*) from pg_namespace where nspname like 'tenantry\\_spare\\_%'",
        )
        .fetch_one(&mut conn)
        .await?;
        if spares >= 4 {
            return Ok(conn.close().await?);
        }
        if Instant::now() > deadline {
            return Err(format!("there are {spares} spares").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
