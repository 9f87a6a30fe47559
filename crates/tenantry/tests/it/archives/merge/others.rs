//! What other transactions of the target do meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::Connection;
use tenantry::{ErrorKind, archive::MergeOptions};

use super::{counts, in_tenant, now, twins};
use crate::support::{TestResult, run};

const TABLE: &str = "create table t (id int primary key, x int); insert into t select n, n from generate_series(1, 2000) n";

#[tokio::test]
async fn writes_that_meet_a_merge_are_not_lost() -> TestResult {
    let world = twins(TABLE).await;
    in_tenant(&world, "new", "update t set x = -1; delete from t where id > 1500").await;
    let manager = world.manager();
    let archiver = manager.archiver();
    // A transaction has changed a row, and commits while the merge waits for it.
    let mut admin = world.admin().await;
    let mut tx = admin.begin().await?;
    run(&mut *tx, "update tenant_new.t set x = 4000 where id = 10").await;
    let options = MergeOptions::default().tables(["t"]);
    let merge = archiver.merge("old", "new", options.clone());
    let commit = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        tx.commit().await
    };
    let (merged, committed) = tokio::join!(merge, commit);
    committed?;
    // It was done again, and has seen the other's change.
    assert_eq!(counts(&merged?, "t"), (500, 1500, 0));
    assert_eq!(now(&world, "select x::text from t where id = 10").await, "10");
    // A row that is locked for longer.
    let mut tx = admin.begin().await?;
    run(&mut *tx, "update tenant_new.t set x = 4000 where id = 10").await;
    in_tenant(&world, "old", "update t set x = 11 where id = 10").await;
    let short = options.lock_timeout(Duration::from_millis(200));
    let error = archiver.merge("old", "new", short).await.expect_err("the row is locked");
    assert_eq!(error.kind(), ErrorKind::LockNotAvailable, "{error:?}");
    tx.rollback().await?;
    manager.close().await;
    Ok(())
}

/// Counters that go up by one each: whatever the merge does, no increment may vanish between what it read and wrote.
#[tokio::test]
async fn a_busy_tenant_stays_consistent() -> TestResult {
    let world = twins(
        "create table accounts (id int primary key, amount int not null); create table log (id int primary key, x int); \
         insert into accounts select n, 100 from generate_series(1, 20) n; insert into log select n, n from generate_series(1, 3000) n",
    )
    .await;
    in_tenant(&world, "new", "delete from log where id % 2 = 0").await;
    let manager = world.manager();
    let db = manager.tenant("new").await?;
    let (stop, transfers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (stop, transfers) = (Arc::clone(&stop), Arc::clone(&transfers));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let mut tx = db.begin().await?;
                sqlx::query("update accounts set amount = amount - 1 where id = 1")
                    .execute(&mut *tx)
                    .await?;
                sqlx::query("update accounts set amount = amount + 1 where id = 2")
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                transfers.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, sqlx::Error>(())
        }
    });
    let archiver = manager.archiver();
    // Other rows than those that are written do not matter.
    let report = archiver.merge("old", "new", MergeOptions::default().tables(["log"])).await?;
    assert_eq!(counts(&report, "log"), (1500, 0, 0));
    let before = transfers.load(Ordering::Relaxed);
    assert!(before > 0, "writes went on");
    // The rows themselves: either both are back, or the merge says that others were in the way.
    for _ in 0..5 {
        match archiver.merge("old", "new", MergeOptions::default().tables(["accounts"])).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::SerializationFailure, "{error:?}"),
        }
        let total = now(&world, "select sum(amount)::text from accounts").await;
        assert_eq!(total, "2000");
    }
    stop.store(true, Ordering::Relaxed);
    writer.await??;
    assert!(transfers.load(Ordering::Relaxed) > before);
    manager.close().await;
    Ok(())
}
