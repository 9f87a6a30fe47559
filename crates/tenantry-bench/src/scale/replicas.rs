//! Own writes that are read back from a streaming standby, while other sessions write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::core::Collector;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tenantry::{MetricsCollector, MetricsOptions, TenantManager};
use tenantry_devdb::DevServer;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{args::ReplicaSizes, failure::Failure, trusted::trusted};

/// What was measured.
pub(super) struct Measured {
    /// Version of the server.
    pub(super) server: String,
    /// Own writes that were read back.
    pub(super) reads: usize,
    /// Those that were not seen.
    pub(super) stale: usize,
    /// Those that the replica answered.
    pub(super) on_replica: usize,
    /// Time of each read, in milliseconds.
    pub(super) reads_ms: Vec<f64>,
    /// The 99th percentile of the waits for the replica, as its histogram has it: the upper bound of a bucket, in
    /// milliseconds.
    pub(super) wait_p99_ms: f64,
    /// Rows that other sessions wrote meanwhile.
    pub(super) load: u64,
}

/// Tenants that write and read, each in a task.
const CLIENTS: usize = 4;

/// Sessions that write all the time, and the rows that each writes at a time.
const WRITERS: usize = 2;
const ROWS: u64 = 50;

pub(super) async fn run(sizes: &ReplicaSizes) -> Result<Measured, Failure> {
    let primary = DevServer::builder()
        .setting("wal_level", "replica")
        .setting("max_wal_senders", "4")
        .setting("autovacuum", "off")
        .start()
        .await?;
    let mut admin = PgConnection::connect(&primary.url()).await?;
    for client in 0..CLIENTS {
        let schema = format!(
            "create schema tenant_c{client}; create table tenant_c{client}.counted (count bigint not null); \
             insert into tenant_c{client}.counted values (0)"
        );
        admin.execute(sqlx::raw_sql(trusted(schema))).await?;
    }
    admin.execute("create table load (id bigserial primary key, text text not null)").await?;
    admin.close().await?;
    let standby = primary.standby().await?;
    let measured = measure(sizes, &primary, &standby).await;
    standby.close().await;
    primary.close().await;
    measured
}

async fn measure(
    sizes: &ReplicaSizes,
    primary: &DevServer,
    standby: &DevServer,
) -> Result<Measured, Failure> {
    let manager = TenantManager::builder(primary.url())
        .max_connections(10)
        .replica("main", standby.url())
        .build()?;
    // Waits are timed from here on.
    let collector = manager.collector(MetricsOptions::default());
    for client in 0..CLIENTS {
        warm(&manager, client).await?;
    }
    let (stop, load) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let options: PgConnectOptions = primary.url().parse()?;
        let (stop, load) = (Arc::clone(&stop), Arc::clone(&load));
        writers.spawn(async move { write(&options, &stop, &load).await });
    }
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (manager, writes) = (manager.clone(), sizes.replica_writes / CLIENTS);
        clients.spawn(async move { write_and_read(&manager, client, writes).await });
    }
    let mut measured = Measured {
        server: primary.version().to_string(),
        reads: 0,
        stale: 0,
        on_replica: 0,
        reads_ms: Vec::new(),
        wait_p99_ms: f64::NAN,
        load: 0,
    };
    for reads in clients.join_all().await {
        for Read { is_stale, is_on_replica, took } in reads? {
            measured.reads += 1;
            measured.stale += usize::from(is_stale);
            measured.on_replica += usize::from(is_on_replica);
            measured.reads_ms.push(took.as_secs_f64() * 1e3);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for written in writers.join_all().await {
        written?;
    }
    measured.load = load.load(Ordering::Relaxed);
    measured.wait_p99_ms = wait_p99_ms(&collector)?;
    manager.close().await;
    Ok(measured)
}

/// Reads the waits from the histogram: until it was known that the replica has what a read needs.
fn wait_p99_ms(collector: &MetricsCollector) -> Result<f64, Failure> {
    let families = collector.collect();
    let waits = families.iter().find(|family| family.name() == "tenantry_replica_wait_seconds");
    let waits = waits.and_then(|family| family.get_metric().first()).ok_or("there are waits")?;
    let waits = waits.get_histogram();
    let most = waits.get_sample_count() as f64 * 0.99;
    let bucket = waits.get_bucket().iter().find(|of| of.cumulative_count() as f64 >= most);
    Ok(bucket.map_or(f64::INFINITY, |of| of.upper_bound() * 1e3))
}

/// Opens the connections, so that no read waits for that.
async fn warm(manager: &TenantManager, client: usize) -> Result<(), Failure> {
    let db = manager.tenant(format!("c{client}")).await?;
    for _ in 0..1_000 {
        let in_recovery = sqlx::query_scalar("select pg_is_in_recovery()");
        if in_recovery.fetch_one(&db.read()).await? {
            return Ok(());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Err("the replica has answered no read".into())
}

async fn write(
    options: &PgConnectOptions,
    stop: &AtomicBool,
    load: &AtomicU64,
) -> sqlx::Result<()> {
    let mut conn = options.connect().await?;
    let rows = "insert into load (text) select repeat('x', 100) from generate_series(1, $1)";
    while !stop.load(Ordering::Relaxed) {
        sqlx::query(rows).bind(ROWS.cast_signed()).execute(&mut conn).await?;
        load.fetch_add(ROWS, Ordering::Relaxed);
    }
    conn.close().await
}

/// A read after an own write.
struct Read {
    is_stale: bool,
    is_on_replica: bool,
    took: Duration,
}

async fn write_and_read(
    manager: &TenantManager,
    client: usize,
    writes: usize,
) -> sqlx::Result<Vec<Read>> {
    let db = manager.tenant(format!("c{client}")).await?;
    let mut reads = Vec::with_capacity(writes);
    for _ in 0..writes {
        let count = "update counted set count = count + 1 returning count";
        let written: i64 = sqlx::query_scalar(count).fetch_one(&db).await?;
        let began = Instant::now();
        let (seen, is_on_replica): (i64, bool) =
            sqlx::query_as("select count, pg_is_in_recovery() from counted")
                .fetch_one(&db.read())
                .await?;
        reads.push(Read { is_stale: seen != written, is_on_replica, took: began.elapsed() });
    }
    Ok(reads)
}
