//! A tenant that moves to and fro between two servers while it is written to.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;
use tenantry::{
    Isolation, ServerOptions, TableCatalog, TenantDb, TenantManager,
    moves::{Destination, MoveMethod, MoveOptions, MoveProgress, MoveStage, Mover, ObstacleKind},
};
use tenantry_devdb::DevServer;
use tokio::time::sleep;

use super::{
    dump,
    tenant::{self, TENANT},
    writers::Writers,
};
use crate::{args::MoveSizes, failure::Failure, load::Tally};

const SECOND: &str = "second";

/// How long the writers run before and after each move.
const AROUND: Duration = Duration::from_millis(500);

/// A pause that is longer than the default of requests is measured as a pause, and not as errors.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured.
pub(super) struct Done {
    pub(super) server: String,
    /// Bytes of the tenant's tables and indexes before the first move.
    pub(super) bytes: i64,
    pub(super) moves: Vec<Move>,
    pub(super) dumps_ms: Vec<f64>,
}

/// A move.
#[derive(Debug, Serialize)]
pub(crate) struct Move {
    pub(crate) to: &'static str,
    /// How long requests waited, as the report of the move says.
    pub(crate) gate_ms: f64,
    /// The parts of this time: locking and renaming, bringing the rest to the target, switching.
    pub(crate) parts_ms: [f64; 3],
    /// How long the move took, with the copy.
    pub(crate) duration_ms: f64,
    /// The slowest write.
    pub(crate) slowest_write_ms: f64,
    /// Writes that were acknowledged around and during the move.
    pub(crate) acknowledged: u64,
    /// Writes that returned an error.
    pub(crate) refused: u64,
    /// Writes of this and all earlier moves that were acknowledged and not found afterwards.
    pub(crate) lost: u64,
}

pub(super) async fn run(sizes: &MoveSizes) -> Result<Done, Failure> {
    let (main, second) = (server().await?, server().await?);
    let done = measure(sizes, &main, &second).await;
    main.close().await;
    second.close().await;
    done
}

/// Starts a server that allows logical replication.
async fn server() -> Result<DevServer, Failure> {
    let server = DevServer::builder()
        .setting("wal_level", "logical")
        .setting("max_wal_senders", "10")
        .setting("full_page_writes", "on")
        // It would run in the middle of a measurement, and differently in each.
        .setting("autovacuum", "off");
    Ok(server.start().await?)
}

/// A manager as each process of the service has it.
fn manager(main: &str, second: &str) -> Result<TenantManager, Failure> {
    let manager = TenantManager::builder(main)
        .server(SECOND, ServerOptions::new(second))
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(TableCatalog::new())
        .acquire_timeout(PATIENCE);
    Ok(manager.build()?)
}

async fn measure(sizes: &MoveSizes, main: &DevServer, second: &DevServer) -> Result<Done, Failure> {
    let (version, main, second) = (main.version().to_string(), main.url(), second.url());
    // The writers are in a process of the service, and the mover is in another one.
    let (service, operator) = (manager(&main, &second)?, manager(&main, &second)?);
    TableCatalog::new().create_table(service.shared()).await?;
    eprintln!("moves: filling {} tables with {} rows each", tenant::TABLES, sizes.moved_rows);
    tenant::create(&service, &main, sizes.moved_rows).await?;
    let bytes = tenant::bytes(&main).await?;
    let dumps_ms = dump::run(&main, &second).await?;
    let tenant = service.tenant(TENANT).await?;
    let moves = to_and_fro(&operator.mover(), &tenant, sizes).await?;
    operator.close().await;
    service.close().await;
    Ok(Done { server: version, bytes, moves, dumps_ms })
}

async fn to_and_fro(
    mover: &Mover,
    tenant: &TenantDb,
    sizes: &MoveSizes,
) -> Result<Vec<Move>, Failure> {
    let (all, mut moves, mut total) = (sizes.moves, Vec::new(), Tally::new());
    for number in 0..all {
        let to = if number % 2 == 0 { SECOND } else { "main" };
        eprintln!("moves: {} of {all}, to {to}", number + 1);
        wait_for_the_name(mover, &to.into(), &MoveOptions::default()).await?;
        let options = MoveOptions::default().method(MoveMethod::Replication);
        moves.push(move_once(mover, tenant, (to, to.into()), options, &mut total).await?);
        // Otherwise, each move would leave less memory to the next one.
        if let Some(error) = mover.sweep().await?.into_iter().find_map(|swept| swept.error) {
            return Err(error.into());
        }
    }
    Ok(moves)
}

/// Moves the tenant while it is written to, to a place with a name.
pub(super) async fn move_once(
    mover: &Mover,
    tenant: &TenantDb,
    (to, destination): (&'static str, Destination),
    options: MoveOptions,
    total: &mut Tally,
) -> Result<Move, Failure> {
    let stages = Stages::default();
    let options = options.max_pause(PATIENCE).keep(Duration::ZERO).on_progress(stages.watch());
    let writers = Writers::start(tenant);
    sleep(AROUND).await;
    let moved = mover.move_tenant(TENANT, destination, options).await;
    sleep(AROUND).await;
    let tally = writers.stop().await?;
    let report = moved?;
    let gate = report.pause.ok_or("the report does not say how long requests waited")?;
    let (acknowledged, refused) = (tally.answered, tally.errors);
    if let Some(error) = &tally.first_error {
        eprintln!("moves: a write was refused: {error}");
    }
    let slowest_write_ms = tally.quantile_ms(1.0);
    total.add(tally);
    Ok(Move {
        to,
        gate_ms: gate.as_secs_f64() * 1e3,
        parts_ms: stages.parts_ms(),
        duration_ms: report.duration.as_secs_f64() * 1e3,
        slowest_write_ms,
        acknowledged,
        refused,
        lost: lost(tenant, total).await?,
    })
}

/// Returns how many of all acknowledged writes are not there.
async fn lost(tenant: &TenantDb, total: &Tally) -> Result<u64, Failure> {
    let (rows, hits) = tenant::written(tenant).await?;
    // A write that was refused may have been done: its answer was lost.
    if rows != hits || rows > total.answered + total.errors {
        let (acknowledged, refused) = (total.answered, total.errors);
        return Err(format!(
            "{rows} rows and {hits} changes were found of {acknowledged} acknowledged and {refused} refused writes"
        )
        .into());
    }
    Ok(total.answered.saturating_sub(rows))
}

/// When the stages of a move began.
#[derive(Default)]
struct Stages(Arc<Mutex<Vec<(MoveStage, Instant)>>>);

impl Stages {
    fn watch(&self) -> impl Fn(&MoveProgress<'_>) + Send + Sync + use<> {
        let began = Arc::clone(&self.0);
        move |progress| {
            if progress.copy.is_none() && !progress.is_worked_off {
                began.lock().push((progress.stage, Instant::now()));
            }
        }
    }

    /// Returns how long the stages took in which requests waited, the last time if there were several.
    fn parts_ms(&self) -> [f64; 3] {
        let began = self.0.lock();
        [MoveStage::Fencing, MoveStage::Fenced, MoveStage::Verified].map(|stage| {
            let last = began.windows(2).rfind(|pair| pair[0].0 == stage);
            last.map_or(f64::NAN, |pair| (pair[1].1 - pair[0].1).as_secs_f64() * 1e3)
        })
    }
}

/// Waits until the names and the key that the tenant has had may be used again.
pub(super) async fn wait_for_the_name(
    mover: &Mover,
    to: &Destination,
    options: &MoveOptions,
) -> Result<(), Failure> {
    loop {
        let plan = mover.plan(TENANT, to.clone(), options).await?;
        if plan.obstacles.iter().all(|obstacle| obstacle.kind != ObstacleKind::Name) {
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
}
