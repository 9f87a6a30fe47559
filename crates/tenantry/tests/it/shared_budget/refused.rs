//! Processes that get no part of the budget.

use tenantry::{BudgetState, ErrorKind, HealthOptions, TenantManager};

use super::{Load, TENANTS, Watch, budget_of, is_granted, process};
use crate::support::{TestResult, World, eventually, kind_of, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_floor_left_a_process_serves_nothing_and_says_so() -> TestResult {
    // Two floors, and one connection to ask on.
    const BUDGET: usize = 5;
    let world = World::with_tenants(&TENANTS).await;
    let watch = Watch::begin(&world).await;
    let start = || process(world.database.url(), BUDGET).build();
    let served = [start()?, start()?];
    let loads = served.each_ref().map(|manager| Load::on(manager, 4));
    eventually("two have their floors", async || served.iter().all(is_granted)).await;
    let third = start()?;
    let error = third.shared().acquire().await.map_err(tenantry::Error::from).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
    assert!(error.to_string().contains("\"service\" is left for this process"), "{error}");
    assert!(error.is_transient() && error.retry_after().is_some());
    let again = std::time::Instant::now();
    assert_eq!(kind_of(third.shared().acquire().await.unwrap_err()), ErrorKind::Overloaded);
    assert!(again.elapsed().as_millis() < 100, "it is refused at once");
    assert_eq!(budget_of(&third).state, BudgetState::Refused);
    let health = third.health(HealthOptions::default()).await;
    assert!(!health.healthy);
    assert_eq!(health.reason, Some("the floors of other processes take the whole shared budget"));
    eventually("it keeps no connection", async || third.snapshot().total == 0).await;

    let [first, second] = served;
    let [load, still] = loads;
    drop(load);
    first.close().await;
    eventually("the third one has its floor", async || is_granted(&third)).await;
    drop(third.shared().acquire().await?);
    assert!(third.health(HealthOptions::default()).await.healthy);
    assert_eq!(still.failed(), 0);
    watch.expect_at_most(5).await;
    drop(still);
    second.close().await;
    third.close().await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_may_not_create_the_table_says_who_has_to() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let role = format!("app_{}", fastrand::u32(..));
    run(
        &mut admin,
        &format!(
            "create role {role} login password 'x'; revoke create on schema public from public"
        ),
    )
    .await;
    let (scheme, rest) = world.database.url().split_once("://").ok_or("no URL")?;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let url = format!("{scheme}://{role}:x@{host}");
    let manager = process(&url, 20).build()?;
    let error = manager.shared().acquire().await.map_err(tenantry::Error::from).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("have its owner run TenantManager::create_budget_table"),
        "{error}"
    );
    let health = manager.health(HealthOptions::default()).await;
    assert_eq!(
        (health.healthy, health.reason),
        (false, Some("the table of the shared budget cannot be used"))
    );
    // A role of another kind has put something in its place.
    run(&mut admin, "create table tenantry_budget (name text)").await;
    run(&mut admin, &format!("grant all on tenantry_budget to {role}")).await;
    eventually("it tells what is wrong", async || {
        let error = manager.shared().acquire().await.map_err(tenantry::Error::from).unwrap_err();
        error.to_string().contains("it has other columns")
    })
    .await;
    run(&mut admin, "drop table tenantry_budget").await;

    let owner = world.database.url().to_owned();
    let deploy = TenantManager::builder(&url).upkeep_url(owner).build()?;
    deploy.create_budget_table().await?;
    deploy.create_budget_table().await?;
    deploy.close().await;
    eventually("it is served", async || manager.shared().acquire().await.is_ok()).await;
    assert!(manager.health(HealthOptions::default()).await.healthy);
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_table_of_another_role_is_not_used() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let (app, rogue) =
        (format!("app_{}", fastrand::u32(..)), format!("rogue_{}", fastrand::u32(..)));
    run(
        &mut admin,
        &format!(
            "create role {app} login password 'x'; create role {rogue}; \
             create table tenantry_budget (name text, instance text, budget int not null, floor int not null, \
               wanted int not null, counted int not null, beats int8 not null, beat_at timestamptz not null, \
               primary key (name, instance)); \
             grant all on tenantry_budget to public; alter table tenantry_budget owner to {rogue}"
        ),
    )
    .await;
    let (scheme, rest) = world.database.url().split_once("://").ok_or("no URL")?;
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let manager = process(&format!("{scheme}://{app}:x@{host}"), 20).build()?;
    let error = manager.shared().acquire().await.map_err(tenantry::Error::from).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(&format!("it belongs to the role {rogue}")), "{error}");
    manager.close().await;
    run(&mut admin, &format!("drop owned by {rogue}, {app}; drop role {rogue}, {app}")).await;
    Ok(())
}
