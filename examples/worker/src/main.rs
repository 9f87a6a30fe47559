//! A worker for all tenants, each of which has its own job queue.
//!
//! Run it with `cargo run -p worker`; Ctrl-C ends it. `cargo run -p worker -- once` exits when no
//! job is left.

mod jobs;
mod orders;
mod worker;

use std::{convert::Infallible, env, future::pending, process::ExitCode};

use example_support::{database, exit_code, prepare, say, start_log};
use tenantry::{Isolation, TableCatalog, TenantManager, each::EachOptions, migrate::Migrations};
use tokio::signal::unix::{SignalKind, signal};

/// Amounts of the orders of each tenant. For one of hooli no invoice can be written; initech is suspended after this.
const ORDERS: [(&str, &[i64]); 4] =
    [("acme", &[10, 20, 30]), ("globex", &[50, 60]), ("hooli", &[0, 70]), ("initech", &[80])];

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    start_log("warn");
    let database = database().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(TableCatalog::default())
        .max_connections(4)
        .build()?;
    place_orders(&manager).await?;
    tokio::select! {
        worked = work(&manager) => worked?,
        never = begin_closing_on_a_signal(&manager) => match never? {},
    }
    say("The worker ends.");
    manager.close().await;
    database.close().await?;
    Ok(())
}

async fn work(manager: &TenantManager) -> Result<(), tenantry::Error> {
    if env::args().nth(1).as_deref() != Some("once") {
        return worker::work(manager).await;
    }
    while !manager.is_closing() && worker::round(manager).await? {}
    Ok(())
}

/// The worker finishes its jobs.
async fn begin_closing_on_a_signal(manager: &TenantManager) -> std::io::Result<Infallible> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    manager.begin_closing();
    Ok(pending().await)
}

/// Creates missing tenants, and gives the worker something to do.
async fn place_orders(manager: &TenantManager) -> anyhow::Result<()> {
    TableCatalog::default().create_table(manager.shared()).await?;
    let migrations = Migrations::embedded(&sqlx::migrate!())?;
    let migrator = manager.migrator().tenants(migrations.clone());
    let provisioner = manager.provisioner().tenants(migrations);
    prepare(&migrator, &provisioner, ORDERS.map(|(tenant, _)| tenant)).await?;
    provisioner.resume("initech").await?;
    let placed = manager.for_each_tenant(EachOptions::default(), async |db| {
        let of = |(tenant, _): &&(&str, _)| *tenant == db.tenant().id().as_str();
        for amount in ORDERS.iter().find(of).map_or(&[][..], |(_, amounts)| amounts) {
            orders::place(&db, *amount).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    say(format!("Orders are placed: {}", placed.await?));
    provisioner.suspend("initech").await?;
    Ok(())
}
