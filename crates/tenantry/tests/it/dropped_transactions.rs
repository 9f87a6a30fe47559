//! A transaction that is dropped after changes is told of when its work reports success.

use sqlx::Connection;
use tenantry::{TenantDb, TenantManager};

use crate::{
    log::{Format, logged, logged_so_far},
    support::{TestResult, World, at_rest, eventually, idle_in_transaction, run, try_run},
};

const WARNING: &str = "but the request reported success";

async fn changed(db: &TenantDb) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    run(&mut *tx, "update users set name = 'x'").await;
    Ok(())
}

async fn warned(manager: &TenantManager) -> usize {
    at_rest(manager).await;
    logged_so_far().matches(WARNING).count()
}

#[tokio::test]
async fn a_change_that_is_dropped_by_a_success_is_a_warning() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    let lines = logged(Format::Full, async {
        let plain = manager.tenant("acme").await?;
        // Whichever comes last: the drop, or the success.
        let (db, watch) = plain.watch_transactions();
        changed(&db).await?;
        assert_eq!(warned(&manager).await, 0);
        watch.succeeded();
        assert_eq!(warned(&manager).await, 1);
        changed(&db.clone()).await?;
        eventually("it is told", async || warned(&manager).await == 2).await;

        // A savepoint that is dropped with it makes no difference.
        let mut tx = db.begin_with("begin isolation level serializable").await?;
        let mut savepoint = tx.begin().await?;
        run(&mut *savepoint, "update users set name = 'y'").await;
        drop(savepoint);
        run(&mut *tx, "update users set name = 'z'").await;
        drop(tx);
        eventually("it is told", async || warned(&manager).await == 3).await;
        Ok(())
    })
    .await;
    let told = lines.lines().find(|line| line.contains(WARNING)).expect("it is there");
    assert!(told.contains("WARN") && told.contains("acme"), "{told}");
    let name: String = sqlx::query_scalar("select name from users")
        .fetch_one(&manager.tenant("acme").await?)
        .await?;
    assert_eq!(name, "acme");
    assert_eq!(idle_in_transaction(&mut world.admin().await).await, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_told_of_what_was_ended_changed_nothing_or_failed() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.one_session();
    logged(Format::Plain, async {
        let plain = manager.tenant("acme").await?;
        let (db, watch) = plain.watch_transactions();
        watch.succeeded();
        let mut tx = db.begin().await?;
        run(&mut *tx, "update users set name = name").await;
        tx.commit().await?;
        let mut tx = db.begin().await?;
        run(&mut *tx, "update users set name = 'x'").await;
        tx.rollback().await?;
        let refused: sqlx::Result<()> = db
            .transaction(async |tx| {
                run(&mut **tx, "update users set name = 'x'").await;
                Err(sqlx::Error::RowNotFound)
            })
            .await;
        refused.expect_err("it has refused");
        let mut tx = db.begin().await?;
        run(&mut *tx, "select * from users").await;
        drop(tx);
        let mut tx = db.begin().await?;
        run(&mut *tx, "update users set name = 'x'").await;
        drop(try_run(&mut *tx, "select 1/0").await);
        drop(tx);
        // A statement that nobody waits for is still running.
        let mut tx = db.begin().await?;
        run(&mut *tx, "update users set name = 'x'").await;
        let sleep = try_run(&mut *tx, "select pg_sleep(30)");
        drop(tokio::time::timeout(std::time::Duration::from_millis(20), sleep).await);
        drop(tx);
        assert_eq!(warned(&manager).await, 0);

        // The work has failed, or nobody watches.
        let (db, watch) = plain.watch_transactions();
        changed(&db).await?;
        at_rest(&manager).await;
        drop(watch);
        changed(&plain).await?;
        assert_eq!(warned(&manager).await, 0);
        let lines = logged_so_far();
        assert_eq!(lines.matches("and its changes were rolled back").count(), 2, "{lines}");
        Ok(())
    })
    .await;
    let mut admin = world.admin().await;
    assert_eq!(idle_in_transaction(&mut admin).await, 0);
    admin.close().await?;
    manager.close().await;
    Ok(())
}
