//! One new file in the schemas of all tenants.

use std::{thread, time::Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sqlx::{Connection, PgConnection, Postgres, migrate::Migrator, pool::PoolOptions};
use tenantry::migrate::{MigrateOptions, MigrateReport, Outcome};

use super::{
    files::Files,
    schemas::{CONCURRENCY, Schemas},
};
use crate::{
    failure::Failure,
    rounds::{Round, interleave},
    stats::ratio,
    trusted,
};

/// Seconds, in each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct OneFile {
    pub(crate) tenants: usize,
    /// Tenantry, four tenants at a time.
    pub(crate) tenantry: Vec<f64>,
    /// sqlx's `Migrator`, one tenant after the other on one connection.
    pub(crate) sqlx_loop: Vec<f64>,
    /// The same without its lock.
    pub(crate) sqlx_loop_without_lock: Vec<f64>,
    /// sqlx's `Migrator` on a pool of four connections, without its lock, which lets nobody else migrate.
    pub(crate) sqlx_four_without_lock: Vec<f64>,
}

impl OneFile {
    pub(super) fn speedup(&self) -> f64 {
        ratio(self.sqlx_loop.iter().copied(), self.tenantry.iter().copied())
    }
}

/// Seconds, in each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TwoRunners {
    pub(crate) one: Vec<f64>,
    pub(crate) two: Vec<f64>,
    pub(crate) applied_twice: u64,
    /// In each round, how often two runners have looked at a schema that the other had seen to.
    pub(crate) looks_in_vain: Vec<usize>,
}

impl TwoRunners {
    pub(super) fn ratio(&self) -> f64 {
        ratio(self.two.iter().copied(), self.one.iter().copied())
    }
}

/// Who applies the file.
const CONTENDERS: [&str; 4] =
    ["tenantry", "sqlx_loop", "sqlx_loop_without_lock", "sqlx_four_without_lock"];

/// Has everybody apply the file to all tenants, in turn. It is taken back in between.
pub(super) async fn run(schemas: &Schemas, rounds: u32) -> Result<OneFile, Failure> {
    let files = Files::and_a_change()?;
    let runs = interleave("one_file", &CONTENDERS, rounds, async |index, round| {
        if round == Round::WarmUp && index > 0 {
            return Ok(0.0);
        }
        let began = Instant::now();
        match index {
            0 => drop(tenantry(schemas.url().to_owned(), &files).await?),
            1 => sqlx_loop(schemas, &files, true).await?,
            2 => sqlx_loop(schemas, &files, false).await?,
            _ => sqlx_four(schemas, &files).await?,
        }
        let took = began.elapsed().as_secs_f64();
        let ran = schemas.undo_change().await?;
        match (ran.once, ran.more) {
            (once, 0) if once == schemas.tenants.len() => Ok(took),
            _ => Err(format!("the file was not run once everywhere: {ran:?}").into()),
        }
    });
    let [tenantry, sqlx_loop, sqlx_loop_without_lock, sqlx_four_without_lock] =
        <[Vec<f64>; 4]>::try_from(runs.await?).map_err(|_| "a contender is missing")?;
    let tenants = schemas.tenants.len();
    Ok(OneFile { tenants, tenantry, sqlx_loop, sqlx_loop_without_lock, sqlx_four_without_lock })
}

/// Has one runner apply the file, and two at once, each in a thread with a runtime of its own.
pub(super) async fn run_two(schemas: &Schemas, rounds: u32) -> Result<TwoRunners, Failure> {
    let files = Files::and_a_change()?;
    let (mut applied_twice, mut looks_in_vain) = (0, Vec::new());
    let runs = interleave("two_runners", &["one", "two"], rounds, async |index, round| {
        if round == Round::WarmUp {
            return Ok(0.0);
        }
        let began = Instant::now();
        let reports = in_threads(index + 1, schemas.url(), &files)?;
        let took = began.elapsed().as_secs_f64();
        let ran = schemas.undo_change().await?;
        applied_twice += ran.more as u64;
        let migrated = reports.iter().map(|report| report.migrated).sum::<usize>();
        if index == 1 {
            let tenants = reports.iter().flat_map(|report| &report.tenants);
            let looks = tenants.map(|tenant| match tenant.outcome {
                Outcome::UpToDate => tenant.attempts as usize,
                _ => tenant.attempts as usize - 1,
            });
            looks_in_vain.push(looks.sum());
        }
        let tenants = schemas.tenants.len();
        if migrated == tenants && ran.once + ran.more == tenants {
            return Ok(took);
        }
        Err(format!("{migrated} tenants were said to be migrated, and {ran:?}").into())
    });
    let [one, two] =
        <[Vec<f64>; 2]>::try_from(runs.await?).map_err(|_| "a contender is missing")?;
    Ok(TwoRunners { one, two, applied_twice, looks_in_vain })
}

/// Starts so many runners at once, and returns their reports.
fn in_threads(runners: usize, url: &str, files: &Files) -> Result<Vec<MigrateReport>, Failure> {
    let run = || -> Result<MigrateReport, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let report = runtime.block_on(tenantry(url.to_owned(), files));
        report.map_err(|error| error.to_string())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..runners).map(|_| scope.spawn(run)).collect();
        let reports = threads.into_iter().map(|thread| thread.join().expect("no runner panics"));
        Ok(reports.collect::<Result<_, _>>()?)
    })
}

async fn tenantry(url: String, files: &Files) -> Result<MigrateReport, Failure> {
    let manager = tenantry::TenantManager::builder(url).build()?;
    let migrator = manager.migrator().tenants(files.migrations()?);
    let report = migrator.migrate_all(MigrateOptions::default().concurrency(CONCURRENCY)).await?;
    manager.close().await;
    if report.is_success() { Ok(report) } else { Err(report.to_string().into()) }
}

async fn sqlx_loop(schemas: &Schemas, files: &Files, locking: bool) -> Result<(), Failure> {
    let migrator = sqlx_migrator(files, locking).await?;
    let mut conn = schemas.connect().await?;
    for tenant in &schemas.tenants {
        one_tenant(&migrator, &mut conn, tenant).await?;
    }
    conn.close().await?;
    Ok(())
}

async fn sqlx_four(schemas: &Schemas, files: &Files) -> Result<(), Failure> {
    let migrator = &sqlx_migrator(files, false).await?;
    let four = u32::try_from(CONCURRENCY)?;
    let pool = PoolOptions::<Postgres>::new().max_connections(four).connect(schemas.url()).await?;
    let pool = &pool;
    let tenants = stream::iter(&schemas.tenants).map(|tenant| async move {
        let mut conn = pool.acquire().await?;
        one_tenant(migrator, &mut conn, tenant).await
    });
    tenants.buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    pool.close().await;
    Ok(())
}

pub(super) async fn sqlx_migrator(files: &Files, locking: bool) -> Result<Migrator, Failure> {
    let mut migrator = Migrator::new(files.path()).await?;
    migrator.set_locking(locking);
    Ok(migrator)
}

/// Does what sqlx's documentation says, on a session whose search path is the tenant's.
pub(super) async fn one_tenant(
    migrator: &Migrator,
    conn: &mut PgConnection,
    tenant: &str,
) -> Result<(), Failure> {
    trusted::run(conn, format!("set search_path to tenant_{tenant}")).await?;
    conn.clear_cached_statements().await?;
    migrator.run(conn).await?;
    Ok(())
}
