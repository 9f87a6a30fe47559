//! A task that asks for a connection while it has one in hand: noticed when it waits, refused if asked to.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Executor, PgConnection, Postgres, Row, Transaction};
use tenantry::{Error, ErrorKind, Event, TenantDb, WarmUp, each::EachOptions};

use crate::{
    log::{Format, logged},
    support::{Heard, TestResult, World, at_rest, kind_of, name_of},
};

/// What a test gets for an acquire that is refused.
fn refusal(error: sqlx::Error) -> String {
    let error = Error::from(error);
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NestedAcquire, false), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_nested_acquire_is_refused_where_that_is_asked_for() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| options.refuse_nested_acquires = true);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let tx = acme.begin().await?;
    let told = refusal(name_of(&globex).await.expect_err("it has a transaction in hand"));
    let (before, after) = told.split_once(" for ").expect(&told);
    assert_eq!(
        before,
        "nested acquire (tenant globex): this task has held a connection of tenant acme"
    );
    assert!(after.ends_with("(PoolOptions::refuse_nested_acquires)"), "{told}");
    refusal(acme.acquire().await.expect_err("the same"));
    refusal(acme.begin().await.expect_err("the same"));
    refusal(acme.try_acquire().await.expect_err("the same"));
    refusal(manager.shared().acquire().await.expect_err("the same"));
    refusal(sqlx::query("select 1").fetch(&acme).next().await.expect("an error").expect_err("it"));
    let refused = acme.transaction(async |_| Ok::<_, sqlx::Error>(())).await;
    refusal(refused.expect_err("the same"));
    assert_eq!(acme.ping().await.expect_err("the same").kind(), ErrorKind::NestedAcquire);
    // Another task may, and so may this one when it has given its connection back.
    let other = globex.clone();
    assert_eq!(tokio::spawn(async move { name_of(&other).await }).await??, "globex");
    tx.commit().await?;
    assert_eq!(name_of(&globex).await?, "globex");
    let lease = manager.shared().acquire().await?;
    let told = refusal(name_of(&globex).await.expect_err("it has a lease in hand"));
    assert!(told.contains("held a connection of the shared schema for "), "{told}");
    drop(lease);
    let inside = acme.transaction(async |_: &mut Transaction<'_, Postgres>| name_of(&acme).await);
    refusal(inside.await.expect_err("the closure has the transaction"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_row_of_a_stream_is_in_hand_and_statements_side_by_side_are_not() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| options.refuse_nested_acquires = true);
    let db = manager.tenant("acme").await?;
    let mut rows = sqlx::query("select i from generate_series(1, 3) i").fetch(&db);
    assert!(rows.try_next().await?.is_some());
    refusal(name_of(&db).await.expect_err("the stream has the connection"));
    assert!(rows.try_next().await?.is_some());
    drop(rows);
    assert_eq!(name_of(&db).await?, "acme");

    let all = || async {
        let rows = sqlx::query("select pg_sleep(0.01), i from generate_series(1, 3) i").fetch(&db);
        rows.map_ok(|row| row.get::<i32, _>(1)).try_collect::<Vec<_>>().await
    };
    let (one, other, third) = tokio::join!(all(), all(), name_of(&db));
    assert_eq!((one?, other?, third?), (vec![1, 2, 3], vec![1, 2, 3], "acme".to_owned()));

    // What the library does in one task is its own affair.
    let report = manager.warm_up(["acme", "globex"], WarmUp::default()).await;
    assert_eq!((report.succeeded + report.already_warm, report.failed), (2, 0), "{report:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tenants_that_are_worked_on_side_by_side_do_not_wait_for_one_another() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| options.refuse_nested_acquires = true);
    let both = tokio::sync::Barrier::new(2);
    let options = EachOptions::default().only(["acme", "globex"]);
    let report = manager
        .for_each_tenant(options, async |db: TenantDb| {
            let mut tx = db.begin().await?;
            // Each has its transaction in hand when the other begins, or the other way round.
            both.wait().await;
            let name = name_of(&mut *tx).await?;
            let refused = name_of(&db).await.map_err(Error::from).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::NestedAcquire), "within one it is nested");
            tx.commit().await?;
            Ok::<_, sqlx::Error>(name)
        })
        .await?;
    assert_eq!(report.done, 2, "{report:?}");
    manager.close().await;
    Ok(())
}

async fn on(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("select 1").await.map(drop)
}

async fn waits_for_itself(db: &TenantDb) -> sqlx::Error {
    let mut lease = db.acquire().await.expect("a connection is free");
    on(&mut lease).await.expect("it works");
    name_of(db).await.expect_err("the only connection is in hand")
}

#[tokio::test]
async fn a_task_that_waits_for_itself_is_told_of() -> TestResult {
    let (world, heard) = (World::with_tenants(&["acme"]).await, Heard::default());
    let limit = Duration::from_millis(60);
    let builder = world.builder().max_connections(1).acquire_timeout(limit);
    let manager = builder.on_event(heard.hook()).build()?;
    let db = manager.tenant("acme").await?;
    let lines = logged(Format::Full, async {
        for _ in 0..2 {
            assert_eq!(kind_of(waits_for_itself(&db).await), ErrorKind::Timeout);
        }
        let spawned = db.clone();
        tokio::spawn(async move { waits_for_itself(&spawned).await }).await?;
        // One that waits for others only.
        let held = db.acquire().await?;
        let other = db.clone();
        tokio::spawn(async move { name_of(&other).await }).await?.expect_err("it is in use");
        drop(held);
        Ok(())
    })
    .await;
    let notices: Vec<_> = lines.lines().filter(|line| line.contains("waits for itself.")).collect();
    let [notice] = notices[..] else { panic!("once: {lines}") };
    assert!(notice.contains("WARN") && notice.contains("a connection of tenant acme"), "{notice}");
    at_rest(&manager).await;
    manager.close().await;
    let reasons: Vec<_> = heard
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::AcquireTimeout(of) => Some(of.reason),
            _ => None,
        })
        .collect();
    let nested = "; this task has held a connection of tenant acme for ";
    let of_itself = reasons.iter().map(|reason| reason.contains(nested));
    assert_eq!(of_itself.collect::<Vec<_>>(), [true, true, true, false], "{reasons:?}");
    Ok(())
}
