//! The process of a mover is killed after each step of a move between kinds: another one completes the move or undoes it.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tenantry::{
    IsolationKind, TableCatalog,
    moves::{Destination, MoveMethod, MoveStage},
};

use super::{
    built,
    kinds::{Scene, builder, own_rows},
    latest,
    load::Writers,
    value,
};
use crate::{
    migrate::Files,
    sampling,
    support::{TestResult, eventually_within},
};

/// What the process that is killed is told: the URLs, the tenant, where to, and where to die.
const TOLD: [&str; 6] = [
    "TENANTRY_TEST_MAIN",
    "TENANTRY_TEST_EU",
    "TENANTRY_TEST_TENANT",
    "TENANTRY_TEST_TO",
    "TENANTRY_TEST_DIE_AT",
    "TENANTRY_TEST_METHOD",
];

/// The process that is killed. It is no test unless another one has started it.
#[test]
fn a_process_that_dies() {
    let [Ok(main), Ok(eu), Ok(tenant), Ok(to), Ok(die_at), Ok(method)] = TOLD.map(std::env::var)
    else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async move {
        let manager = built(builder(&main, &eu).catalog(TableCatalog::new()));
        let files = Files::new(&[("0001_tables.sql", super::kinds::tables())]);
        let method =
            if method == "change_log" { MoveMethod::ChangeLog } else { MoveMethod::UnderFence };
        let options = super::options().method(method).tenants(files.read());
        let options = options.on_progress(move |progress| {
            let at = format!("{} {}", progress.stage, progress.is_worked_off);
            if progress.copy.is_none() && at == die_at {
                std::process::abort();
            }
        });
        let to = Destination::isolation(to.parse().expect("a kind"));
        panic!("{:?}", manager.mover().move_tenant(tenant, to, options).await);
    });
}

/// The stages of a move whose steps succeed, until it is done.
pub(super) const STAGES: [MoveStage; 8] = [
    MoveStage::Planned,
    MoveStage::Prepared,
    MoveStage::Copying,
    MoveStage::CatchingUp,
    MoveStage::Fencing,
    MoveStage::Fenced,
    MoveStage::Verified,
    MoveStage::Switched,
];

/// A tenant leaves one kind for another one, and its mover dies after each step. All end in done or undone, and nothing
/// is lost.
async fn killed_between(from: IsolationKind, to: IsolationKind, method: MoveMethod) -> TestResult {
    let scene = Scene::new(&[]).await;
    let is_live = |stage| [MoveStage::Copying, MoveStage::CatchingUp].contains(&stage);
    let stages = STAGES.into_iter().filter(|of| method == MoveMethod::ChangeLog || !is_live(*of));
    let points = stages.flat_map(|stage| [(stage, false), (stage, true)]);
    let (first, every) = sampling::every(3);
    for (nth, point) in points.enumerate().skip(first).step_by(every) {
        let tenant = format!("t{nth}");
        scene.create(&tenant, from).await;
        killed_at(&scene, &tenant, (from, to, method), point).await?;
    }
    scene.others_are_untouched().await;
    let mut main = scene.at("main").await;
    let provisional = "select count(*) from pg_database where datname like 'tenantry%'";
    assert_eq!(value(&mut main, provisional).await, "0");
    let open = "select count(*) from tenantry_moves where ended_at is null";
    assert_eq!(value(&mut main, open).await, "0");
    let logs = "select (select count(*) from pg_namespace where nspname like 'tenantry\\_moved\\_%\\_log') \
                + (select count(*) from pg_trigger where tgname like 'tenantry\\_moved\\_%')";
    assert_eq!(value(&mut main, logs).await, "0");
    scene.manager.close().await;
    Ok(())
}

async fn killed_at(
    scene: &Scene,
    tenant: &str,
    (from, to, method): (IsolationKind, IsolationKind, MoveMethod),
    (stage, is_worked_off): (MoveStage, bool),
) -> TestResult {
    let at = format!("{from} to {to}, {stage} {is_worked_off}");
    let stale = scene.stale();
    let writers = Writers::start(&[scene.manager.clone(), stale.clone()], tenant, 1, false);
    let told = [
        scene.main.url(),
        scene.eu.url(),
        tenant.to_owned(),
        to.to_string(),
        format!("{stage} {is_worked_off}"),
        method.as_str().to_owned(),
    ];
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "moves::kinds_killed::a_process_that_dies", "--nocapture"])
        .envs(TOLD.into_iter().zip(told))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    assert_eq!(status.code(), None, "{at}: it was not killed: {status}");
    assert_eq!(latest(&scene.manager).await.stage, stage, "{at}");
    eventually_within(Duration::from_secs(30), "the move is over", async || {
        drop(scene.manager.mover().take_over().await);
        latest(&scene.manager).await.stage.is_over()
    })
    .await;
    let ended = latest(&scene.manager).await;
    // Another process has no migrations, from which the tables of a tenant that leaves shared ones are made.
    let needs_files = from == IsolationKind::Row && stage == MoveStage::Planned;
    let goes_on = (stage < MoveStage::Fencing && !needs_files) || stage >= MoveStage::Verified;
    assert_eq!(ended.stage == MoveStage::Done, goes_on, "{at}: {ended:?}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let written = writers.stop().await.acknowledged;
    let db = scene.manager.tenant(tenant).await?;
    let is = if goes_on { to } else { from };
    assert_eq!(db.tenant().placement().isolation(), is, "{at}");
    let count: i64 =
        sqlx::query_scalar("select count(*) from users where id >= 1000").fetch_one(&db).await?;
    assert_eq!(count, i64::try_from(written)?, "{at}");
    for manager in [&scene.manager, &stale] {
        let seen = own_rows(manager, tenant).await;
        assert_eq!(seen, format!("{tenant} two a b {tenant}"), "{at}");
    }
    let mut main = scene.at("main").await;
    let database = format!("select count(*) from pg_database where datname = 'db_{tenant}'");
    let is_there = is == IsolationKind::Database || from == IsolationKind::Database;
    assert_eq!(value(&mut main, &database).await == "1", is_there, "{at}");
    stale.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_from_shared_tables_to_a_schema() -> TestResult {
    killed_between(IsolationKind::Row, IsolationKind::Schema, MoveMethod::UnderFence).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_from_a_schema_to_shared_tables() -> TestResult {
    killed_between(IsolationKind::Schema, IsolationKind::Row, MoveMethod::UnderFence).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_from_a_schema_to_a_database() -> TestResult {
    killed_between(IsolationKind::Schema, IsolationKind::Database, MoveMethod::UnderFence).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_from_a_database_to_shared_tables() -> TestResult {
    killed_between(IsolationKind::Database, IsolationKind::Row, MoveMethod::UnderFence).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_from_shared_tables_that_logs_changes() -> TestResult {
    killed_between(IsolationKind::Row, IsolationKind::Schema, MoveMethod::ChangeLog).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_into_shared_tables_that_logs_changes() -> TestResult {
    killed_between(IsolationKind::Schema, IsolationKind::Row, MoveMethod::ChangeLog).await
}
