//! Drift that comes about while the fleet is watched is told once.

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use sqlx::Executor;
use tenantry::{Event, MetricsOptions};

use super::clusters::fleet;
use crate::support::TestResult;

/// A tenant, and what was found.
type Finding = (String, String);

#[tokio::test]
async fn a_new_finding_is_an_event_and_a_gauge() -> TestResult {
    let world = fleet(3).await;
    let (told, events) = mpsc::channel();
    let manager = world
        .builder()
        .on_event(move |event: Event| {
            if let Event::Drifted(drifted) = event {
                told.send((drifted.tenant_id.to_string(), drifted.finding.to_string())).ok();
            }
        })
        .build()?;
    manager.drift().against_tenant("t0").every(Duration::from_millis(50));
    let mut admin = world.admin().await;
    admin.execute("drop index tenant_t2.orders_user").await?;
    let (first, events) = next(events).await?;
    assert_eq!(first, ("t2".to_owned(), "index orders_user is missing".to_owned()));
    let registry = prometheus::Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
    let gauge = registry.gather();
    let gauge = gauge.iter().find(|family| family.name() == "tenantry_drifted_tenants");
    let value = gauge.map(|family| family.get_metric()[0].get_gauge().get_value());
    assert_eq!(value, Some(1.0));
    // What is known already is not told again before what is new.
    admin.execute("drop index tenant_t1.orders_user").await?;
    let (second, _) = next(events).await?;
    assert_eq!(second, ("t1".to_owned(), "index orders_user is missing".to_owned()));
    manager.close().await;
    Ok(())
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
