//! One process that knows a million tenants on a hundred servers.

use std::{env, fs, process, time::Duration};

use prometheus::core::Collector;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection};
use tenantry::{
    CatalogOptions, HealthOptions, HealthStatus, MetricsOptions, PlacementPolicy, TableCatalog,
    TenantManager, provision::CreateOptions,
};
use tenantry_devdb::DevServer;
use tokio::{task::spawn_blocking, time::Instant};

use crate::{args::ServersSizes, failure::Failure, memory::private_memory, trusted::trusted};

/// Look-ups that run at once. The catalog answers up to 500 of them with one statement.
const AT_ONCE: usize = 500;

/// Look-ups of tenants that are in the cache.
const KNOWN: usize = 100_000;

/// What one process measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Version of the server.
    pub(super) version: String,
    pub(super) servers: usize,
    pub(super) tenants: usize,
    /// Growth of the process' memory for each tenant that it knows.
    pub(super) bytes_per_tenant: f64,
    /// Time of all first look-ups, divided by their number.
    pub(super) lookup_us: f64,
    /// Time of a look-up of a tenant in the cache.
    pub(super) known_lookup_us: f64,
    /// Time in which one tenant of each server was asked one after the other, with the connects.
    pub(super) first_use_ms: f64,
    /// Time of the snapshots of all pools and a scrape of all metrics.
    pub(super) status_ms: f64,
    /// Time of a health report on all servers.
    pub(super) health_ms: f64,
    /// Time of the first creation of a tenant on the least loaded server, which counts all tenants.
    pub(super) first_placement_ms: f64,
    /// Time of the next one.
    pub(super) next_placement_ms: f64,
    /// By how much the peak of the process' memory grew when the tenants were counted.
    pub(super) counting_mib: f64,
}

/// Starts a server with a database for each of the servers, and measures in a process of its own.
pub(super) async fn run(sizes: ServersSizes) -> Result<Measured, Failure> {
    let server = DevServer::builder()
        .setting("max_connections", "400")
        .setting("autovacuum", "off")
        .start()
        .await?;
    let measured = prepare_and_measure(&server, sizes).await;
    let version = server.version().to_string();
    server.close().await;
    Ok(Measured { version, ..measured? })
}

async fn prepare_and_measure(server: &DevServer, sizes: ServersSizes) -> Result<Measured, Failure> {
    eprintln!(
        "servers: creating {} databases, {} tenants in the catalog",
        sizes.servers, sizes.tenants
    );
    for number in 0..sizes.servers {
        let url = server.create_database(&database(number)).await?;
        let mut conn = PgConnection::connect(&url).await?;
        // The tenant with this number is on this server.
        conn.execute(sqlx::raw_sql(trusted(format!("create schema tenant_t{number:07}")))).await?;
        conn.close().await?;
    }
    let main = server.database_url(&database(0));
    let manager = TenantManager::builder(&main).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    manager.close().await;
    let mut conn = PgConnection::connect(&main).await?;
    sqlx::query(
        "insert into tenants (id, server) \
         select 't' || lpad(n::text, 7, '0'), case when n % $2 > 0 then 's' || n % $2 end \
         from generate_series(0, $1 - 1) as n",
    )
    .bind(i32::try_from(sizes.tenants)?)
    .bind(i32::try_from(sizes.servers)?)
    .execute(&mut conn)
    .await?;
    conn.execute("analyze tenants").await?;
    conn.close().await?;
    let urls = (0..sizes.servers).map(|number| server.database_url(&database(number))).collect();
    spawn_blocking(move || in_a_process(urls, sizes.tenants)).await?
}

fn database(number: usize) -> String {
    format!("bench{number}")
}

fn in_a_process(urls: Vec<String>, tenants: usize) -> Result<Measured, Failure> {
    let output = process::Command::new(env::current_exe()?)
        .args(["many-servers", &tenants.to_string()])
        .args(urls)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures in this process, whose memory holds nothing else.
pub(crate) async fn measure(urls: &[String], tenants: usize) -> Result<Measured, Failure> {
    let manager = build(urls, tenants)?;
    manager.tenant("t0000000").await?;
    let before = private_memory(process::id())?;
    let began = Instant::now();
    look_up_all(&manager, tenants).await?;
    let lookup_us = micros(began.elapsed()) / tenants as f64;
    let after = private_memory(process::id())?;
    let grown = after.bytes.saturating_sub(before.bytes);

    let began = Instant::now();
    for _ in 0..KNOWN {
        manager.tenant(id(fastrand::usize(..tenants))).await?;
    }
    let known_lookup_us = micros(began.elapsed()) / KNOWN as f64;

    let began = Instant::now();
    for number in 0..urls.len() {
        let db = manager.tenant(id(number)).await?;
        let (database, schema): (String, String) =
            sqlx::query_as("select current_database(), current_schema()").fetch_one(&db).await?;
        if (database, schema) != (self::database(number), format!("tenant_{}", id(number))) {
            return Err("a tenant was served from elsewhere".into());
        }
    }
    let first_use_ms = millis(began.elapsed());

    let collector = manager.collector(MetricsOptions::default());
    let began = Instant::now();
    let (pools, families) = (manager.snapshots().len(), collector.collect().len());
    let status_ms = millis(began.elapsed());
    if pools != urls.len() || families == 0 {
        return Err("a server is missing from the status".into());
    }
    let began = Instant::now();
    let health = manager.health(HealthOptions::default()).await;
    let health_ms = millis(began.elapsed());
    if health.status != HealthStatus::Ok && health.status != HealthStatus::Degraded {
        return Err(format!("a server is not healthy: {health:?}").into());
    }

    let provisioner = manager.provisioner();
    let peak_before = peak_mib()?;
    let began = Instant::now();
    provisioner.create("new-1", CreateOptions::default()).await?;
    let first_placement_ms = millis(began.elapsed());
    let counting_mib = peak_mib()? - peak_before;
    let began = Instant::now();
    provisioner.create("new-2", CreateOptions::default()).await?;
    let next_placement_ms = millis(began.elapsed());
    manager.close().await;
    Ok(Measured {
        version: String::new(),
        servers: urls.len(),
        tenants,
        bytes_per_tenant: grown as f64 / tenants as f64,
        lookup_us,
        known_lookup_us,
        first_use_ms,
        status_ms,
        health_ms,
        first_placement_ms,
        next_placement_ms,
        counting_mib,
    })
}

fn build(urls: &[String], tenants: usize) -> Result<TenantManager, Failure> {
    let (main, others) = urls.split_first().ok_or("there is no server")?;
    // Those that are there and those that are created.
    let capacity = u64::try_from(tenants + 2)?;
    let mut builder = TenantManager::builder(main)
        .catalog(TableCatalog::new())
        .catalog_options(CatalogOptions::default().capacity(capacity))
        .placement(PlacementPolicy::least_loaded());
    for (number, url) in (1..).zip(others) {
        builder = builder.server(format!("s{number}"), url.as_str());
    }
    Ok(builder.build()?)
}

async fn look_up_all(manager: &TenantManager, tenants: usize) -> Result<(), Failure> {
    let tasks = (0..AT_ONCE).map(|first| {
        let manager = manager.clone();
        tokio::spawn(async move {
            for number in (first..tenants).step_by(AT_ONCE) {
                manager.tenant(id(number)).await?;
            }
            Ok::<(), tenantry::Error>(())
        })
    });
    // All of them run, whichever is waited for.
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}

fn id(number: usize) -> String {
    format!("t{number:07}")
}

/// Returns the peak of the memory of this process.
fn peak_mib() -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("there is a peak")?;
    Ok(kib.trim().parse::<f64>()? / 1_024.0)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
