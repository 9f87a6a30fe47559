//! Reads on replicas: they see what the tenant has written, or go to the primary.

mod behind_pooler;
mod failovers;
mod falling_back;
mod kinds;
mod limits;
mod misled;
mod own_writes;
mod refusals;
mod tokens;
mod unseen_writes;

use std::time::{Duration, Instant};

use prometheus::core::Collector;
use sqlx::Executor;
use tenantry::{HealthOptions, ManagerBuilder, MetricsCollector, MetricsOptions, TenantManager};
use tokio::time::sleep;

use crate::{
    failover::Pair,
    support::{connect, eventually, pool_options, run},
};

/// A manager of the primary with the standby as its replica.
fn builder(pair: &Pair) -> ManagerBuilder {
    TenantManager::builder(pair.primary.url())
        .pool_options(pool_options(|options| options.max_connections = 6))
        .replica("main", pair.standby.url())
}

fn collector(manager: &TenantManager) -> MetricsCollector {
    manager.collector(MetricsOptions::default())
}

/// How many reads were answered so.
fn reads(collector: &MetricsCollector, answered: &str) -> u64 {
    let families = collector.collect();
    let reads = families.iter().find(|family| family.name() == "tenantry_reads_total");
    let reads = reads.expect("there are replicas");
    let is_it = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().any(|label| label.value() == answered)
    };
    let metric = reads.get_metric().iter().find(is_it).expect("it is counted");
    metric.get_counter().get_value() as u64
}

/// Returns `true` if a replica answers.
async fn is_on_replica(db: impl Executor<'_, Database = sqlx::Postgres>) -> bool {
    sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(db).await.expect("it is served")
}

/// Stops the standby from replaying the log.
async fn pause(pair: &Pair) {
    run(&mut connect(&pair.standby.url()).await, "select pg_wal_replay_pause()").await;
    eventually("replay is paused", async || {
        let state: String = sqlx::query_scalar("select pg_get_wal_replay_pause_state()")
            .fetch_one(&mut connect(&pair.standby.url()).await)
            .await
            .expect("the standby is running");
        state == "paused"
    })
    .await;
}

async fn resume(pair: &Pair) {
    run(&mut connect(&pair.standby.url()).await, "select pg_wal_replay_resume()").await;
}

/// Makes a tenant's reads be answered by the replica, once its connections are open.
async fn warm(manager: &TenantManager, tenant: &str) {
    let db = manager.tenant(tenant).await.expect("it is served");
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_on_replica(&db.read()).await {
        if Instant::now() > deadline {
            let answered =
                ["behind", "lagging", "away", "unrelated", "no_primary", "unsuited", "conflict"];
            let counted = answered.map(|answered| (answered, reads(&collector(manager), answered)));
            let health = manager.health(HealthOptions::default()).await;
            panic!("the replica does not answer {tenant}: {counted:?} {:?}", health.replicas);
        }
        sleep(Duration::from_millis(5)).await;
    }
}
