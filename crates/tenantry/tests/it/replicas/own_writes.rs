use futures_util::{TryStreamExt, future::try_join_all};
use sqlx::{Acquire, Postgres, Transaction};

use super::{builder, collector, pause, reads, resume, warm};
use crate::{
    failover::Pair,
    support::{TestResult, connect, run},
};

const COUNT: &str = "select count(*), pg_is_in_recovery() from added";
const ADD: &str = "insert into added values (1)";

#[tokio::test]
async fn whatever_a_tenant_writes_is_in_its_next_read() -> TestResult {
    let pair = Pair::start().await?;
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let db = manager.tenant("acme").await?;
    let (mut written, mut on_replica) = (0, 0);
    for round in 0..400 {
        match round % 5 {
            0 => _ = sqlx::query(ADD).execute(&db).await?,
            1 => {
                let mut tx = db.begin().await?;
                sqlx::query(ADD).execute(&mut *tx).await?;
                tx.commit().await?;
            }
            2 => {
                let mut lease = db.acquire().await?;
                sqlx::query(ADD).execute(&mut *lease).await?;
                // The connection is still in our hands.
                let (count, _): (i64, bool) = sqlx::query_as(COUNT).fetch_one(&db.read()).await?;
                assert_eq!(count, written + 1, "round {round}");
                let mut tx = Acquire::begin(&mut lease).await?;
                sqlx::query("insert into added values (2) returning id")
                    .fetch_one(&mut *tx)
                    .await?;
                tx.commit().await?;
                written += 1;
            }
            3 => {
                db.transaction(async |tx: &mut Transaction<'_, Postgres>| {
                    sqlx::query(ADD).execute(&mut **tx).await.map(drop)
                })
                .await?;
            }
            _ => {
                // Another handle, which streams.
                let other = manager.tenant("acme").await?;
                let add = sqlx::query_as::<_, (i32,)>("insert into added values (3) returning id");
                let ids: Vec<(i32,)> = add.fetch(&other).try_collect().await?;
                assert_eq!(ids, [(3,)]);
            }
        }
        written += 1;
        let (count, is_replica): (i64, bool) = match round % 3 {
            0 => sqlx::query_as(COUNT).fetch_one(&db.read()).await?,
            1 => sqlx::query_as(COUNT).fetch(&db.read()).try_next().await?.expect("a row"),
            _ => {
                let mut tx = db.read().begin().await?;
                let counted = sqlx::query_as(COUNT).fetch_one(&mut *tx).await?;
                tx.commit().await?;
                counted
            }
        };
        assert_eq!(count, written, "round {round}");
        on_replica += usize::from(is_replica);
    }
    // How many depends on the machine; the benchmark measures it.
    assert!(on_replica > 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn side_by_side_each_tenant_sees_its_own_writes() -> TestResult {
    let pair = Pair::start().await?;
    let mut admin = connect(&pair.primary.url()).await;
    for tenant in ["globex", "initech"] {
        run(
            &mut admin,
            &format!("create schema tenant_{tenant}; create table tenant_{tenant}.added (id int)"),
        )
        .await;
    }
    let manager = builder(&pair).build()?;
    warm(&manager, "acme").await;
    let work = ["acme", "globex", "initech"].into_iter().map(async |tenant| -> sqlx::Result<()> {
        for written in 1..=150 {
            let db = manager.tenant(tenant).await.map_err(sqlx::Error::from)?;
            sqlx::query(ADD).execute(&db).await?;
            let (count, _): (i64, bool) = sqlx::query_as(COUNT).fetch_one(&db.read()).await?;
            assert_eq!(count, written, "{tenant}");
        }
        Ok(())
    });
    try_join_all(work).await?;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_replica_that_has_stopped_is_not_asked_for_what_was_written_since() -> TestResult {
    let pair = Pair::start().await?;
    run(
        &mut connect(&pair.primary.url()).await,
        "create schema tenant_quiet; create table tenant_quiet.added (id int)",
    )
    .await;
    let manager = builder(&pair).build()?;
    for tenant in ["acme", "quiet"] {
        warm(&manager, tenant).await;
    }
    let (acme, quiet) = (manager.tenant("acme").await?, manager.tenant("quiet").await?);
    pause(&pair).await;
    for written in 1..=5 {
        sqlx::query(ADD).execute(&acme).await?;
        let counted: (i64, bool) = sqlx::query_as(COUNT).fetch_one(&acme.read()).await?;
        assert_eq!(counted, (written, false));
        // Nothing of the other tenant was written.
        warm(&manager, "quiet").await;
        let (count, _): (i64, bool) = sqlx::query_as(COUNT).fetch_one(&quiet.read()).await?;
        assert_eq!(count, 0);
    }
    let collector = collector(&manager);
    assert!((1..=5).contains(&reads(&collector, "behind")), "{}", reads(&collector, "behind"));

    // A tenant that the replica does not have yet.
    run(
        &mut connect(&pair.primary.url()).await,
        "create schema tenant_new; create table tenant_new.added (id int)",
    )
    .await;
    let new = manager.tenant("new").await?;
    for _ in 0..3 {
        let counted: (i64, bool) = sqlx::query_as(COUNT).fetch_one(&new.read()).await?;
        assert_eq!(counted, (0, false));
    }
    resume(&pair).await;
    warm(&manager, "new").await;
    warm(&manager, "acme").await;
    let (count, _): (i64, bool) = sqlx::query_as(COUNT).fetch_one(&acme.read()).await?;
    assert_eq!(count, 5);
    manager.close().await;
    Ok(())
}
