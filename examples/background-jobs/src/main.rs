//! A tenant in the background: in spawned tasks, and in the jobs of a queue.
//!
//! Run it with `cargo run -p background-jobs`. It says what it does, and ends by itself.

mod data;
mod orders;
mod queue;
mod worker;

use std::process::ExitCode;

use example_support::{database, exit_code, say, start_log};
use tenantry::{
    Isolation, TableCatalog, TenantManager,
    provision::{DropOptions, Provisioner},
};
use tokio::task::JoinSet;

use crate::{data::TENANTS, queue::Queue};

const WORKERS: usize = 3;

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
        // For requests, tasks and jobs together: work in the background opens no connection of its own.
        .max_connections(4)
        .build()?;
    let provisioner = data::prepare(&manager).await?;

    in_spawned_tasks(&manager).await?;
    in_jobs(&manager, &provisioner).await?;

    manager.close().await;
    database.close().await?;
    Ok(())
}

/// Gives each task the handle of its tenant, as a value: cheap to clone, and no connection in it.
async fn in_spawned_tasks(manager: &TenantManager) -> anyhow::Result<()> {
    say("One task for each tenant, with the tenant's handle in it:");
    let mut tasks = JoinSet::new();
    for (tenant, _) in TENANTS {
        let db = manager.tenant(tenant).await?;
        tasks.spawn(async move {
            let total = orders::total(&db).await;
            (db.tenant().id().clone(), total)
        });
    }
    while let Some(task) = tasks.join_next().await {
        let (tenant, total) = task?;
        say(format!("  the orders of {tenant} are worth {}", total?));
    }
    Ok(())
}

/// Queues two jobs for each tenant, takes two tenants away, and lets the workers find out.
async fn in_jobs(manager: &TenantManager, provisioner: &Provisioner) -> anyhow::Result<()> {
    let queue = Queue::new(manager);
    for (tenant, _) in TENANTS.iter().chain(&TENANTS) {
        queue.push(tenant).await?;
    }
    say("Two jobs for each tenant are queued. Then initech is suspended, and hooli removed:");
    // This process and all others hear of it at once.
    provisioner.suspend("initech").await?;
    provisioner.drop_tenant("hooli", "hooli", DropOptions::default()).await?;

    let mut workers = JoinSet::new();
    for number in 1..=WORKERS {
        workers.spawn(worker::work(number, manager.clone(), queue.clone()));
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    say("No job is left.");
    Ok(())
}
