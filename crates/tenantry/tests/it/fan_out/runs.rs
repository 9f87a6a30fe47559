use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenantry::{
    ErrorKind,
    fan_out::{FanOutEnd, FanOutMode, FanOutOptions, FanOutOutcome, TenantRows},
    migrate::Schemas,
};
use tokio::sync::Notify;

use super::{failure, outcome_of, run, scene};
use crate::support::{TestResult, World, at_rest, eventually, observe, run as run_sql};

#[tokio::test]
async fn every_tenant_is_in_the_report_whatever_happens() -> TestResult {
    let (_world, manager) = scene().await;
    let named = Schemas::tenants(["acme", "nobody", "no id!", "idle", "acme"]);
    let (report, _, _) = run(&manager, named, "select 1", FanOutOptions::default()).await;
    let outcomes: Vec<_> = report
        .tenants
        .iter()
        .map(|tenant| (tenant.tenant_id.as_deref().unwrap_or_default(), tenant.outcome.as_str()))
        .collect();
    let expected =
        [("acme", "done"), ("nobody", "failed"), ("no id!", "failed"), ("idle", "skipped")];
    assert_eq!(outcomes, expected);
    assert!(failure(&report.tenants[1].outcome).message.starts_with("unknown tenant"), "{report}");

    // Two fail, and no more is begun.
    let options = FanOutOptions::default().concurrency(1).max_failures(2);
    let sql = "select 1/0";
    let (report, _, _) = run(&manager, Schemas::AllTenants, sql, options).await;
    assert_eq!((report.failed, report.not_started, report.end), (2, 2, FanOutEnd::MaxFailures));
    let (report, _, _) = run(&manager, Schemas::AllTenants, sql, FanOutOptions::default()).await;
    assert_eq!((report.failed, report.skipped, report.end), (3, 1, FanOutEnd::Completed));

    // Told to stop while the first runs: that is brought to its end.
    let stop = Arc::new(Notify::new());
    let (stopped, told) = (Arc::clone(&stop), Arc::clone(&stop));
    let options =
        FanOutOptions::default().concurrency(1).stop_when(async move { stopped.notified().await });
    let tell = move |_: TenantRows| {
        told.notify_one();
        async {
            tokio::task::yield_now().await;
            ControlFlow::Continue(())
        }
    };
    let sql = "select 1, pg_sleep(0.05)";
    let report = manager.fan_out().run(Schemas::AllTenants, sql, options, tell).await?;
    assert_eq!(report.end, FanOutEnd::Stopped, "{report}");
    assert_eq!((report.failed, report.interrupted), (0, 0));
    assert!(report.done < 3 && report.done + report.not_started + report.skipped == 4, "{report}");

    for options in [
        FanOutOptions::default().concurrency(0),
        FanOutOptions::default().max_failures(0),
        FanOutOptions::default().statement_timeout(Duration::ZERO),
        FanOutOptions::default().lock_timeout(Duration::ZERO),
    ] {
        let none = |_| std::future::ready(ControlFlow::Continue(()));
        let run = manager.fan_out().run(Schemas::AllTenants, "select 1", options, none).await;
        assert_eq!(run.expect_err("it cannot be used").kind(), ErrorKind::Config);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn time_limits_hold() -> TestResult {
    let (world, manager) = scene().await;
    let soon = Duration::from_millis(50);
    let sleep = FanOutOptions::default().statement_timeout(soon);
    let outcome = outcome_of(&manager, "acme", "select pg_sleep(60)", sleep).await;
    assert_eq!(failure(&outcome).sqlstate.as_deref(), Some("57014"));
    let mut admin = world.admin().await;
    run_sql(&mut admin, "begin; lock table tenant_acme.users").await;
    let wait = FanOutOptions::default().lock_timeout(soon);
    let outcome = outcome_of(&manager, "acme", "select * from users", wait).await;
    assert_eq!(failure(&outcome).sqlstate.as_deref(), Some("55P03"));
    manager.close().await;
    Ok(())
}

/// Some 100 MB of rows for each tenant.
const HUGE: &str = "select repeat('x', 1000) from generate_series(1, 100000)";

/// Sessions of the manager that wait for their client to read.
async fn held_back(world: &World) -> String {
    let sql = "select count(*)::text from pg_stat_activity where datname = current_database() \
               and wait_event = 'ClientWrite'";
    observe(&mut world.admin().await, sql).await
}

#[tokio::test]
async fn a_slow_consumer_holds_everything_back_and_one_that_ends_stops_the_run() -> TestResult {
    let (world, manager) = scene().await;
    let (seen, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counted, wait) = (Arc::clone(&seen), Arc::clone(&go_on));
    let consume = move |batch: TenantRows| {
        assert!(batch.rows.len() <= 256);
        counted.fetch_add(batch.rows.len(), Ordering::Relaxed);
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            ControlFlow::Break(())
        }
    };
    let fan_out = manager.fan_out();
    let running = tokio::spawn(async move {
        let options = FanOutOptions::default().concurrency(2);
        fan_out.run(Schemas::AllTenants, HUGE, options, consume).await
    });
    eventually("the server holds the rows back", async || held_back(&world).await == "Some(\"2\")")
        .await;
    assert!(seen.load(Ordering::Relaxed) <= 256, "one batch was handed over");
    go_on.notify_one();
    let report = running.await??;
    assert_eq!(report.end, FanOutEnd::ConsumerEnded);
    assert_eq!((report.interrupted, report.skipped + report.not_started), (2, 2), "{report}");
    assert!(seen.load(Ordering::Relaxed) <= 256, "nothing was handed over afterwards");
    eventually("nothing runs any more", async || held_back(&world).await == "Some(\"0\")").await;
    at_rest(&manager).await;

    // One that hears nothing for want of rows ends, too: the other tenant's statement is not waited for.
    let sleeps = "select name from users where name = 'acme' or pg_sleep(60) is null";
    let (fan_out, wait) = (manager.fan_out(), Arc::clone(&go_on));
    let running = tokio::spawn(async move {
        let end = |_| {
            let wait = Arc::clone(&wait);
            async move {
                wait.notified().await;
                ControlFlow::Break(())
            }
        };
        fan_out.run(Schemas::AllTenants, sleeps, FanOutOptions::default(), end).await
    });
    let asleep = "select count(*)::text from pg_stat_activity \
                  where datname = current_database() and wait_event = 'PgSleep'";
    let mut admin = world.admin().await;
    eventually("two sleep", async || observe(&mut admin, asleep).await == "Some(\"2\")").await;
    go_on.notify_one();
    let report = tokio::time::timeout(Duration::from_secs(20), running).await???;
    assert_eq!((report.end, report.interrupted), (FanOutEnd::ConsumerEnded, 3), "{report}");

    // What was not committed is rolled back.
    let options = FanOutOptions::default().mode(FanOutMode::Write);
    let insert = "insert into users values (2, 'x') returning id";
    let end = |_| std::future::ready(ControlFlow::Break(()));
    let report = manager.fan_out().run(Schemas::tenants(["acme"]), insert, options, end).await?;
    assert_eq!(report.tenants[0].outcome, FanOutOutcome::Interrupted { rows: 0 });
    at_rest(&manager).await;
    let count =
        observe(&mut world.admin().await, "select count(*)::text from tenant_acme.users").await;
    assert_eq!(count, "Some(\"1\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn it_ends_with_less_connections_than_it_would_like() -> TestResult {
    let world = World::with_tenants(&["a", "b", "c", "d", "e"]).await;
    let manager = world.one_session();
    let sql = "select name from users";
    let (report, rows, _) = run(&manager, Schemas::AllTenants, sql, FanOutOptions::default()).await;
    assert!(report.is_success(), "{report}");
    assert_eq!(rows.len(), 5);
    manager.close().await;
    Ok(())
}
