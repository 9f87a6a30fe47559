//! After a failover the way leads to the primary, and a standby that is all there is stays in use.

use std::time::Duration;

use futures_util::TryStreamExt;
use tenantry::{ErrorKind, TenantDb, TenantManager};
use tenantry_devdb::DevServer;

use crate::{
    faults::Proxy,
    support::{
        TestResult, World, at_rest, connect, create_tenant, eventually, kind_of, name_of, pid_of,
        pool_options, run,
    },
};

/// A primary and a standby that follows it.
pub(crate) struct Pair {
    pub(crate) primary: DevServer,
    pub(crate) standby: DevServer,
}

impl Pair {
    pub(crate) async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let primary = DevServer::builder()
            .setting("wal_level", "replica")
            .setting("max_wal_senders", "4")
            .start()
            .await?;
        let mut admin = connect(&primary.url()).await;
        create_tenant(&mut admin, "acme").await;
        run(&mut admin, "create table tenant_acme.added (id int)").await;
        drop(admin);
        let standby = primary.standby().await?;
        let mut admin = connect(&standby.url()).await;
        let in_recovery: bool =
            sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut admin).await?;
        assert!(in_recovery, "{}", standby.log_tail());
        Ok(Self { primary, standby })
    }
}

/// A manager with some idle connections behind the proxy.
async fn warm(proxy: &Proxy) -> Result<(TenantManager, TenantDb), Box<dyn std::error::Error>> {
    let options = pool_options(|options| options.max_connections = 4);
    let manager = TenantManager::builder(proxy.url()).pool_options(options).build()?;
    let db = manager.tenant("acme").await?;
    let leases = tokio::try_join!(db.acquire(), db.acquire(), db.acquire())?;
    drop(leases);
    at_rest(&manager).await;
    assert_eq!(name_of(&db).await?, "acme");
    Ok((manager, db))
}

const ADD: &str = "insert into added values (1)";

#[tokio::test]
async fn a_write_that_a_former_primary_refuses_goes_to_the_new_one() -> TestResult {
    let pair = Pair::start().await?;
    let proxy = Proxy::before(pair.standby.port()).await;

    let (manager, db) = warm(&proxy).await?;
    proxy.turn_to(pair.primary.port());
    assert_eq!(sqlx::query(ADD).execute(&db).await?.rows_affected(), 1);
    for _ in 0..8 {
        let mut tx = db.begin().await?;
        sqlx::query(ADD).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    manager.close().await;

    proxy.turn_to(pair.standby.port());
    let (manager, db) = warm(&proxy).await?;
    proxy.turn_to(pair.primary.port());
    let added: Vec<i32> = sqlx::query_scalar::<_, i32>("insert into added values (2) returning id")
        .fetch(&db)
        .try_collect()
        .await?;
    assert_eq!(added, [2]);
    manager.close().await;

    // In a transaction nothing is run again; the next one is well.
    proxy.turn_to(pair.standby.port());
    let (manager, db) = warm(&proxy).await?;
    proxy.turn_to(pair.primary.port());
    let mut tx = db.begin().await?;
    let error = sqlx::query(ADD).execute(&mut *tx).await.expect_err("it is on the standby");
    assert_eq!(kind_of(error), ErrorKind::ReadOnly);
    drop(tx);
    let mut tx = db.begin().await?;
    sqlx::query(ADD).execute(&mut *tx).await?;
    tx.commit().await?;
    manager.close().await;

    let mut admin = connect(&pair.primary.url()).await;
    let added: i64 =
        sqlx::query_scalar("select count(*) from tenant_acme.added").fetch_one(&mut admin).await?;
    assert_eq!(added, 1 + 8 + 1 + 1, "each once");
    Ok(())
}

#[tokio::test]
async fn a_standby_alone_is_read_and_keeps_its_connections_and_is_served_when_promoted()
-> TestResult {
    let pair = Pair::start().await?;
    let options = pool_options(|options| options.max_connections = 1);
    let manager = TenantManager::builder(pair.standby.url()).pool_options(options).build()?;
    let db = manager.tenant("acme").await?;
    let mut pids = vec![pid_of(&db).await?];
    for _ in 0..100 {
        let error = sqlx::query(ADD).execute(&db).await.expect_err("it is a standby");
        assert_eq!(kind_of(error), ErrorKind::ReadOnly);
        assert_eq!(name_of(&db).await?, "acme");
        pids.push(pid_of(&db).await?);
    }
    pids.dedup();
    // The first one at once, the next after a second, then after two, four and eight.
    assert!((2..=5).contains(&pids.len()), "{} connections", pids.len());

    run(&mut connect(&pair.standby.url()).await, "select pg_promote(true, 60)").await;
    eventually("the new primary takes writes", async || {
        sqlx::query(ADD).execute(&db).await.is_ok()
    })
    .await;
    let pid = pid_of(&db).await?;
    tokio::time::sleep(Duration::from_millis(10)).await;
    sqlx::query(ADD).execute(&db).await?;
    assert_eq!(pid_of(&db).await?, pid);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn who_may_only_read_on_a_primary_keeps_the_connection() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let db = manager.tenant("acme").await?;
    let pid = pid_of(&db).await?;
    for _ in 0..3 {
        let mut tx = db.begin().await?;
        sqlx::query("set transaction read only").execute(&mut *tx).await?;
        let error =
            sqlx::query("delete from users").execute(&mut *tx).await.expect_err("read only");
        assert_eq!(kind_of(error), ErrorKind::ReadOnly);
        drop(tx);
        at_rest(&manager).await;
        assert_eq!(pid_of(&db).await?, pid);
    }
    manager.close().await;
    Ok(())
}
