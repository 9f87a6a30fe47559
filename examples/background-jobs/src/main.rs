//! A tenant in the background: in spawned tasks, and in the jobs of a queue.
//!
//! Run it with `cargo run -p background-jobs`. It says what it does, and ends by itself.

mod database;
mod orders;
mod queue;
mod worker;

use std::error::Error;

use tenantry::{Isolation, PlainFormat, TableCatalog, TenantId, TenantManager};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use crate::{
    database::{Database, TENANTS},
    queue::Queue,
};

const WORKERS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let database = Database::open().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(TableCatalog::default())
        // For requests, tasks and jobs together: work in the background opens no connection of its own.
        .max_connections(4)
        .build()?;
    database::prepare(&manager).await?;

    in_spawned_tasks(&manager).await?;
    in_jobs(&manager).await?;

    manager.close().await;
    database.close().await?;
    Ok(())
}

/// Gives each task the handle of its tenant, as a value: cheap to clone, and no connection in it.
async fn in_spawned_tasks(manager: &TenantManager) -> Result<(), Box<dyn Error>> {
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
async fn in_jobs(manager: &TenantManager) -> Result<(), Box<dyn Error>> {
    let queue = Queue::new(manager);
    for (tenant, _) in TENANTS.iter().chain(&TENANTS) {
        queue.push(tenant).await?;
    }
    say("Two jobs for each tenant are queued. Then initech is suspended, and hooli removed:");
    let shared = manager.shared();
    sqlx::query("update tenants set state = 'suspended' where id = 'initech'")
        .execute(shared)
        .await?;
    sqlx::query("delete from tenants where id = 'hooli'").execute(shared).await?;
    for tenant in ["initech", "hooli"] {
        // Every process hears of it from the table's trigger. This one need not wait until it does.
        manager.invalidate(&TenantId::parse(tenant)?).await;
    }

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

#[expect(clippy::print_stdout, reason = "a person is to read it")]
fn say(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}
