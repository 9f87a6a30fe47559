//! Drift that comes about while the fleet is watched is told once.

use std::{sync::mpsc, time::Duration};

use sqlx::Executor;
use tenantry::{Event, MetricsOptions};

use super::clusters::fleet;
use crate::support::TestResult;

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
    let told = tokio::task::spawn_blocking(move || {
        let first = events.recv_timeout(Duration::from_secs(60));
        (first, events)
    });
    let (first, events) = told.await?;
    assert_eq!(first?, ("t2".to_owned(), "index orders_user is missing".to_owned()));
    let registry = prometheus::Registry::new();
    registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
    let gauge = registry.gather();
    let gauge = gauge.iter().find(|family| family.name() == "tenantry_drifted_tenants");
    let value = gauge.map(|family| family.get_metric()[0].get_gauge().get_value());
    assert_eq!(value, Some(1.0));
    // It is compared again, and nothing is new.
    let again =
        tokio::task::spawn_blocking(move || events.recv_timeout(Duration::from_millis(400)));
    assert!(again.await?.is_err());
    manager.close().await;
    Ok(())
}
