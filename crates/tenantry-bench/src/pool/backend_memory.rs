//! The memory that the server's backends keep for every table they have seen.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::{Connection, PgConnection, SqlStr, postgres::PgConnectOptions};
use tenantry::{PoolOptions, TenantManager};
use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    task::JoinSet,
    time::sleep,
};

use crate::{
    args::Sizes,
    failure::Failure,
    memory::private_memory,
    trusted::{self, trusted},
    world::World,
};

/// Connections of the manager, and tasks that use them.
const CONNECTIONS: usize = 8;

/// Tables of each tenant, with two indexes each.
const TABLES: usize = 10;

/// The number of schemas that are created per transaction: every table and index holds a lock until its end.
const BATCH: usize = 50;

/// The interval between two samples of all backends.
const PAUSE: Duration = Duration::from_millis(200);

const MB: f64 = 1_000_000.0;

/// The most private memory that a backend had at any time, in millions of bytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BackendPrivateMb {
    /// `None` if the memory of the server's processes cannot be read.
    pub(crate) with_retirement: Option<f64>,
    pub(crate) without: Option<f64>,
}

/// The memory of the backends of both managers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BackendMemory {
    pub(crate) tenants: usize,
    pub(crate) visits: usize,
    pub(crate) with_retirement: Backends,
    pub(crate) without: Backends,
}

impl BackendMemory {
    pub(crate) fn figures(&self) -> BackendPrivateMb {
        BackendPrivateMb {
            with_retirement: self.with_retirement.most(),
            without: self.without.most(),
        }
    }
}

/// The memory of the backends of one manager.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Backends {
    pub(crate) max_mb: f64,
    /// The mean of the backends that existed at the end.
    pub(crate) mean_at_end_mb: f64,
    /// The sum of the backends that existed at the end.
    pub(crate) sum_at_end_mb: f64,
    /// The number of backends over the whole run.
    pub(crate) backends: usize,
    pub(crate) visits_per_second: f64,
    pub(crate) errors: usize,
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl Backends {
    fn most(&self) -> Option<f64> {
        self.failure.is_none().then_some(self.max_mb)
    }
}

pub(crate) async fn run(world: &World, sizes: Sizes) -> Result<BackendMemory, Failure> {
    let (tenants, visits) = (sizes.memory_tenants, sizes.memory_visits);
    let database = world.another_database("memory").await?;
    eprintln!("backend_private_mb: creating {tenants} tenants of {TABLES} tables");
    create(&database, tenants).await?;
    let mut backends = Vec::new();
    for (name, most) in [("with_retirement", None), ("without", Some(usize::MAX))] {
        eprintln!("backend_private_mb: {name}");
        let options = database.clone().application_name(name);
        backends.push(visit_all(options, name, most, tenants, visits).await?);
    }
    let without = backends.pop().ok_or("two managers have run")?;
    let with_retirement = backends.pop().ok_or("two managers have run")?;
    Ok(BackendMemory { tenants, visits, with_retirement, without })
}

async fn create(database: &PgConnectOptions, tenants: usize) -> Result<(), Failure> {
    let mut workers = JoinSet::new();
    for worker in 0..2 {
        let database = database.clone();
        workers.spawn(async move {
            let mut conn = PgConnection::connect_with(&database).await?;
            let numbers: Vec<_> = (0..tenants).filter(|number| number % 2 == worker).collect();
            for batch in numbers.chunks(BATCH) {
                let sql = batch.iter().copied().map(create_tenant).collect();
                trusted::run(&mut conn, sql).await?;
            }
            conn.close().await
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

fn create_tenant(number: usize) -> String {
    let schema = format!("tenant_{}", id(number));
    let tables = (0..TABLES).map(|table| {
        format!(
            "create table {schema}.table_{table} \
             (id int primary key, name text not null, added timestamptz not null); \
             create index on {schema}.table_{table} (name); "
        )
    });
    format!("create schema {schema}; ") + &tables.collect::<String>()
}

fn id(number: usize) -> String {
    format!("t{number:05}")
}

/// One statement that reads from all tables of a tenant.
fn read_all() -> SqlStr {
    let tables: Vec<_> = (0..TABLES)
        .map(|table| format!("select id, name, added from table_{table} where id = $1"))
        .collect();
    trusted(tables.join(" union all "))
}

/// Has the manager visit every tenant this many times, in a random order, and samples the backends.
async fn visit_all(
    options: PgConnectOptions,
    name: &'static str,
    max_tenants_per_connection: Option<usize>,
    tenants: usize,
    visits: usize,
) -> Result<Backends, Failure> {
    let manager = manager(options.clone(), max_tenants_per_connection)?;
    let order = random_order(tenants, visits);
    let watcher = PgConnection::connect_with(&options.application_name("sampler")).await?;
    let (stop, stopped) = oneshot::channel();
    let watch = tokio::spawn(watch(watcher, name, stopped));
    let began = Instant::now();
    let errors = visit_in_parallel(&manager, &order).await?;
    let elapsed = began.elapsed().as_secs_f64();
    // The receiver is only gone after a failure, and then the error is in the task.
    let _ = stop.send(());
    let seen = watch.await??;
    manager.close().await;
    Ok(Backends {
        max_mb: seen.most as f64 / MB,
        mean_at_end_mb: seen.sum_at_end as f64 / seen.at_end.max(1) as f64 / MB,
        sum_at_end_mb: seen.sum_at_end as f64 / MB,
        backends: seen.by_pid.len(),
        visits_per_second: order.len() as f64 / elapsed,
        errors,
        failure: seen.failure,
    })
}

fn manager(
    options: PgConnectOptions,
    max_tenants_per_connection: Option<usize>,
) -> Result<TenantManager, Failure> {
    let mut pool = PoolOptions::default();
    pool.max_connections = CONNECTIONS;
    pool.reserved_connections = Some(0);
    if let Some(most) = max_tenants_per_connection {
        pool.max_tenants_per_connection = most;
        pool.max_tables_per_connection = most;
    }
    Ok(TenantManager::builder_with(options).pool_options(pool).build()?)
}

/// Returns the number of each tenant this many times.
fn random_order(tenants: usize, visits: usize) -> Arc<[usize]> {
    let mut order: Vec<usize> = (0..tenants * visits).map(|visit| visit % tenants).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut order);
    order.into()
}

/// Visits all tenants of the list, one per connection at a time, and returns how many visits failed.
async fn visit_in_parallel(
    manager: &TenantManager,
    order: &Arc<[usize]>,
) -> Result<usize, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(visit(manager.clone(), Arc::clone(order), Arc::clone(&next)));
    }
    let mut errors = 0;
    while let Some(failed) = tasks.join_next().await {
        errors += failed?;
    }
    Ok(errors)
}

/// Visits tenants until the end of the list, and returns how many visits failed.
async fn visit(manager: TenantManager, order: Arc<[usize]>, next: Arc<AtomicUsize>) -> usize {
    let (statement, mut errors) = (read_all(), 0);
    while let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
        let visited = async {
            let db = manager.tenant(id(*number)).await?;
            let query = sqlx::query(statement.clone()).bind(1);
            query.fetch_all(&db).await
        };
        errors += usize::from(visited.await.is_err());
    }
    errors
}

/// Samples of the backends.
#[derive(Debug, Default)]
struct Seen {
    /// The most that each backend had.
    by_pid: HashMap<u32, u64>,
    most: u64,
    at_end: usize,
    sum_at_end: u64,
    failure: Option<String>,
}

async fn watch(
    mut conn: PgConnection,
    name: &'static str,
    mut stopped: oneshot::Receiver<()>,
) -> sqlx::Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let last = stopped.try_recv() != Err(TryRecvError::Empty);
        (seen.at_end, seen.sum_at_end) = (0, 0);
        for pid in backends(&mut conn, name).await? {
            match private_memory(pid) {
                Ok(memory) => seen.note(pid, memory.bytes),
                // It has ended since the server was queried.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // The file was open when it ended.
                Err(error) if error.raw_os_error() == Some(ENDED) => {}
                Err(error) => seen.failure = Some(error.to_string()),
            }
        }
        if last {
            conn.close().await?;
            return Ok(seen);
        }
        sleep(PAUSE).await;
    }
}

/// `ESRCH`: there is no such process.
const ENDED: i32 = 3;

impl Seen {
    fn note(&mut self, pid: u32, bytes: u64) {
        let most = self.by_pid.entry(pid).or_default();
        *most = bytes.max(*most);
        self.most = self.most.max(bytes);
        self.at_end += 1;
        self.sum_at_end += bytes;
    }
}

async fn backends(conn: &mut PgConnection, name: &str) -> sqlx::Result<Vec<u32>> {
    let pids: Vec<i32> = sqlx::query_scalar(
        "select pid from pg_stat_activity \
         where application_name in ($1, 'tenantry/' || $1) and backend_type = 'client backend'",
    )
    .bind(name)
    .fetch_all(conn)
    .await?;
    Ok(pids.into_iter().map(i32::cast_unsigned).collect())
}
