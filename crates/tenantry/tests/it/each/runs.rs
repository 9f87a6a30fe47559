use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenantry::{
    Error, ErrorClass, ErrorKind, TenantDb,
    each::{EachEnd, EachOptions, EachOutcome},
};
use tokio::sync::{Barrier, Notify};

use super::{builder, world};
use crate::support::{TestResult, at_rest, eventually, idle_in_transaction, name_of};

#[derive(Debug, thiserror::Error)]
#[error("counting for the bill")]
struct Bill(#[source] sqlx::Error);

#[tokio::test]
async fn every_tenant_is_in_the_report_whatever_happens() -> TestResult {
    let world = world().await;
    let manager = builder(&world).build()?;
    let report = manager.for_each_tenant(EachOptions::default(), async |db| name_of(&db).await);
    let report = report.await?;
    assert!(report.is_success(), "{report}");
    assert_eq!((report.total, report.done, report.skipped), (4, 3, 1));
    let values: Vec<_> = report.values().map(|(tenant, name)| (tenant, &**name)).collect();
    assert_eq!(values, [("acme", "acme"), ("globex", "globex"), ("initech", "initech")]);
    assert_eq!(report.tenants[2].outcome, EachOutcome::Skipped);
    assert_eq!(report.failures().count(), 0);

    let only = ["globex", "nobody", "no id!", "idle", "acme", "globex", "initech"];
    let work = async |db: TenantDb| match db.tenant().id().as_str() {
        "acme" => panic!("no more {}", "paper"),
        "globex" => {
            let missing = sqlx::query_scalar::<_, i64>("select count(*) from bills");
            missing.fetch_one(&db).await.map_err(Bill)
        }
        _ => Ok(7),
    };
    let report = manager.for_each_tenant(EachOptions::default().only(only), work).await?;
    let outcomes: Vec<_> =
        report.tenants.iter().map(|tenant| (&*tenant.tenant_id, tenant.outcome.as_str())).collect();
    let expected = [
        ("globex", "failed"),
        ("nobody", "failed"),
        ("no id!", "failed"),
        ("idle", "skipped"),
        ("acme", "failed"),
        ("initech", "done"),
    ];
    assert_eq!(outcomes, expected);
    assert!(!report.is_success());
    let failures: BTreeMap<_, _> = report.failures().collect();
    let globex = failures["globex"];
    assert_eq!(globex.sqlstate.as_deref(), Some("42P01"));
    assert_eq!((globex.class, globex.panicked), (Some(ErrorClass::Syntax), false));
    assert!(globex.message.starts_with("counting for the bill: "), "{globex}");
    assert!(globex.error().downcast_ref::<Bill>().is_some());
    assert_eq!(ErrorKind::in_chain(failures["nobody"].error()), Some(ErrorKind::UnknownTenant));
    assert_eq!(ErrorKind::in_chain(failures["no id!"].error()), Some(ErrorKind::InvalidTenantId));
    assert!(failures["acme"].panicked);
    assert_eq!(failures["acme"].message, "the work panicked: no more paper");

    let json = serde_json::to_value(&report)?;
    assert_eq!((&json["notStarted"], &json["end"]), (&0.into(), &"completed".into()));
    let initech = &json["tenants"][5];
    assert_eq!((&initech["tenantId"], &initech["value"]), (&"initech".into(), &7.into()));
    assert_eq!(initech["outcome"], "done");
    assert!(initech["durationMs"].is_number());
    assert_eq!(json["tenants"][0]["error"]["sqlstate"], "42P01");
    let text = report.to_string();
    assert!(text.starts_with("1 of 6 done, 4 failed, 1 skipped in "), "{text}");
    assert!(text.contains("\nacme    the work panicked: no more paper"), "{text}");
    let values: Vec<_> = report.into_values().collect();
    assert_eq!(values, [("initech".into(), 7)]);

    // A single connection is enough, also for work that takes it for longer than a statement.
    let narrow = builder(&world).max_connections(1).build()?;
    let work = async |db: TenantDb| {
        let mut tx = db.begin().await?;
        name_of(&mut *tx).await
    };
    let report = narrow.for_each_tenant(EachOptions::default(), work).await?;
    assert_eq!((report.done, report.failed), (3, 0), "{report}");
    narrow.close().await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn it_stops_when_told_to_and_brings_what_runs_to_its_end() -> TestResult {
    let world = world().await;
    let manager = builder(&world).build()?;
    let fail = async |_| Err::<(), _>("it cannot be done");
    let one = || EachOptions::default().concurrency(1);
    let report = manager.for_each_tenant(one().max_failures(2), fail).await?;
    assert_eq!((report.failed, report.skipped, report.not_started), (2, 0, 2));
    assert_eq!(report.end, EachEnd::MaxFailures);
    assert_eq!(report.tenants[0].outcome.as_str(), "failed");
    let report = manager.for_each_tenant(one().max_failures(3), fail).await?;
    assert_eq!((report.failed, report.end), (3, EachEnd::Completed));

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let options = one().stop_when(async move { stopped.notified().await });
    let tell = async |db: TenantDb| {
        stop.notify_one();
        name_of(&db).await
    };
    let report = manager.for_each_tenant(options, tell).await?;
    assert_eq!((report.done, report.not_started, report.end), (1, 3, EachEnd::Stopped));
    let told = manager.for_each_tenant(one().stop_when(async {}), fail).await?;
    assert_eq!((told.not_started, told.failed, told.end), (4, 0, EachEnd::Stopped));

    for options in [one().concurrency(0), one().max_failures(0)] {
        let error = manager.for_each_tenant(options, fail).await.expect_err("it cannot be used");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("must be at least 1"), "{error}");
    }

    // The manager begins to close: what runs comes to its end, nothing else begins.
    let close = async |db: TenantDb| {
        manager.begin_closing();
        tokio::task::yield_now().await;
        name_of(&db).await
    };
    let report = manager.for_each_tenant(one(), close).await?;
    assert_eq!((report.done, report.not_started, report.end), (1, 3, EachEnd::Closing));
    manager.close().await;
    let error = manager.for_each_tenant(one(), fail).await.expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    Ok(())
}

#[tokio::test]
async fn as_many_tenants_at_a_time_as_asked_for_and_nothing_is_left_when_it_is_dropped()
-> TestResult {
    let world = world().await;
    let manager = builder(&world).build()?;
    let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let barrier = Arc::new(Barrier::new(2));
    // It can be spawned, and the work can borrow what the task owns.
    let (spawned, now, peak) = (manager.clone(), Arc::clone(&at_work), Arc::clone(&most));
    let task = tokio::spawn(async move {
        let options = EachOptions::default().only(["acme", "globex"]).concurrency(2);
        let work = async |db: TenantDb| {
            peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let name = name_of(&db).await?;
            barrier.wait().await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, Error>(name)
        };
        spawned.for_each_tenant(options, work).await
    });
    // Were they not at work at once, they would wait for each other indefinitely.
    let report = tokio::time::timeout(Duration::from_secs(10), task).await???;
    assert_eq!((report.done, most.load(Ordering::Relaxed)), (2, 2), "{report}");
    let options = EachOptions::default().concurrency(1);
    most.store(0, Ordering::Relaxed);
    let count = async |db: TenantDb| {
        most.fetch_max(at_work.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let name = name_of(&db).await;
        at_work.fetch_sub(1, Ordering::Relaxed);
        name
    };
    let _ = manager.for_each_tenant(options, count).await?;
    assert_eq!(most.load(Ordering::Relaxed), 1);

    // Dropped in the middle: in transactions, and in statements that would run for a minute.
    let begun = Arc::new(AtomicUsize::new(0));
    let (owner, counted) = (manager.clone(), Arc::clone(&begun));
    let task = tokio::spawn(async move {
        let work = async |db: TenantDb| {
            let mut tx = db.begin().await?;
            sqlx::query("delete from users").execute(&mut *tx).await?;
            counted.fetch_add(1, Ordering::Relaxed);
            sqlx::query("select pg_sleep(60)").execute(&mut *tx).await?;
            tx.commit().await
        };
        owner.for_each_tenant(EachOptions::default(), work).await
    });
    eventually("all are in the middle", async || begun.load(Ordering::Relaxed) == 3).await;
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());
    at_rest(&manager).await;
    let mut admin = world.admin().await;
    eventually("no transaction is open", async || idle_in_transaction(&mut admin).await == 0).await;
    for tenant in ["acme", "globex", "initech"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    manager.close().await;
    Ok(())
}
