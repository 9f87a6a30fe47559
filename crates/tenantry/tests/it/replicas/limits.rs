use std::time::Duration;

use tenantry::{Event, HealthOptions, ReplicaOptions, ReplicaState, TenantManager};
use tokio::time::sleep;

use super::{collector, is_on_replica, pause, reads, resume, warm};
use crate::{
    failover::Pair,
    support::{Heard, TestResult, connect, eventually, run},
};

#[tokio::test]
async fn beyond_a_limit_a_replica_answers_nothing_until_it_has_caught_up() -> TestResult {
    let pair = Pair::start().await?;
    let by_time = ReplicaOptions::new(pair.standby.url()).max_lag(Duration::from_millis(500));
    let by_bytes = ReplicaOptions::new(pair.standby.url()).max_lag_bytes(1_000_000);
    for (replica, rows) in [(by_time, 1), (by_bytes, 50_000)] {
        let heard = Heard::default();
        let manager = TenantManager::builder(pair.primary.url())
            .max_connections(4)
            .replica("main", replica)
            .on_event(heard.hook())
            .build()?;
        warm(&manager, "acme").await;
        let db = manager.tenant("acme").await?;
        pause(&pair).await;
        // Nothing has happened since.
        warm(&manager, "acme").await;
        // Another process writes.
        let mut other = connect(&pair.primary.url()).await;
        let write =
            format!("insert into tenant_acme.added select g from generate_series(1, {rows}) g");
        run(&mut other, &write).await;
        sleep(Duration::from_millis(100)).await;
        let collector = collector(&manager);
        eventually("it lags", async || {
            is_on_replica(&db.read()).await;
            reads(&collector, "lagging") > 0
        })
        .await;
        for _ in 0..20 {
            assert!(!is_on_replica(&db.read()).await);
            sleep(Duration::from_millis(20)).await;
        }
        let health = manager.health(HealthOptions::default()).await;
        let [of] = &health.replicas[..] else { panic!("{:?}", health.replicas) };
        assert_eq!((&*of.replica, of.state), ("main/replica-1", ReplicaState::Lagging));
        assert!(health.healthy);

        resume(&pair).await;
        warm(&manager, "acme").await;
        let names = |state| (state, "main/replica-1".into());
        let expected = [ReplicaState::InUse, ReplicaState::Lagging, ReplicaState::InUse];
        let expected = expected.map(names);
        eventually("each change is told", async || {
            let told = heard.all().into_iter().filter_map(|event| match event {
                Event::Replica(of) => Some((of.state, of.server.expect("it is named"))),
                _ => None,
            });
            told.eq(expected.clone())
        })
        .await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_primary_makes_no_replica_look_old() -> TestResult {
    let pair = Pair::start().await?;
    let replica = ReplicaOptions::new(pair.standby.url()).max_lag(Duration::from_millis(300));
    let manager = TenantManager::builder(pair.primary.url()).replica("main", replica).build()?;
    warm(&manager, "acme").await;
    for _ in 0..5 {
        sleep(Duration::from_millis(400)).await;
        warm(&manager, "acme").await;
    }
    manager.close().await;
    Ok(())
}
