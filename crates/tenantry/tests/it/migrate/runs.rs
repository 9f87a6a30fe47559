//! What a run does, and what it reports: checked against the catalog.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tenantry::{
    ErrorKind, TableCatalog,
    migrate::{
        End, FailureReason, MigrateOptions, MigrateReport, OnFailure, Outcome, Progress,
        TransactionPer, WhenLocked, WithoutRecords,
    },
    retry::RetryPolicy,
};
use tokio::sync::Notify;

use super::files::{Files, create_schemas, ids, migrator, recorded, tables};
use crate::{
    faults::{Mode, Proxy},
    support::{Heard, TestResult, World, connect, eventually, observe, private_server, run},
};

fn options() -> MigrateOptions {
    MigrateOptions::default().without_records(WithoutRecords::Migrate)
}

/// Ids of the tenants with this outcome.
fn with<'a>(report: &'a MigrateReport, outcome: &str) -> Vec<&'a str> {
    let tenants = report.tenants.iter().filter(|tenant| tenant.outcome.as_str() == outcome);
    tenants.filter_map(|tenant| tenant.tenant_id.as_deref()).collect()
}

#[tokio::test]
async fn every_tenant_gets_every_file_once_and_a_second_run_has_nothing_to_do() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    let ids = ids(25);
    create_schemas(&mut admin, &ids).await;
    let migrator = migrator(&world, &files);
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.total, report.migrated, report.end), (25, 25, End::Completed), "{report}");
    assert_eq!(tables(&mut admin, "notes").await, 25);
    for tenant in &report.tenants {
        let id = tenant.tenant_id.as_deref().unwrap_or_default();
        assert_eq!(recorded(&mut admin, id).await, "Some(\"1 2\")", "{id}");
        assert_eq!((tenant.files.len(), tenant.attempts), (2, 1));
    }
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.migrated, report.up_to_date), (0, 25), "{report}");
    assert!(report.is_success());
    Ok(())
}

#[tokio::test]
async fn two_runners_at_once_apply_each_file_once_and_both_tell_the_truth() -> TestResult {
    // Runs over all tenants come one after the other; those over tenants by name share the work.
    for by_name in [false, true] {
        let world = World::new().await;
        let files = Files::new(&[
            ("0001_ran.sql", "create table ran (at timestamptz default now());"),
            ("0002_row.sql", "insert into ran default values; select pg_sleep(0.002);"),
        ]);
        let mut admin = world.admin().await;
        let ids = ids(100);
        create_schemas(&mut admin, &ids).await;
        let runners = [migrator(&world, &files), migrator(&world, &files)];
        let tasks = runners.map(|migrator| {
            let ids = ids.clone();
            tokio::spawn(async move {
                let options = options().concurrency(4);
                match by_name {
                    true => migrator.migrate(ids, options).await,
                    false => migrator.migrate_all(options).await,
                }
            })
        });
        let mut done = HashSet::new();
        for task in tasks {
            let report = task.await??;
            assert!(report.is_success(), "{report}");
            assert_eq!(report.migrated + report.up_to_date, 100);
            for tenant in &report.tenants {
                for file in &tenant.files {
                    let twice = !done.insert((tenant.tenant_id.clone(), file.version));
                    assert!(!twice, "both say that they have applied {file:?}");
                }
            }
        }
        assert_eq!(done.len(), 200);
        for id in ids {
            let rows = format!("select count(*)::text from tenant_{id}.ran");
            assert_eq!(observe(&mut admin, &rows).await, "Some(\"1\")", "{id}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_runner_that_skips_says_whom() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(3)).await;
    let lock = "select pg_advisory_lock(hashtextextended('tenant_t0001', 7234619037115))";
    run(&mut admin, lock).await;
    let migrator = migrator(&world, &files);
    let report = migrator.migrate_all(options().when_locked(WhenLocked::Skip)).await?;
    assert_eq!(with(&report, "skipped"), ["t0001"], "{report}");
    assert_eq!((report.migrated, report.is_success()), (2, false));
    let waiting = tokio::spawn({
        let migrator = migrator.clone();
        async move { migrator.migrate_all(options()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "it waits for the one that has the lock");
    run(&mut admin, "select pg_advisory_unlock_all()").await;
    let report = waiting.await??;
    assert_eq!(with(&report, "migrated"), ["t0001"], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_fails_in_one_of_a_thousand_is_told_with_its_line() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_a.sql", "create table a (id int);"),
        ("0002_b.sql", "create table b (id int);\n\nselect id::int from names;\n"),
        ("0003_c.sql", "create table c (id int);"),
    ]);
    let mut admin = world.admin().await;
    let ids = ids(1000);
    for batch in ids.chunks(50) {
        let schemas = batch.iter().map(|id| {
            let name = if id == "t0500" { "'x'" } else { "'1'" };
            format!("create schema tenant_{id}; create view tenant_{id}.names as select {name}::text as id;")
        });
        run(&mut admin, &schemas.collect::<String>()).await;
    }
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert_eq!((report.migrated, report.failed), (999, 1), "{report}");
    assert_eq!(with(&report, "failed"), ["t0500"]);
    let failed = &report.tenants[500];
    let failure = failed.error().expect("it has failed");
    assert_eq!((failure.version, failure.reason), (Some(2), FailureReason::Statement));
    assert_eq!(failure.sqlstate.as_deref(), Some("22P02"));
    assert_eq!(failed.files.len(), 1, "what came before it has lasted");
    assert_eq!(recorded(&mut admin, "t0500").await, "Some(\"1\")");
    assert_eq!((tables(&mut admin, "b").await, tables(&mut admin, "c").await), (999, 999));
    run(&mut admin, "create or replace view tenant_t0500.names as select '1'::text as id").await;
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert_eq!((report.migrated, report.up_to_date), (1, 999), "{report}");
    assert_eq!(tables(&mut admin, "c").await, 1000);
    Ok(())
}

#[tokio::test]
async fn abort_and_the_error_budget_leave_the_rest_not_started() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_no.sql", "select 1 / 0;")]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(30)).await;
    let migrator = migrator(&world, &files);
    let abort = options().concurrency(2).on_failure(OnFailure::Abort);
    let budget = options().concurrency(2).error_budget(4);
    for (options, end, most) in [(abort, End::Aborted, 2), (budget, End::OverBudget, 6)] {
        let report = migrator.migrate_all(options).await?;
        assert_eq!((report.end, report.total), (end, 30), "{report}");
        assert!((1..=most).contains(&report.failed), "{report}");
        assert_eq!(report.failed + report.not_started, 30);
        assert_eq!(tables(&mut admin, "_sqlx_migrations").await, 0, "nothing is half done");
    }
    Ok(())
}

#[tokio::test]
async fn those_that_go_first_keep_the_others_from_the_same_failure() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_a.sql", "create table a as select id from names;")]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(12)).await;
    for id in ids(12).iter().filter(|id| *id != "t0003") {
        run(&mut admin, &format!("create table tenant_{id}.names (id int)")).await;
    }
    let migrator = migrator(&world, &files);
    let report = migrator.migrate_all(options().canary(["t0003", "t0007"])).await?;
    assert_eq!((report.end, report.not_started), (End::CanaryFailed, 10), "{report}");
    assert_eq!(
        (with(&report, "failed"), with(&report, "migrated")),
        (vec!["t0003"], vec!["t0007"])
    );
    let stranger = migrator.migrate_all(options().canary(["nobody"])).await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::Config);
    run(&mut admin, "create table tenant_t0003.names (id int)").await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&order);
    let report = migrator
        .migrate_all(options().canary(["t0003"]).wave(5).on_progress(move |progress| {
            if let Progress::Ended { tenant, .. } = progress {
                heard.lock().expect("it does not panic").push(tenant.tenant_id.clone());
            }
        }))
        .await?;
    assert!(report.is_success(), "{report}");
    let order = order.lock().expect("it does not panic").clone();
    let place = |id: &str| order.iter().position(|other| other.as_deref() == Some(id));
    assert!(place("t0003") < place("t0000"), "{order:?}");
    assert!(place("t0002") < place("t0011"), "{order:?}");
    Ok(())
}

#[tokio::test]
async fn a_signal_lets_what_runs_end_and_reports_the_rest_as_not_started() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_a.sql", "create table a (id int); select pg_sleep(0.05);")]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(60)).await;
    let ended = Arc::new(Notify::new());
    let stop = Arc::clone(&ended);
    let options_that_stop = options()
        .concurrency(2)
        .on_progress(move |progress| {
            if let Progress::Ended { .. } = progress {
                ended.notify_one();
            }
        })
        .stop_when(async move { stop.notified().await });
    let report = migrator(&world, &files).migrate_all(options_that_stop).await?;
    assert_eq!((report.end, report.failed), (End::Stopped, 0), "{report}");
    assert!(report.migrated > 0 && report.not_started > 0, "{report}");
    assert_eq!(tables(&mut admin, "a").await, i64::try_from(report.migrated)?);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(tables(&mut admin, "a").await, 60);
    Ok(())
}

#[tokio::test]
async fn options_that_contradict_are_refused_and_names_that_are_none_are_reported() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let migrator = migrator(&world, &files);
    for options in [
        options().concurrency(0),
        options().wave(0),
        options().lock_timeout(Duration::ZERO),
        options().statement_timeout(Duration::ZERO),
    ] {
        let error = migrator.migrate_all(options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    let named = ["acme", "nobody", "acme", "a;drop", "ACME"];
    let report = migrator.migrate(named, options()).await?;
    assert_eq!((report.total, report.migrated, report.failed), (4, 1, 3), "{report}");
    assert_eq!(with(&report, "failed"), ["nobody", "a;drop", "ACME"]);
    let failures = report.tenants.iter().filter_map(|tenant| tenant.error());
    assert!(failures.into_iter().all(|failure| failure.reason == FailureReason::Tenant));
    let none = world.manager().migrator().migrate_all(options()).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Config);
    let many: Vec<_> = (0..40).map(|number| format!("nobody{number}")).collect();
    let report =
        migrator.migrate(many.iter().map(String::as_str).chain(["acme"]), options()).await?;
    assert_eq!((report.total, report.up_to_date, report.failed), (41, 1, 40));
    Ok(())
}

#[tokio::test]
async fn a_schema_that_has_gone_is_reported_and_nothing_lands_elsewhere() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let catalog = TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).tenants_see_shared(true).build()?;
    catalog.create_table(manager.shared()).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "insert into tenants (id) values ('here'), ('gone')").await;
    create_schemas(&mut admin, &["here"]).await;
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((with(&report, "migrated"), with(&report, "failed")), (vec!["here"], vec!["gone"]));
    let failure = report.tenants[0].error().expect("it has failed");
    assert_eq!(failure.reason, FailureReason::SchemaMissing);
    let shared = "select string_agg(tablename, ' ' order by tablename) from pg_tables where schemaname = 'public'";
    let of_the_library = "Some(\"tenantry_migrated tenants\")";
    assert_eq!(observe(&mut admin, shared).await, of_the_library);
    Ok(())
}

#[tokio::test]
async fn a_schema_that_goes_while_others_are_migrated_fails_alone() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_a.sql", "create table a (id int); select pg_sleep(0.02);")]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(20)).await;
    let migrator = migrator(&world, &files);
    let running = tokio::spawn(async move { migrator.migrate_all(options().concurrency(1)).await });
    eventually("some are done", async || tables(&mut admin, "a").await > 3).await;
    // One that is not done yet, wherever the run has begun.
    let last = "select max(n.nspname) from pg_namespace n where n.nspname like 'tenant\\_%' \
                and to_regclass(n.nspname || '.a') is null \
                and to_regclass(n.nspname || '._sqlx_migrations') is null";
    let last: String = sqlx::query_scalar(last).fetch_one(&mut admin).await?;
    run(&mut admin, &format!("drop schema {last} cascade")).await;
    let report = running.await??;
    let id = last.trim_start_matches("tenant_");
    assert_eq!((report.migrated, with(&report, "failed")), (19, vec![id]), "{report}");
    let failures = report.tenants.iter().filter_map(|tenant| tenant.error());
    let reasons: Vec<_> = failures.map(|failure| failure.reason).collect();
    assert_eq!(reasons, [FailureReason::SchemaMissing]);
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_read_only_is_told_once() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(30)).await;
    let name = world.database.name();
    run(&mut admin, &format!("alter database {name} set default_transaction_read_only = on")).await;
    let report = migrator(&world, &files).migrate_all(options().concurrency(2)).await?;
    assert_eq!((report.end, report.migrated), (End::ReadOnly, 0), "{report}");
    assert!(report.failed <= 2 && report.not_started >= 28, "{report}");
    assert_eq!(tables(&mut admin, "_sqlx_migrations").await, 0);
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_somebody_has_locked_fails_alone_or_succeeds_when_it_is_free() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_notes.sql", "create table notes (id int);"),
        ("0002_more.sql", "alter table notes add more int;"),
    ]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(5)).await;
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options().to(1)).await?.is_success());
    run(&mut admin, "begin; select * from tenant_t0002.notes").await;
    let retry = RetryPolicy::default().max_attempts(2).initial_delay(Duration::from_millis(20));
    let short = options().lock_timeout(Duration::from_millis(50)).retry(retry);
    let report = migrator.migrate_all(short.clone()).await?;
    assert_eq!((report.migrated, with(&report, "failed")), (4, vec!["t0002"]), "{report}");
    let failed = &report.tenants[2];
    assert_eq!(failed.error().map(|failure| failure.reason), Some(FailureReason::LockTimeout));
    assert_eq!((failed.attempts, failed.error().and_then(|failure| failure.version)), (2, Some(2)));
    assert_eq!(recorded(&mut admin, "t0002").await, "Some(\"1\")");
    let patient = short.retry(RetryPolicy::default().max_attempts(100));
    let waiting = tokio::spawn(async move { migrator.migrate_all(patient).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    run(&mut admin, "rollback").await;
    let report = waiting.await??;
    assert!(report.is_success() && report.tenants[2].attempts > 1, "{report}");
    Ok(())
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_among_others_says_how_it_may_be() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "begin; select * from tenant_acme.users").await;
    let change = "alter table users add more int;";
    for (text, is_told) in
        [(format!("create table a (id int); {change}"), true), (change.into(), false)]
    {
        let migrator = migrator(&world, &Files::new(&[("0001_more.sql", &text)]));
        let short = options().lock_timeout(Duration::from_millis(50)).retry(RetryPolicy::never());
        let report = migrator.migrate_all(short).await?;
        let failure = report.tenants[0].error().expect("the table is locked");
        assert_eq!(failure.reason, FailureReason::LockTimeout, "{failure}");
        let hint = failure.hint().is_some_and(|hint| hint.contains("split it into two files"));
        assert_eq!(hint, is_told, "{failure}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_on_what_is_recorded_keeps_no_other_tenant_from_being_read() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(8)).await;
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options().to(1)).await?.is_success());
    run(&mut admin, "begin; lock table tenant_t0004._sqlx_migrations").await;
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.migrated, with(&report, "failed")), (7, vec!["t0004"]), "{report}");
    let reason = report.tenants[4].error().map(|failure| failure.reason);
    assert_eq!(reason, Some(FailureReason::LockTimeout));
    Ok(())
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_long.sql", "select pg_sleep(30);")]);
    let began = Instant::now();
    let limit = options().statement_timeout(Duration::from_millis(100));
    let report = migrator(&world, &files).migrate_all(limit).await?;
    let reason = report.tenants[0].error().map(|failure| failure.reason);
    assert_eq!(reason, Some(FailureReason::StatementTimeout));
    assert!(began.elapsed() < Duration::from_secs(10));
    Ok(())
}

#[tokio::test]
async fn several_files_share_a_transaction_when_that_is_asked_for() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[
        ("0001_a.sql", "create table a (id int); -- the end"),
        ("0002_b.sql", "create table b (id int) /* without a semicolon */"),
        ("0003_c.sql", "select 'wrong'::int;"),
    ]);
    let mut admin = world.admin().await;
    let together = options().transaction(TransactionPer::Tenant);
    let report = migrator(&world, &files).migrate_all(together.clone()).await?;
    let failure = report.tenants[0].error().expect("it has failed");
    assert_eq!((failure.version, failure.line), (Some(3), Some(1)), "{failure}");
    assert_eq!(report.tenants[0].files.len(), 0);
    assert_eq!(tables(&mut admin, "a").await, 0);
    files.write("0003_c.sql", "create table c (id int);");
    let report = migrator(&world, &files).migrate_all(together).await?;
    assert_eq!(report.tenants[0].files.len(), 3, "{report}");
    let transactions = "select count(distinct xmin::text)::text from tenant_acme._sqlx_migrations";
    assert_eq!(observe(&mut admin, transactions).await, "Some(\"1\")");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_is_replaced_and_nothing_is_done_twice()
-> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_ran.sql", "create table ran (id int);"),
        ("0002_row.sql", "insert into ran values (1); select pg_sleep(0.3);"),
    ]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(4)).await;
    let migrator = migrator(&world, &files);
    let running = tokio::spawn(async move { migrator.migrate_all(options().concurrency(1)).await });
    let sleeping = "select coalesce(string_agg(pg_terminate_backend(pid)::text, ' '), 'none') \
                    from pg_stat_activity where datname = current_database() \
                    and application_name like 'tenantry/%' and wait_event = 'PgSleep'";
    eventually("a session was ended in a file", async || {
        observe(&mut admin, sleeping).await == "Some(\"true\")"
    })
    .await;
    let report = running.await??;
    assert!(report.is_success(), "{report}");
    assert!(report.tenants.iter().any(|tenant| tenant.attempts == 2), "{report:?}");
    for id in ids(4) {
        let rows =
            observe(&mut admin, &format!("select count(*)::text from tenant_{id}.ran")).await;
        assert_eq!(rows, "Some(\"1\")", "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn the_shared_schema_comes_first_and_stops_the_rest_when_it_fails() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let shared = Files::new(&[("0001_plans.sql", "create table plans (id int); select 1 / 0;")]);
    let mut admin = world.admin().await;
    let both = |shared: &Files| migrator(&world, &files).shared(shared.read());
    let report = both(&shared).migrate_all(options()).await?;
    assert_eq!((report.end, report.not_started), (End::SharedFailed, 1), "{report}");
    assert!(report.shared.as_ref().is_some_and(|shared| shared.error().is_some()));
    assert_eq!(tables(&mut admin, "notes").await, 0);
    shared.write("0001_plans.sql", "create table plans (id int);");
    let report = both(&shared).migrate_all(options()).await?;
    assert!(report.is_success() && report.migrated == 1, "{report}");
    let report = both(&shared).migrate_shared(options()).await?;
    let shared = report.shared.expect("it was asked for");
    assert!(matches!(shared.outcome, Outcome::UpToDate) && shared.tenant_id.is_none());
    assert_eq!(observe(&mut admin, "select count(*)::text from public.plans").await, "Some(\"0\")");
    Ok(())
}

#[tokio::test]
async fn a_suspended_tenant_is_migrated_too() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let catalog = TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "insert into tenants (id, state) values ('asleep', 'suspended')").await;
    create_schemas(&mut admin, &["asleep"]).await;
    let report = manager.migrator().tenants(files.read()).migrate_all(options()).await?;
    assert_eq!(with(&report, "migrated"), ["asleep"]);
    Ok(())
}

#[tokio::test]
async fn requests_that_run_meanwhile_see_the_change_and_no_error() -> TestResult {
    let (world, files) = (
        World::with_managed_tenants(&["acme"]).await,
        Files::new(&[(
            "0001_wide.sql",
            "alter table users alter name type varchar(80), add email text;",
        )]),
    );
    let manager = world.manager();
    let db = manager.tenant("acme").await?;
    let select = "select * from users";
    let rows = sqlx::query(select).fetch_all(&db).await?;
    assert_eq!(sqlx::Row::len(&rows[0]), 2);
    assert!(manager.migrator().tenants(files.read()).migrate_all(options()).await?.is_success());
    // In a transaction there is no second attempt: the statement must not be a stale one.
    let mut tx = db.begin().await?;
    let rows = sqlx::query(select).fetch_all(&mut *tx).await?;
    assert_eq!(sqlx::Row::len(&rows[0]), 3);
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn the_budget_holds_and_hooks_hear_of_every_tenant() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_a.sql", "create table a (id int); select pg_sleep(0.01);")]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(20)).await;
    let heard = Heard::default();
    let manager = world.builder().max_connections(3).on_event(heard.hook()).build()?;
    let most = Arc::new(Mutex::new(0));
    let (watched, noted) = (manager.clone(), Arc::clone(&most));
    let watch = move |_: &Progress<'_>| {
        let total = watched.snapshot().total;
        let mut most = noted.lock().expect("it does not panic");
        *most = total.max(*most);
    };
    let report = manager
        .migrator()
        .tenants(files.read())
        .migrate_all(options().concurrency(50).on_progress(watch))
        .await?;
    assert_eq!(report.migrated, 20, "{report}");
    assert_eq!(*most.lock().expect("it does not panic"), 3);
    manager.close().await;
    let told = heard.all().iter().filter(|event| event.to_string().contains("MIGRATION")).count();
    assert_eq!(told, 20);
    Ok(())
}

#[tokio::test]
async fn a_report_is_json_with_every_tenant_in_it() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_no.sql", "\n  selekt 1;")]);
    let report = migrator(&world, &files).migrate(["acme", "nobody"], options()).await?;
    let json = serde_json::to_value(&report)?;
    assert_eq!(
        (&json["end"], &json["total"], &json["failed"]),
        (&"completed".into(), &2.into(), &2.into())
    );
    let acme = &json["tenants"][0];
    assert_eq!((&acme["tenantId"], &acme["schemaName"]), (&"acme".into(), &"tenant_acme".into()));
    assert_eq!(
        (&acme["outcome"], &acme["error"]["reason"]),
        (&"failed".into(), &"statement".into())
    );
    assert_eq!(
        (&acme["error"]["file"], &acme["error"]["line"]),
        (&"0001_no.sql".into(), &2.into())
    );
    assert_eq!(acme["error"]["sqlstate"], "42601");
    assert_eq!(json["tenants"][1]["error"]["reason"], "tenant");
    let text = report.to_string();
    assert!(text.contains("0001_no.sql, line 2: syntax error"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_search_path_that_is_changed_in_disguise_is_found_before_anything_lasts() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[(
        "0001_leak.sql",
        "do $$ begin execute 'set local sea' || 'rch_path = public'; end $$; create table leaked (id int);",
    )]);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    let reason = report.tenants[0].error().map(|failure| failure.reason);
    assert_eq!(reason, Some(FailureReason::SearchPath), "{report}");
    let mut admin = world.admin().await;
    let leaked = "select (to_regclass('public.leaked') is null)::text";
    assert_eq!(observe(&mut admin, leaked).await, "Some(\"true\")");
    Ok(())
}

#[tokio::test]
async fn no_lock_is_left_when_a_run_has_returned() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_no.sql", "select 1 / 0;")]);
    let (migrator, mut admin) = (migrator(&world, &files), world.admin().await);
    let locks = "select count(*)::text from pg_locks where locktype = 'advisory' and database = \
                 (select oid from pg_database where datname = current_database())";
    for _ in 0..10 {
        assert_eq!(migrator.migrate_all(options()).await?.failed, 1);
        assert_eq!(observe(&mut admin, locks).await, "Some(\"0\")");
    }
    Ok(())
}

#[tokio::test]
async fn what_has_lasted_is_told_although_the_answer_was_lost() -> TestResult {
    let server = private_server(&["acme"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = tenantry::TenantManager::builder(proxy.url()).build()?;
    manager.tenant("acme").await?.ping().await?;
    let files = Files::notes();
    let migrator = manager.migrator().tenants(files.read());
    let mut admin = connect(&server.url()).await;
    let running = tokio::spawn(async move { migrator.migrate_all(options()).await });
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let there = "select (to_regclass('tenant_acme._sqlx_migrations') is not null)::text";
    eventually("a file has lasted", async || observe(&mut admin, there).await == "Some(\"true\")")
        .await;
    proxy.set(Mode::Cut);
    tokio::time::sleep(Duration::from_millis(30)).await;
    proxy.set(Mode::Pass);
    let report = running.await??;
    let files: Vec<_> = report.tenants[0].files.iter().map(|file| file.version).collect();
    assert_eq!((report.migrated, files), (1, vec![1, 2]), "{report}");
    Ok(())
}

#[tokio::test]
async fn without_a_limit_a_statement_takes_as_long_as_it_takes() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_slow.sql", "select pg_sleep(0.3);")]);
    let name = world.database.name();
    let limit = format!("alter database {name} set statement_timeout = '100ms'");
    run(&mut world.admin().await, &limit).await;
    assert!(migrator(&world, &files).migrate_all(options()).await?.is_success());
    Ok(())
}

#[tokio::test]
async fn a_run_over_all_tenants_lets_another_one_end_first_unless_it_is_told_to_stop() -> TestResult
{
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let mut admin = world.admin().await;
    let lock = "select pg_advisory_lock(hashtextextended('a run of tenantry over all tenants', \
                7234619037115))";
    run(&mut admin, lock).await;
    let migrator = migrator(&world, &files);
    let stop = tokio::time::sleep(Duration::from_millis(100));
    let report = migrator.migrate_all(options().stop_when(stop)).await?;
    assert_eq!((report.end, report.not_started), (End::Stopped, 1), "{report}");
    let waiting = tokio::spawn({
        let migrator = migrator.clone();
        async move { migrator.migrate_all(options()).await }
    });
    // One tenant by its name does not wait for a run over all.
    assert!(migrator.migrate(["acme"], options().to(1)).await?.is_success());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "it waits for the other one");
    run(&mut admin, "select pg_advisory_unlock_all()").await;
    assert_eq!(waiting.await??.migrated, 1);
    Ok(())
}
