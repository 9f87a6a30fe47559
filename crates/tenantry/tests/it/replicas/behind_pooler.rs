use sqlx::{Postgres, Transaction};
use tenantry::TenantManager;

use super::warm;
use crate::{
    failover::Pair,
    faults::PgBouncer,
    support::{TestResult, connect, eventually, pool_options, run},
};

const COUNT: &str = "select count(*), pg_is_in_recovery() from added";
const ADD: &str = "insert into added values (1)";

/// The manager's connections are behind a pooler in transaction mode, and the replica is not.
#[tokio::test]
async fn own_writes_through_a_transaction_pooler_are_in_the_next_read() -> TestResult {
    let pair = Pair::start().await?;
    let user = "create role app superuser login; alter role app set search_path to pg_catalog";
    run(&mut connect(&pair.primary.url()).await, user).await;
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "3")];
    let Some(pooler) = PgBouncer::before(pair.primary.port(), &settings).await else {
        return Ok(());
    };
    let manager = TenantManager::builder(pooler.url().replace("//postgres@", "//app@"))
        .behind_transaction_pooler()
        .direct_url(pair.primary.url())
        .pool_options(pool_options(|options| options.max_connections = 6))
        .replica("main", pair.standby.url())
        .build()?;
    warm(&manager, "acme").await;
    let acme = manager.tenant("acme").await?;
    let mut on_replica = 0;
    for round in 0..150 {
        match round % 3 {
            0 => _ = sqlx::query(ADD).execute(&acme).await?,
            1 => {
                let mut tx = acme.begin().await?;
                sqlx::query(ADD).execute(&mut *tx).await?;
                tx.commit().await?;
            }
            _ => {
                acme.transaction(async |tx: &mut Transaction<'_, Postgres>| {
                    sqlx::query(ADD).execute(&mut **tx).await.map(drop)
                })
                .await?;
            }
        }
        let (count, is_replica): (i64, bool) =
            sqlx::query_as(COUNT).fetch_one(&acme.read()).await?;
        assert_eq!(count, round + 1, "round {round}");
        on_replica += u32::from(is_replica);
    }
    assert!(on_replica > 0);
    manager.close().await;
    let sessions = "select count(*) from pg_stat_activity \
                    where backend_type = 'client backend' and pid <> pg_backend_pid()";
    let mut standby = connect(&pair.standby.url()).await;
    eventually("the sessions on the replica have ended", async || {
        let left: i64 =
            sqlx::query_scalar(sessions).fetch_one(&mut standby).await.expect("it is up");
        left == 0
    })
    .await;
    Ok(())
}
