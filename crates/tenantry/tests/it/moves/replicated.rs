//! Tenants move by logical replication where the servers allow it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tenantry::moves::{MoveMethod, MoveOptions, MoveStage};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use super::{Two, is_undone, killed::killed_on, latest, load::Writers, options, value};
use crate::support::{TestResult, connect, eventually, free_names, run, server_version, skip};

pub(super) async fn logical(tenants: &[&str]) -> Two {
    let server =
        DevServer::builder().setting("wal_level", "logical").setting("max_wal_senders", "10");
    Two::of(server.start().await.expect("a server can be started"), tenants).await
}

/// Replication has left nothing on either server.
async fn nothing_is_left(two: &Two) {
    let (mut main, mut eu) = (two.at_main().await, two.at_eu().await);
    for left in ["pg_publication", "pg_replication_slots", "tenantry_markers"] {
        let count = format!("select count(*) from {left}");
        assert_eq!(value(&mut main, &count).await, "0", "{left}");
    }
    for left in ["pg_subscription", "tenantry_markers"] {
        let count = format!("select count(*) from {left}");
        assert_eq!(value(&mut eu, &count).await, "0", "{left}");
    }
}

async fn fill(main: &mut PgConnection) {
    run(
        main,
        "create table tenant_acme.orders (id serial primary key, at timestamptz not null default now(), \
           price numeric not null, twice numeric generated always as (price * 2) stored, \
           user_id int not null references tenant_acme.users); \
         create index on tenant_acme.orders (at); \
         create table tenant_acme.events (at date not null, what text, primary key (at, what)) partition by range (at); \
         create table tenant_acme.events_2025 partition of tenant_acme.events \
           for values from ('2025-01-01') to ('2026-01-01'); \
         create materialized view tenant_acme.totals as select count(*) as n from tenant_acme.users; \
         insert into tenant_acme.orders (price, user_id) select n, 1 from generate_series(1, 30000) n; \
         insert into tenant_acme.events values ('2025-05-05', 'spring')",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_tenant_is_replicated_under_load_and_waits_for_a_moment_only() -> TestResult {
    let two = logical(&["acme"]).await;
    fill(&mut two.at_main().await).await;
    let manager = two.manager();
    let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
    assert_eq!(plan.method, MoveMethod::Replication, "{plan}");
    let writers = Writers::start(&[two.manager(), two.stale()], "acme", 2, false);
    let (lines, said) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
    let (seen, said_before) = (Arc::clone(&lines), Arc::clone(&said));
    let telling = options().on_progress(move |progress| {
        let line = progress.to_string();
        let mut lines = seen.lock().expect("it is not poisoned");
        if lines.is_empty() {
            *said_before.lock().expect("it is not poisoned") = line.clone();
        }
        lines.push(line);
    });
    let report = manager.mover().move_tenant("acme", "eu-1", telling).await?;
    let lines = lines.lock().expect("it is not poisoned").join("\n");
    let said = said.lock().expect("it is not poisoned").clone();
    assert!(
        said.contains("planned: by logical replication; requests will wait for about"),
        "{said}"
    );
    assert!(lines.contains("copying: rows: ") && lines.contains(" of 3 tables, "), "{lines}");
    assert!(lines.contains("catching_up: ") && lines.contains(" bytes behind"), "{lines}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = writers.stop().await;
    assert_eq!(report.method, MoveMethod::Replication);
    assert!(report.pause.is_some_and(|pause| pause < Duration::from_secs(3)), "{report}");
    assert!(report.remarks.is_empty(), "its publication is no limitation of the copy: {report}");
    assert!(!report.to_string().contains(" 0 rows"), "{report}");
    let mut eu = two.at_eu().await;
    for (query, expected) in [
        (
            "select count(*) from tenant_acme.users where id >= 1000",
            written.acknowledged.to_string(),
        ),
        ("select count(*) || ' ' || sum(twice) from tenant_acme.orders", "30000 900030000".into()),
        ("select nextval('tenant_acme.orders_id_seq')", "30001".into()),
        ("select count(*) from tenant_acme.events_2025", "1".into()),
        ("select state || server || epoch from tenants", "error 42P01".into()),
    ] {
        assert_eq!(value(&mut eu, query).await, expected, "{query}");
    }
    assert_ne!(value(&mut eu, "select n from tenant_acme.totals").await, "0");
    assert!(written.acknowledged > 50, "{}", written.acknowledged);
    nothing_is_left(&two).await;
    // The way back is that of the other server, which has no logical log.
    free_names(&mut two.at_main().await).await;
    let plan = manager.mover().plan("acme", "main", &options()).await?;
    assert_eq!(plan.method, MoveMethod::UnderFence);
    assert!(plan.not_replicated.iter().any(|why| why.contains("wal_level is minimal")), "{plan}");
    manager.close().await;
    Ok(())
}

/// Three sessions write more than the one process that applies it on the target can follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_flood_is_slowed_down_until_the_target_catches_up() -> TestResult {
    let two = logical(&["acme"]).await;
    fill(&mut two.at_main().await).await;
    let manager = two.manager();
    let stop = Arc::new(AtomicBool::new(false));
    let mut flood = JoinSet::new();
    for _ in 0..3 {
        let (manager, stop) = (manager.clone(), Arc::clone(&stop));
        flood.spawn(async move {
            let held = manager.tenant("acme").await.expect("it is served");
            let (mut written, mut slowest) = (0, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let insert = "insert into orders (price, user_id) select n, 1 from generate_series(1, 500) n";
                let done = sqlx::query(insert).execute(&held).await.expect("it is not refused");
                written += done.rows_affected();
                slowest = slowest.max(began.elapsed());
            }
            (written, slowest)
        });
    }
    let (mover, replicated) = (manager.mover(), options().method(MoveMethod::Replication));
    let moving = mover.move_tenant("acme", "eu-1", replicated);
    let moved = tokio::time::timeout(Duration::from_secs(180), moving).await;
    stop.store(true, Ordering::Relaxed);
    let mut written = 30_000;
    while let Some(done) = flood.join_next().await {
        let (rows, slowest) = done?;
        written += rows;
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    }
    moved??;
    let found = value(&mut two.at_eu().await, "select count(*) from tenant_acme.orders").await;
    assert_eq!(found, written.to_string());
    nothing_is_left(&two).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_table_without_a_key_is_copied_under_the_fence() -> TestResult {
    let two = logical(&["acme"]).await;
    run(&mut two.at_main().await, "create table tenant_acme.keyless (line text); insert into tenant_acme.keyless values ('a'), ('a')").await;
    let manager = two.manager();
    let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
    assert!(plan.not_replicated.iter().any(|why| why.contains("keyless")), "{plan}");
    let asked = options().method(MoveMethod::Replication);
    let plan = manager.mover().plan("acme", "eu-1", &asked).await?;
    assert!(plan.obstacles.iter().any(|of| of.what.contains("keyless")));
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
    assert_eq!((report.method, report.rows), (MoveMethod::UnderFence, 3));
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_replicated_move_that_fails_leaves_nothing() -> TestResult {
    let two = logical(&["acme"]).await;
    fill(&mut two.at_main().await).await;
    let manager = two.manager();
    // The target cannot reach the source.
    let nowhere =
        options().source_connection("host=127.0.0.1 port=1 dbname=postgres user=postgres");
    let nowhere = nowhere.method(MoveMethod::Replication);
    let error = manager.mover().move_tenant("acme", "eu-1", nowhere).await.unwrap_err();
    assert!(format!("{error:?}").contains("could not connect"), "{error:?}");
    assert!(manager.mover().list().await?.is_empty(), "nothing was begun");
    // A row that only the copy has.
    let plant = "insert into tenant_acme.users values (-1, 'planted')";
    let planting = once_copied(vec![(two.eu.url(), plant)]);
    let error = manager.mover().move_tenant("acme", "eu-1", planting).await.unwrap_err();
    assert!(format!("{error:?}").contains("the table users has 2 rows of 1"), "{error:?}");
    is_undone(&two, &manager, "acme").await;
    nothing_is_left(&two).await;
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
    assert_eq!(report.method, MoveMethod::Replication);
    assert_eq!(latest(&manager).await.stage, MoveStage::Done);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_long_transaction_of_another_tenant_delays_a_move_and_does_no_harm() -> TestResult {
    let two = logical(&["acme", "globex"]).await;
    fill(&mut two.at_main().await).await;
    let manager = two.manager();
    let mut long = two.at_main().await;
    run(&mut long, "begin; update tenant_globex.users set name = name").await;
    let writers = Writers::start(&[two.manager(), two.stale()], "acme", 2, false);
    let start = || {
        let mover = manager.mover();
        tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options()).await })
    };
    let is_waiting = "select count(*) from pg_stat_activity \
                      where backend_type = 'walsender' and wait_event_type = 'Lock'";
    let mut main = two.at_main().await;
    // Undone while it waits: the slot that is being created would last as long as the transaction.
    let moving = start();
    eventually("the slot waits", async || value(&mut two.at_main().await, is_waiting).await == "1")
        .await;
    manager.mover().cancel("acme").await?;
    let error = moving.await?.unwrap_err();
    assert!(format!("{error:?}").contains("cancelled"), "{error:?}");
    is_undone(&two, &manager, "acme").await;
    nothing_is_left(&two).await;

    let moving = start();
    eventually("the slot waits", async || value(&mut two.at_main().await, is_waiting).await == "1")
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!moving.is_finished());
    let is_served = "select count(*) > 0 from tenant_acme.users where id >= 1000";
    assert_eq!(value(&mut main, is_served).await, "t");
    run(&mut long, "commit").await;
    let report = moving.await??;
    assert_eq!(report.method, MoveMethod::Replication);
    let written = writers.stop().await;
    let found = "select count(*) from tenant_acme.users where id >= 1000";
    assert_eq!(value(&mut two.at_eu().await, found).await, written.acknowledged.to_string());
    manager.close().await;
    Ok(())
}

/// Options with which statements are run on servers as soon as the rows are copied.
fn once_copied(statements: Vec<(String, &'static str)>) -> MoveOptions {
    options().on_progress(move |progress| {
        if progress.stage == MoveStage::Copying && progress.is_worked_off {
            let statements = statements.clone();
            let running = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be built").block_on(async {
                    for (url, sql) in statements {
                        run(&mut connect(&url).await, sql).await;
                    }
                });
            });
            running.join().expect("they are run");
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn changes_that_cannot_be_applied_end_a_move_soon() -> TestResult {
    let two = logical(&["acme"]).await;
    fill(&mut two.at_main().await).await;
    if server_version(&mut two.at_eu().await).await < 15 {
        skip(
            "changes that cannot be applied: before 15, PostgreSQL does not count failures of a subscription",
        );
        return Ok(());
    }
    let manager = two.manager();
    let there = "insert into tenant_acme.users values (7, 'planted')";
    let here =
        "insert into tenant_acme.users select n, repeat('x', 200) from generate_series(7, 5000) n";
    let began = Instant::now();
    let conflict = once_copied(vec![(two.eu.url(), there), (two.main.url(), here)]);
    let error = manager.mover().move_tenant("acme", "eu-1", conflict).await.unwrap_err();
    assert!(format!("{error:?}").contains("times to apply the tenant's changes"), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(120), "it took {:?}", began.elapsed());
    is_undone(&two, &manager, "acme").await;
    nothing_is_left(&two).await;
    manager.close().await;
    Ok(())
}

/// Tables that replication would change, or whose writers it would disturb, and what is said about each.
const UNFIT: [(&str, &str, &str); 9] = [
    ("unlogged", "create unlogged table tenant_acme.unlogged (id int primary key)", "are unlogged"),
    (
        "keyless",
        "create table tenant_acme.keyless (line text)",
        "no primary key and no replica identity",
    ),
    (
        "deferred",
        "create table tenant_acme.deferred (id int primary key deferrable)",
        "cannot be deferred",
    ),
    (
        "forgotten",
        "create table tenant_acme.forgotten (id int not null); \
         create unique index i on tenant_acme.forgotten (id); \
         alter table tenant_acme.forgotten replica identity using index i; drop index tenant_acme.i",
        "no primary key and no replica identity",
    ),
    (
        "computed",
        "create table tenant_acme.computed (n int, id int generated always as (n * 2) stored primary key)",
        "generated column",
    ),
    (
        "whole",
        "create table tenant_acme.whole (line json); alter table tenant_acme.whole replica identity full",
        "type without equality",
    ),
    (
        "places",
        "create domain tenant_acme.place as point; create table tenant_acme.places (at tenant_acme.place[]); \
         alter table tenant_acme.places replica identity full",
        "type without equality",
    ),
    (
        "audited",
        "create table tenant_acme.audited (id int primary key); \
         create function tenant_acme.audit() returns trigger language plpgsql \
           as 'begin insert into tenant_acme.audited values (new.id + 1); return null; end'; \
         create trigger audit after insert on tenant_acme.audited for each row when (new.id % 2 = 0) \
           execute function tenant_acme.audit(); \
         alter table tenant_acme.audited enable always trigger audit",
        "would fire on both servers",
    ),
    (
        "secret",
        "create table tenant_acme.secret (id int primary key); create role plain; \
         alter table tenant_acme.secret owner to plain; \
         alter table tenant_acme.secret enable row level security, force row level security",
        "row security is forced",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_table_that_replication_would_disturb_is_copied_under_the_fence() -> TestResult {
    let two = logical(&["acme", "fine"]).await;
    let (mut main, mut eu) = (two.at_main().await, two.at_eu().await);
    run(&mut eu, "create role plain").await;
    for (_, sql, _) in UNFIT {
        run(&mut main, sql).await;
    }
    run(&mut main, "insert into tenant_acme.audited values (2), (4)").await;
    let manager = two.manager();
    let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
    for (table, _, why) in UNFIT {
        let found = plan.not_replicated.iter().find(|reason| reason.contains(why));
        assert!(found.is_some_and(|reason| reason.contains(table)), "{table}: {plan}");
    }
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
    assert_eq!(report.method, MoveMethod::UnderFence);
    assert_eq!(value(&mut eu, "select count(*) from tenant_acme.audited").await, "4");
    // Types with equality, of all kinds.
    run(
        &mut main,
        "create type tenant_fine.mood as enum ('sad', 'happy'); create domain tenant_fine.short as varchar(20); \
         create table tenant_fine.whole (a text, b varchar, c char(3), d int[], e tenant_fine.mood, f tenant_fine.short, \
           g jsonb, h uuid, i inet, j cidr, k numeric, l timestamptz, m int4range, n bytea, o name[], p oid, q interval); \
         alter table tenant_fine.whole replica identity full",
    )
    .await;
    let plan = manager.mover().plan("fine", "eu-1", &options()).await?;
    assert!(plan.not_replicated.is_empty(), "{plan}");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_replicating_mover_that_is_killed_is_taken_over() -> TestResult {
    for stage in [
        MoveStage::Prepared,
        MoveStage::Copying,
        MoveStage::CatchingUp,
        MoveStage::Fenced,
        MoveStage::Switched,
    ] {
        let two = logical(&["acme"]).await;
        fill(&mut two.at_main().await).await;
        killed_on(&two, stage, true).await?;
        nothing_is_left(&two).await;
    }
    Ok(())
}

/// A mover that is stopped while it creates the publication creates the rest after the move was undone, and removes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_stopped_mover_creates_too_late_is_removed() -> TestResult {
    let two = logical(&["acme"]).await;
    let mut holder = two.at_main().await;
    run(&mut holder, "begin; lock table tenant_acme.users in share update exclusive mode").await;
    let told = [("TENANTRY_TEST_MAIN", two.main.url()), ("TENANTRY_TEST_EU", two.eu.url())];
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "moves::killed::a_process_that_dies", "--nocapture"])
        .envs(told)
        .env("TENANTRY_TEST_DIE_AT", "never")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let signal = |signal: &str, pid: u32| {
        let mut kill = std::process::Command::new("kill");
        let sent = kill.args(["-s", signal, &pid.to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    };
    let mut main = two.at_main().await;
    let waits = "select count(*) from pg_stat_activity where query like 'create publication%' and wait_event_type = 'Lock'";
    eventually("it creates the publication", async || value(&mut main, waits).await == "1").await;
    signal("STOP", child.id());
    let second = two.manager();
    second.mover().cancel("acme").await?;
    eventually("another mover has undone it", async || {
        drop(second.mover().take_over().await);
        latest(&second).await.stage.is_over()
    })
    .await;
    is_undone(&two, &second, "acme").await;
    run(&mut holder, "rollback").await;
    let created = "select count(*) from pg_publication";
    eventually("it is created", async || value(&mut main, created).await == "1").await;
    signal("CONT", child.id());
    tokio::task::spawn_blocking(move || child.wait()).await??;
    nothing_is_left(&two).await;
    assert_eq!(
        second.mover().move_tenant("acme", "eu-1", options()).await?.method,
        MoveMethod::Replication
    );
    second.close().await;
    Ok(())
}

#[tokio::test]
async fn a_source_without_enough_slots_is_not_replicated() -> TestResult {
    for (setting, value, words) in [
        ("max_replication_slots", "2", "2 free replication slots, and the move needs 3"),
        ("max_wal_senders", "2", "2 free WAL senders, and the move needs 3"),
    ] {
        let server = DevServer::builder().setting("wal_level", "logical");
        let server = server.setting("max_wal_senders", "10").setting(setting, value);
        let two = Two::of(server.start().await?, &["acme"]).await;
        let manager = two.manager();
        let plan = manager.mover().plan("acme", "eu-1", &options()).await?;
        assert_eq!(plan.method, MoveMethod::UnderFence, "{plan}");
        assert!(plan.not_replicated.iter().any(|why| why.contains(words)), "{plan}");
        let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;
        assert!(report.to_string().contains(words), "it says so afterwards, too: {report}");
        manager.close().await;
    }
    Ok(())
}

/// The copy of each table begins when the transactions of the server have ended that were open before.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_copy_that_waits_for_a_transaction_is_not_given_up() -> TestResult {
    if std::env::var_os("TENANTRY_THOROUGH").is_none() {
        // It takes more than a minute.
        return Ok(());
    }
    let two = logical(&["acme"]).await;
    let manager = two.manager();
    let (url, began) = (two.main.url(), Instant::now());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let options = options().on_progress(move |progress| {
        if progress.stage == MoveStage::Copying
            && !progress.is_worked_off
            && progress.copy.is_none()
        {
            let url = url.clone();
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let mut long = connect(&url).await;
                    run(&mut long, "begin; select pg_current_xact_id()").await;
                    tell.send(long).ok();
                });
            });
        }
    });
    let mover = manager.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options).await });
    let mut long = told.recv().await.expect("rows are copied");
    tokio::time::sleep(Duration::from_secs(70)).await;
    run(&mut long, "rollback").await;
    let report = moving.await??;
    assert_eq!(report.method, MoveMethod::Replication, "{:?}", began.elapsed());
    manager.close().await;
    Ok(())
}
