use tenantry::{ErrorKind, ReadDb, TenantManager};

use super::{builder, is_on_replica, warm};
use crate::{
    failover::Pair,
    support::{TestResult, World, kind_of, name_of, try_run},
};

/// What cannot be run for reading, on any server.
async fn refuses_what_writes(read: &ReadDb) -> TestResult {
    for sql in [
        "insert into users values (7, 'x')",
        "delete from users",
        "set search_path to public",
        "begin",
        "create table t ()",
        "select 1; delete from users",
        "with gone as (delete from users returning *) select * from gone",
        "select * from users for update",
        "select * into t from users",
        "explain analyze delete from users",
    ] {
        let refused = try_run(read, sql).await.expect_err(sql);
        assert_eq!(kind_of(refused), ErrorKind::ReadOnly, "{sql}");
    }
    for begin in ["begin", "begin read write", "begin; delete from users"] {
        let refused = read.begin_with(begin).await.expect_err(begin);
        assert_eq!(kind_of(refused), ErrorKind::ReadOnly, "{begin}");
    }
    let mut tx = read.begin_with("begin isolation level repeatable read read only").await?;
    assert_eq!(name_of(&mut *tx).await?, "acme");
    let refused = sqlx::query("delete from users").execute(&mut *tx).await.expect_err("it writes");
    assert_eq!(kind_of(refused), ErrorKind::ReadOnly);
    drop(tx);
    let refused = read
        .transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
            sqlx::query("delete from users").execute(&mut **tx).await
        })
        .await
        .expect_err("it writes");
    assert_eq!(kind_of(refused), ErrorKind::ReadOnly);
    for sql in [
        "select 1",
        "show search_path",
        "explain select 1",
        "values (1)",
        "table users",
        "select 'delete'",
    ] {
        try_run(read, sql).await?;
    }
    assert_eq!(name_of(read).await?, "acme");
    Ok(())
}

#[tokio::test]
async fn without_replicas_reads_are_the_primarys_and_write_nothing() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    refuses_what_writes(&db.read()).await?;
    assert!(!is_on_replica(&db.read()).await);
    let token = db.consistency_token().await?;
    assert_eq!(name_of(&db.read().at_least(token)).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_replica_is_not_written_to_either() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    refuses_what_writes(&db.read()).await?;
    warm(&manager, "acme").await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_configured_is_named() {
    let builder = || TenantManager::builder("postgres://app@localhost/saas");
    let lag = |millis| {
        let lag = std::time::Duration::from_millis(millis);
        tenantry::ReplicaOptions::new("postgres://app@localhost/saas").max_lag(lag)
    };
    for (builder, says) in [
        (builder().replica("mars", "postgres://app@localhost/saas"), "replica of \"mars\""),
        (builder().replica("main", "mysql://app:secret@localhost/saas"), "replica of main"),
        (builder().replica("main", lag(6_000)), "replica.max_lag"),
        (builder().replica("main", lag(0)), "replica.max_lag"),
    ] {
        let error = builder.build().map(drop).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    }
}
