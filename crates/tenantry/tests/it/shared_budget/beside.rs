//! Sessions without a row in the table: those of other budgets, and those of processes whose rows were lost.

use std::time::{Duration, Instant};

use tenantry::{ManagerBuilder, TenantManager};

use super::{Load, TENANTS, Watch, budget_of, child::Process, is_granted, process, seconds};
use crate::support::{TestResult, World, eventually, eventually_within, run, sessions};

const BUDGET: usize = 24;

/// Less than a budget is new, and more than a first beat takes.
const SOON: Duration = Duration::from_secs(6);

/// Builds a process, and waits until it is served.
async fn served(builder: ManagerBuilder) -> Result<TenantManager, Box<dyn std::error::Error>> {
    let manager = builder.build()?;
    let began = Instant::now();
    drop(manager.shared().acquire().await?);
    assert!(began.elapsed() < SOON, "it was served after {:?}", began.elapsed());
    Ok(manager)
}

#[tokio::test]
async fn a_new_budget_is_lent_beside_processes_of_other_budgets_and_of_none() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    run(&mut world.admin().await, "create schema elsewhere").await;
    let url = world.database.url();
    // As the command line, and as a release that does not share its budget yet.
    let plain = TenantManager::builder(url).instance("cli.host.1").build()?;
    let held = plain.shared().acquire().await?;
    let worker = served(process(url, BUDGET).budget_shared_by("worker")).await?;
    let elsewhere = served(process(url, BUDGET).shared_schema("elsewhere")).await?;
    let service = served(process(url, BUDGET)).await?;
    for manager in [&worker, &elsewhere, &service] {
        assert!(is_granted(manager), "{:?}", budget_of(manager));
    }
    // And it gets more than its floor.
    let _load = Load::on(&service, 30);
    eventually_within(SOON, "it has everything that is lent", async || {
        budget_of(&service).granted == 19
    })
    .await;
    drop(held);
    for manager in [plain, worker, elsewhere, service] {
        manager.close().await;
    }
    Ok(())
}

/// It does not know yet that its row is gone, and uses what it was lent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_row_was_lost_keeps_what_it_has() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let watch = Watch::begin(&world).await;
    let child = Process::start(world.database.url(), BUDGET);
    eventually_within(Duration::from_secs(20), "it uses much", async || {
        sessions(&mut admin).await > 12
    })
    .await;
    child.signal("STOP");
    run(&mut admin, "delete from tenantry_budget").await;
    let late = process(world.database.url(), BUDGET).build()?;
    let load = Load::on(&late, 12);
    for _ in 0..8 {
        seconds(1).await;
        assert_eq!(budget_of(&late).granted, 0, "{:?}", budget_of(&late));
    }
    child.signal("CONT");
    eventually("it has its part", async || is_granted(&late)).await;
    seconds(2).await;
    assert!(load.served() > 10, "{:?}", budget_of(&late));
    assert_eq!(load.failed(), 0);
    watch.expect_at_most(24).await;
    drop(child);
    late.close().await;
    Ok(())
}
