//! Processes that are killed, paused, or cut off from the table.

use std::time::Duration;

use tenantry::{BudgetState, HealthOptions, HealthStatus, TenantManager};

use super::{
    Load, TENANTS, Walled, Watch, budget_of, child::Process, is_granted, process, seconds,
};
use crate::support::{
    Heard, TestResult, World, eventually, eventually_within, observe, run, sessions,
};

const BUDGET: usize = 24;

/// What is lent to one process alone, and to each of two: one connection is for asking, and there
/// are floors for three processes.
const ALONE: usize = 19;
const HALF: usize = 10;

fn granted(manager: &TenantManager) -> usize {
    budget_of(manager).granted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_part_of_a_killed_process_is_given_to_others() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = process(world.database.url(), BUDGET).build()?;
    let _load = Load::on(&manager, 30);
    eventually("it has everything", async || granted(&manager) == ALONE).await;
    let watch = Watch::begin(&world).await;
    let child = Process::start(world.database.url(), BUDGET);
    eventually("it gives a half", async || (HALF..=HALF + 1).contains(&granted(&manager))).await;
    seconds(2).await;
    child.signal("KILL");
    let long = Duration::from_secs(60);
    eventually_within(long, "the lease of the other has expired", async || {
        granted(&manager) == ALONE
    })
    .await;
    watch.expect_at_most(24).await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_process_keeps_what_its_sessions_take() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let manager = process(world.database.url(), BUDGET).build()?;
    let _load = Load::on(&manager, 30);
    let watch = Watch::begin(&world).await;
    let child = Process::start(world.database.url(), BUDGET);
    eventually("both have a half", async || {
        granted(&manager) == HALF || granted(&manager) == HALF + 1
    })
    .await;
    seconds(3).await;
    child.signal("STOP");
    let of_child = sessions(&mut admin).await - i64::from(manager.size());
    assert!(of_child > 5, "it has only {of_child} sessions");
    // As long as a host that is out of CPU, or a debugger.
    seconds(60).await;
    // Its lease has expired, and its sessions are still there.
    assert!(granted(&manager) <= BUDGET - usize::try_from(of_child)?, "{:?}", budget_of(&manager));
    assert!(watch.most() <= 24);
    child.signal("CONT");
    seconds(8).await;
    assert!(granted(&manager) >= HALF, "{:?}", budget_of(&manager));
    watch.expect_at_most(24).await;
    drop(child);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_table_each_process_has_its_floor_until_it_is_back() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let events = Heard::default();
    let build =
        |events: &Heard| process(world.database.url(), BUDGET).on_event(events.hook()).build();
    let managers = [build(&events)?, build(&Heard::default())?];
    let loads = managers.each_ref().map(|manager| Load::on(manager, 12));
    let watch = Watch::begin(&world).await;
    eventually("both have a half", async || {
        managers.iter().all(|manager| granted(manager) >= HALF)
    })
    .await;
    run(&mut admin, "alter table tenantry_budget rename to away").await;
    // The role may create, and must not: the others' leases are in the table that is away.
    run(&mut admin, "create view tenantry_budget as select 1 as nothing").await;
    seconds(5).await;
    assert!(managers.iter().all(|manager| granted(manager) >= HALF), "they keep it for a while");
    eventually_within(Duration::from_secs(20), "they fall back", async || {
        managers.iter().all(|manager| budget_of(manager).state == BudgetState::Floor)
    })
    .await;
    seconds(2).await;
    assert_eq!(managers.each_ref().map(granted), [2, 2]);
    assert!(sessions(&mut admin).await <= 4);
    loads.iter().for_each(Load::forget);
    // For longer than a lease lasts.
    seconds(12).await;
    for (manager, load) in managers.iter().zip(&loads) {
        assert!(load.served() > 10, "{:?}", budget_of(manager));
        let health = manager.health(HealthOptions::default()).await;
        assert!(health.healthy, "{health:?}");
        assert_eq!(health.status, HealthStatus::Degraded);
        assert_eq!(
            health.reason,
            Some("the table of the shared budget does not answer, and the floor is used")
        );
    }
    let fell = |line: &String| line.contains("BUDGET state=floor connections=2");
    let told = events.all().iter().map(ToString::to_string).filter(|line| fell(line)).count();
    assert_eq!(told, 1, "{:?}", events.all());

    run(&mut admin, "drop view tenantry_budget; alter table away rename to tenantry_budget").await;
    eventually("both have a half again", async || {
        managers.iter().all(|manager| granted(manager) >= HALF && is_granted(manager))
    })
    .await;
    watch.expect_at_most(24).await;
    for load in &loads {
        assert_eq!(load.failed(), 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beats_wait_briefly_for_a_locked_table_and_go_on_after_it_was_altered() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let manager = process(world.database.url(), BUDGET).build()?;
    let _load = Load::on(&manager, 30);
    eventually("it has everything", async || granted(&manager) == ALONE).await;
    let watch = Watch::begin(&world).await;
    run(&mut admin, "begin; lock table tenantry_budget in access exclusive mode").await;
    let waiting = "select count(*) from pg_locks where not granted \
                   and relation = 'tenantry_budget'::regclass";
    let mut seen = 0;
    for _ in 0..40 {
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut admin).await?;
        assert!(waiting <= 1, "{waiting} sessions wait");
        seen += waiting;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((1..=30).contains(&seen), "a beat waited in {seen} of 40 looks");
    assert!(budget_of(&manager).granted >= 2);
    // The type of a column that is read changes with it.
    run(&mut admin, "alter table tenantry_budget alter column beats type numeric").await;
    run(&mut admin, "commit").await;
    seconds(2).await;
    run(&mut admin, "alter table tenantry_budget alter column beats type bigint").await;
    let beats = "select beats from tenantry_budget where instance <> ''";
    let before = sqlx::query_scalar(beats);
    let before: i64 = before.fetch_one(&mut admin).await?;
    eventually("it beats again", async || {
        let now = sqlx::query_scalar(beats);
        now.fetch_one(&mut world.admin().await).await.is_ok_and(|now: i64| now > before + 1)
    })
    .await;
    eventually("it has everything again", async || {
        granted(&manager) == ALONE && is_granted(&manager)
    })
    .await;
    watch.expect_at_most(24).await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_cut_off_from_the_table_keeps_its_floor_and_gives_the_rest() -> TestResult
{
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let other_role = Walled::by(&world, BUDGET).await;
    let role = &other_role.0;
    let manager = process(world.database.url(), BUDGET).build()?;
    let _load = Load::on(&manager, 30);
    eventually("it has everything", async || granted(&manager) == ALONE).await;
    run(&mut admin, &format!("grant select, insert, update, delete on tenantry_budget to {role}"))
        .await;
    let watch = Watch::begin(&world).await;
    let other = process(&other_role.url(&world), BUDGET).build()?;
    let load = Load::on(&other, 30);
    eventually("each has a half", async || granted(&other) >= HALF).await;
    run(&mut admin, &format!("revoke all on tenantry_budget from {role}")).await;
    eventually_within(Duration::from_secs(40), "its part is given on", async || {
        granted(&manager) == ALONE
    })
    .await;
    load.served();
    seconds(25).await;
    // It is still there, and still has its floor: its sessions show that it lives.
    assert_eq!((granted(&other), budget_of(&other).state), (2, BudgetState::Floor));
    assert_eq!(granted(&manager), ALONE);
    assert!(load.served() > 10);
    watch.expect_at_most(24).await;
    let rows = "select count(*) from tenantry_budget where instance <> ''";
    assert_eq!(observe(&mut admin, rows).await, "Some(\"2\")");
    drop(load);
    other.close().await;
    manager.close().await;
    other_role.remove(&world).await;
    Ok(())
}

/// Its lease seems to have expired when others look, and it beats before they write that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_beats_at_the_last_moment_keeps_its_part() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let (mut admin, mut other) = (world.admin().await, world.admin().await);
    let manager = process(world.database.url(), BUDGET).build()?;
    manager.shared().ping().await?;
    run(
        &mut other,
        "insert into tenantry_budget values ('service', 'tenantry/other~1', 24, 2, 20, 10, 1, now()); \
         update tenantry_budget set beats = beats + 1 where instance = ''",
    )
    .await;
    let _load = Load::on(&manager, 30);
    eventually("it has a half", async || (HALF..=HALF + 1).contains(&granted(&manager))).await;
    seconds(12).await;
    run(
        &mut other,
        "begin; update tenantry_budget set beats = 2 where instance = 'tenantry/other~1'",
    )
    .await;
    let waits = "select count(*)::text from pg_locks where not granted";
    eventually("others are about to give its part to themselves", async || {
        observe(&mut admin, waits).await == "Some(\"1\")"
    })
    .await;
    run(&mut other, "commit").await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(granted(&manager) <= HALF + 1, "{}", granted(&manager));
    }
    let counted = "select counted::text from tenantry_budget where instance = 'tenantry/other~1'";
    assert_eq!(observe(&mut admin, counted).await, "Some(\"10\")");
    // Without another beat, it is given on.
    eventually_within(Duration::from_secs(60), "its part is given on", async || {
        granted(&manager) == ALONE
    })
    .await;
    manager.close().await;
    Ok(())
}
