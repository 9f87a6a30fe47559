//! Drift that comes about while the fleet is watched is told once.

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use sqlx::{Executor, PgConnection};
use tenantry::{
    Event, FixedCatalog, Ident, ManagerBuilder, MetricsOptions, TenantManager, drift::Matching,
    schema::ObjectKind,
};

use super::clusters::fleet;
use crate::{
    migrate::{Homes, records},
    support::{TestResult, World, connect, eventually_within, run},
};

/// A tenant, and what was found.
type Finding = (String, String);

/// A manager, and what it tells.
fn watched(world: &World) -> Result<(TenantManager, Receiver<Finding>), tenantry::ConfigError> {
    telling(world.builder())
}

fn telling(
    builder: ManagerBuilder,
) -> Result<(TenantManager, Receiver<Finding>), tenantry::ConfigError> {
    let (told, events) = mpsc::channel();
    let manager = builder.on_event(move |event: Event| {
        if let Event::Drifted(drifted) = event {
            told.send((drifted.tenant_id.to_string(), drifted.finding.to_string())).ok();
        }
    });
    Ok((manager.build()?, events))
}

#[tokio::test]
async fn a_new_finding_is_an_event_and_a_gauge() -> TestResult {
    let world = fleet(3).await;
    let (manager, events) = watched(&world)?;
    manager.drift().against_tenant("t0").every(Duration::ZERO);
    let mut admin = world.admin().await;
    admin.execute("drop index tenant_t2.orders_user").await?;
    let (first, events) = next(events).await?;
    assert_eq!(first, finding("t2", "index orders_user is missing"));
    let registry = prometheus::Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
    let gauge = registry.gather();
    let gauge = gauge.iter().find(|family| family.name() == "tenantry_drifted_tenants");
    let value = gauge.map(|family| family.get_metric()[0].get_gauge().get_value());
    assert_eq!(value, Some(1.0));
    assert_eq!(manager.metrics().upkeep.drifted_tenants, 1);
    // What is known already is not told again before what is new.
    admin.execute("drop index tenant_t1.orders_user").await?;
    let (second, events) = next(events).await?;
    assert_eq!(second, finding("t1", "index orders_user is missing"));
    // What has gone and comes back is.
    admin.execute("create index orders_user on tenant_t1.orders (user_id)").await?;
    eventually_within(Duration::from_secs(60), "it has gone", async || {
        manager.metrics().upkeep.drifted_tenants == 1
    })
    .await;
    admin.execute("drop index tenant_t1.orders_user").await?;
    let (again, events) = next(events).await?;
    assert_eq!(again, finding("t1", "index orders_user is missing"));
    // So is what leads to a tenant.
    admin.execute("create view public.everything as select id from tenant_t0.orders").await?;
    let (reference, _) = next(events).await?;
    assert_eq!(reference, finding("t0", "view everything of public reads tenant_t0.orders"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_second_watch_replaces_the_first() -> TestResult {
    let world = fleet(3).await;
    let (manager, events) = watched(&world)?;
    let drift = manager.drift().against_tenant("t0");
    drift.every(Duration::ZERO);
    let mut admin = world.admin().await;
    add_column(&mut admin, "first").await;
    let (first, events) = next(events).await?;
    assert_eq!(first, finding("t1", "column users.first is not expected"));
    // It tells anew what it finds, and only what it looks at.
    drift.ignore(Matching::kind(ObjectKind::Index)).every(Duration::ZERO);
    let (anew, mut events) = next(events).await?;
    assert_eq!(anew, first);
    admin.execute("drop index tenant_t2.orders_user").await?;
    for name in ["second", "third"] {
        add_column(&mut admin, name).await;
        let found;
        (found, events) = next(events).await?;
        assert_eq!(found, finding("t1", &format!("column users.{name} is not expected")));
    }
    manager.close().await;
    assert_eq!(events.try_iter().next(), None);
    Ok(())
}

#[tokio::test]
async fn a_reference_of_the_shared_schema_is_not_told_of_a_namesake_in_another_database()
-> TestResult {
    let homes = Homes::new().await;
    for id in ["d", "f"] {
        run(&mut connect(&homes.url_of(id)).await, "create schema tenant_a").await;
    }
    for id in ["a", "d", "f"] {
        run(&mut connect(&homes.url_of(id)).await, "create table tenant_a.notes (id int)").await;
    }
    let view = "create view public.everything as select id from tenant_a.notes";
    run(&mut connect(&homes.url_of("a")).await, view).await;
    let container = Ident::parse("tenant_a")?;
    let of_name = records().into_iter().filter(|of| ["a", "d", "f"].contains(&of.id.as_str()));
    let of_name = of_name.map(|of| of.container(container.clone())).rev().collect::<Vec<_>>();
    let (manager, events) = telling(homes.builder().catalog(FixedCatalog::new(of_name)))?;
    manager.drift().against_tenant("a").every(Duration::MAX);
    let (first, events) = next(events).await?;
    assert_eq!(first, finding("a", "view everything of public reads tenant_a.notes"));
    manager.close().await;
    assert_eq!(events.try_iter().next(), None);
    Ok(())
}

#[tokio::test]
async fn closing_the_manager_ends_it() -> TestResult {
    let world = fleet(2).await;
    let mut admin = world.admin().await;
    add_column(&mut admin, "first").await;
    let (manager, events) = watched(&world)?;
    manager.drift().every(Duration::MAX);
    let (_, events) = next(events).await?;
    manager.close().await;
    manager.drift().every(Duration::ZERO);
    assert_eq!(events.try_iter().next(), None);
    Ok(())
}

async fn add_column(admin: &mut PgConnection, name: &str) {
    run(admin, &format!("alter table tenant_t1.users add column {name} text")).await;
}

fn finding(tenant: &str, words: &str) -> Finding {
    (tenant.to_owned(), words.to_owned())
}

/// Waits for the next finding.
async fn next(
    events: Receiver<Finding>,
) -> Result<(Finding, Receiver<Finding>), Box<dyn std::error::Error>> {
    let next =
        tokio::task::spawn_blocking(move || (events.recv_timeout(Duration::from_secs(60)), events));
    let (next, events) = next.await?;
    Ok((next?, events))
}
