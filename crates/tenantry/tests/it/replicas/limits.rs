use std::time::Duration;

use tenantry::{
    ConfigError, Event, HealthOptions, PoolOptions, ReplicaOptions, ReplicaState, SharedBudget,
    TenantManager,
};
use tokio::time::sleep;

use super::{collector, is_on_replica, pause, reads, resume, warm};
use crate::{
    failover::Pair,
    support::{Heard, TestResult, connect, create_tenant, eventually, pool_options, run},
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

/// A tenant that has all the connections that it may have keeps no other from the replica.
#[tokio::test]
async fn a_tenant_at_its_cap_is_no_reason_to_leave_the_replica() -> TestResult {
    let pair = Pair::start().await?;
    create_tenant(&mut connect(&pair.primary.url()).await, "globex").await;
    let options = pool_options(|options| {
        options.max_connections = 4;
        options.max_connections_per_tenant = Some(1);
    });
    let manager = TenantManager::builder(pair.primary.url())
        .max_connections(6)
        .replica("main", ReplicaOptions::new(pair.standby.url()).pool_options(options))
        .build()?;
    warm(&manager, "acme").await;
    warm(&manager, "globex").await;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let mut all = acme.read().begin().await?;
    assert!(is_on_replica(&mut *all).await);
    let counted = reads(&collector(&manager), "away");
    assert!(!is_on_replica(&acme.read()).await, "the primary answers after a while");
    assert_eq!(reads(&collector(&manager), "away"), counted + 1);
    for _ in 0..5 {
        is_on_replica(&globex.read()).await;
    }
    assert_eq!(reads(&collector(&manager), "away"), counted + 1, "none of the other tenant's");
    all.rollback().await?;
    manager.close().await;
    Ok(())
}

/// Processes do not meet on a replica, so together they keep the total only if each has a part of it.
#[tokio::test]
async fn a_process_has_an_even_part_of_the_shared_budget_on_each_replica() -> TestResult {
    let url = "postgres://app@127.0.0.1:1/saas";
    let of_replica = |options: fn(&mut PoolOptions), budget, replica: ReplicaOptions| {
        let builder = TenantManager::builder(url).pool_options(pool_options(options));
        let manager = builder.budget_shared_by(budget).replica("main", replica).build()?;
        let snapshots = manager.snapshots();
        assert_eq!(snapshots["main"].budget.as_ref().expect("it shares one").total, 100);
        Ok::<_, ConfigError>(snapshots["main/replica-1"].max)
    };
    let service = || SharedBudget::new("service");
    let hundred = |options: &mut PoolOptions| options.max_connections = 100;
    let replica = || ReplicaOptions::new("postgres://app@127.0.0.1:2/saas");
    assert_eq!(of_replica(hundred, service().processes(20), replica())?, 5);
    // Twelve: a quarter of the budget has floors for so many.
    assert_eq!(of_replica(hundred, service(), replica())?, 8);
    // No more than a process needs.
    assert_eq!(of_replica(hundred, service().processes(48), replica())?, 2);
    let more_than_a_part = |options: &mut PoolOptions| {
        options.max_connections = 100;
        options.max_connections_per_tenant = Some(40);
        options.min_idle = 10;
    };
    assert_eq!(of_replica(more_than_a_part, service().processes(20), replica())?, 5);
    let own = replica().pool_options(pool_options(|options| options.max_connections = 30));
    assert_eq!(of_replica(hundred, service().processes(20), own)?, 30);
    Ok(())
}
