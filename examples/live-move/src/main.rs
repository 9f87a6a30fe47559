//! A tenant moves to another server, back, and there again, while it is written to. No write is lost,
//! and none is refused.
//!
//! Run it with `cargo run -p live-move`. It starts two servers, prints its steps, and removes both.

mod writers;

use std::{process::ExitCode, time::Duration};

use example_support::{exit_code, prepare, say, start_log};
use tenantry::{
    Isolation, ServerOptions, TableCatalog, TenantManager,
    migrate::Migrations,
    moves::{MoveOptions, MovePlan, Mover, ObstacleKind},
};
use tenantry_devdb::DevServer;
use tokio::time::sleep;

use crate::writers::{Writers, Written};

const TENANT: &str = "acme";
const WRITERS: i64 = 4;

/// Where the tenant moves to. It is created on the main server.
const WAY: [&str; 3] = ["second", "main", "second"];

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    start_log("warn");
    let (main, second) = (server().await?, server().await?);
    let moved = move_to_and_fro(&main.url(), &second.url()).await;
    main.close().await;
    second.close().await;
    moved
}

/// Starts a server that allows logical replication.
async fn server() -> Result<DevServer, tenantry_devdb::Error> {
    let server = DevServer::builder();
    server.setting("wal_level", "logical").setting("max_wal_senders", "10").start().await
}

async fn move_to_and_fro(main: &str, second: &str) -> anyhow::Result<()> {
    // Two managers, as two processes have: the service, and an operator's program. The service is not
    // told of the moves.
    let (service, operator) = (manager(main, second)?, manager(main, second)?);
    create_tenant(&service).await?;
    let acme = service.tenant(TENANT).await?;

    let writers = Writers::start(&acme, WRITERS);
    let moved = walk(&operator.mover()).await;
    let written = writers.stop().await;
    moved?;

    let found = sqlx::query_scalar("select count(*) from orders where id = any ($1)");
    let found: i64 = found.bind(&written.acknowledged).fetch_one(&acme).await?;
    operator.close().await;
    service.close().await;
    show(&written, usize::try_from(found)?)
}

fn manager(main: &str, second: &str) -> Result<TenantManager, tenantry::ConfigError> {
    TenantManager::builder(main)
        .server("second", ServerOptions::new(second))
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(TableCatalog::new())
        .build()
}

async fn create_tenant(service: &TenantManager) -> anyhow::Result<()> {
    TableCatalog::new().create_table(service.shared()).await?;
    let files = Migrations::embedded(&sqlx::migrate!())?;
    let migrator = service.migrator().tenants(files.clone());
    let provisioner = service.provisioner().tenants(files);
    Ok(prepare(&migrator, &provisioner, [TENANT]).await?)
}

/// Moves the tenant all the way.
async fn walk(mover: &Mover) -> anyhow::Result<()> {
    for to in WAY {
        // A moment of ordinary work.
        sleep(Duration::from_secs(1)).await;
        let plan = wait_for_the_name(mover, to).await?;
        say(plan);
        let options = MoveOptions::default().on_progress(|progress| {
            let is_stage = progress.copy.is_none() && progress.behind.is_none();
            if is_stage && !progress.is_worked_off {
                say(format_args!("  {progress}"));
            }
        });
        let report = mover.move_tenant(TENANT, to, options).await?;
        say(format_args!("{report}\n"));
    }
    Ok(())
}

/// Waits until the name of the schema is free on the server, and returns the plan. For ten seconds after
/// the tenant has left, no schema gets that name there: a statement could still be on its way to it.
async fn wait_for_the_name(mover: &Mover, server: &str) -> Result<MovePlan, tenantry::Error> {
    let options = MoveOptions::default();
    loop {
        let plan = mover.plan(TENANT, server, &options).await?;
        if plan.obstacles.iter().all(|obstacle| obstacle.kind != ObstacleKind::Name) {
            return Ok(plan);
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn show(written: &Written, found: usize) -> anyhow::Result<()> {
    let Written { acknowledged, refused, slowest } = written;
    let lost = acknowledged.len() - found;
    say(format_args!(
        "{} acknowledged writes, {found} found, {lost} lost, {} refused; the slowest took {slowest:.1?}",
        acknowledged.len(),
        refused.len(),
    ));
    if let Some(error) = refused.first() {
        anyhow::bail!("a write was refused: {error}");
    }
    anyhow::ensure!(lost == 0, "{lost} writes were lost");
    Ok(())
}
