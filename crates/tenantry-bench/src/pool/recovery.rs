//! Time to first response after a server outage.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tenantry::{PoolOptions, TenantManager};
use tenantry_devdb::DevServer;
use tokio::{task::JoinSet, time::sleep};

use crate::{failure::Failure, pool::TASKS, stats::median, trusted};

/// How long the server is down: long enough to reach the longest delay between two probes.
const AWAY: Duration = Duration::from_secs(3);

/// The deadline of a request: the acquire's and the statement's.
const DEADLINE: Duration = Duration::from_secs(4);

/// Milliseconds, in each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recovery {
    /// Time to first response after the server accepts connections again.
    pub(crate) first_success_ms: Vec<f64>,
    /// The longest that any request took, the failed ones too.
    pub(crate) longest_request_ms: Vec<f64>,
    pub(crate) deadline_ms: f64,
}

impl Recovery {
    pub(crate) fn first_success(&self) -> f64 {
        median(self.first_success_ms.iter().copied())
    }

    pub(crate) fn longest_request(&self) -> f64 {
        self.longest_request_ms.iter().copied().fold(0.0, f64::max)
    }
}

/// Stops a dedicated server abruptly under load, and starts it again.
pub(crate) async fn run(rounds: u32) -> Result<Recovery, Failure> {
    let server = DevServer::start().await?;
    let manager = manager(&server).await?;
    let mut recovery = Recovery {
        first_success_ms: Vec::new(),
        longest_request_ms: Vec::new(),
        deadline_ms: DEADLINE.as_secs_f64() * 1e3,
    };
    for round in 0..rounds {
        eprintln!("recovery: round {} of {rounds}", round + 1);
        let (first, longest) = outage(&server, &manager).await?;
        recovery.first_success_ms.push(first.as_secs_f64() * 1e3);
        recovery.longest_request_ms.push(longest.as_secs_f64() * 1e3);
    }
    manager.close().await;
    server.close().await;
    Ok(recovery)
}

/// Creates a tenant and a manager that serves it.
async fn manager(server: &DevServer) -> Result<TenantManager, Failure> {
    let mut admin = PgConnection::connect(&server.url()).await?;
    trusted::run(&mut admin, "create schema tenant_acme".to_owned()).await?;
    admin.close().await?;
    let mut options = PoolOptions::default();
    options.acquire_timeout = DEADLINE / 2;
    options.statement_timeout = Some(DEADLINE / 2);
    Ok(TenantManager::builder(server.url()).pool_options(options).build()?)
}

/// Restarts the server under load. Returns the time from its first connection to the first response, and the duration
/// of the longest request.
async fn outage(
    server: &DevServer,
    manager: &TenantManager,
) -> Result<(Duration, Duration), Failure> {
    let load = Load::start(manager);
    sleep(Duration::from_millis(500)).await;
    server.stop_now().await?;
    sleep(AWAY).await;
    // The load sees the server as soon as this does, so neither waits for the other.
    let starting = server.start_again();
    let accepting = accepts(server.url());
    let (started, accepted) = tokio::join!(starting, accepting);
    started?;
    sleep(Duration::from_secs(2)).await;
    let (successes, longest) = load.stop().await;
    let first = successes.into_iter().filter(|at| *at >= accepted).min();
    let first = first.ok_or("no request was served after the restart")?;
    Ok((first - accepted, longest))
}

/// Waits until the server accepts a connection.
async fn accepts(url: String) -> Instant {
    loop {
        if let Ok(conn) = PgConnection::connect(&url).await {
            let now = Instant::now();
            drop(conn);
            return now;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Tasks that send one request after the other.
struct Load {
    stop: Arc<AtomicBool>,
    successes: Arc<Mutex<Vec<Instant>>>,
    tasks: JoinSet<Duration>,
}

impl Load {
    fn start(manager: &TenantManager) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let successes: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let (manager, stop) = (manager.clone(), Arc::clone(&stop));
            let successes = Arc::clone(&successes);
            tasks.spawn(send_until(manager, stop, successes));
        }
        Self { stop, successes, tasks }
    }

    async fn stop(self) -> (Vec<Instant>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.tasks.join_all().await.into_iter().max().unwrap_or_default();
        let successes = std::mem::take(&mut *self.successes.lock());
        (successes, longest)
    }
}

/// Sends requests until told to stop, and returns how long the longest took.
async fn send_until(
    manager: TenantManager,
    stop: Arc<AtomicBool>,
    successes: Arc<Mutex<Vec<Instant>>>,
) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let served = request(&manager).await.is_ok();
        longest = longest.max(began.elapsed());
        if served {
            successes.lock().push(Instant::now());
        }
        // As many requests as a service sends, not as many as a loop can fail.
        sleep(Duration::from_millis(2)).await;
    }
    longest
}

async fn request(manager: &TenantManager) -> Result<(), tenantry::Error> {
    let db = manager.tenant("acme").await?;
    sqlx::query("select 1").execute(&db).await?;
    Ok(())
}
