//! The process of a mover is killed after each step: another one completes the move or undoes it.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tenantry::{TableCatalog, moves::MoveStage};

use super::{Two, builder, built, latest, load::Writers, options, value};
use crate::support::{TestResult, eventually_within, name_of};

/// What the process that is killed is told: the URLs, and where to die.
const TOLD: [&str; 3] = ["TENANTRY_TEST_MAIN", "TENANTRY_TEST_EU", "TENANTRY_TEST_DIE_AT"];

/// The process that is killed. It is no test unless another one has started it.
#[test]
fn a_process_that_dies() {
    let [Ok(main), Ok(eu), Ok(die_at)] = TOLD.map(std::env::var) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async move {
        let manager = built(builder(&main, &eu).catalog(TableCatalog::new()));
        let options = options().on_progress(move |progress| {
            let at = format!("{} {}", progress.stage, progress.is_worked_off);
            if progress.copy.is_none() && at == die_at {
                std::process::abort();
            }
        });
        drop(manager.mover().move_tenant("acme", "eu-1", options).await);
    });
    panic!("it has not died");
}

/// A mover is killed at a point of its move, under load; another one takes over.
async fn killed_at(stage: MoveStage, is_worked_off: bool) -> TestResult {
    killed_on(&Two::with(&["acme"]).await, stage, is_worked_off).await
}

/// The same, between these servers.
pub(super) async fn killed_on(two: &Two, stage: MoveStage, is_worked_off: bool) -> TestResult {
    let writers = Writers::start(&[two.manager(), two.stale()], "acme", 1, false);
    let told = [two.main.url(), two.eu.url(), format!("{stage} {is_worked_off}")];
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "moves::killed::a_process_that_dies", "--nocapture"])
        .envs(TOLD.into_iter().zip(told))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    assert_eq!(status.code(), None, "{stage} {is_worked_off}: it was not killed: {status}");
    let second = two.manager();
    assert_eq!(latest(&second).await.stage, stage);
    eventually_within(Duration::from_secs(30), "the move is over", async || {
        drop(second.mover().take_over().await);
        latest(&second).await.stage.is_over()
    })
    .await;
    let ended = latest(&second).await.stage;
    let goes_on = stage < MoveStage::Fencing || stage >= MoveStage::Verified;
    assert_eq!(ended == MoveStage::Done, goes_on, "{stage} {is_worked_off}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let written = writers.stop().await;
    let count = "select count(*) from tenant_acme.users where id >= 1000";
    let (mut main, mut eu) = (two.at_main().await, two.at_eu().await);
    let there = if ended == MoveStage::Done { &mut eu } else { &mut main };
    assert_eq!(
        value(there, count).await,
        written.acknowledged.to_string(),
        "{stage} {is_worked_off}"
    );
    assert_eq!(name_of(&second.tenant("acme").await?).await?, "acme");
    let left = "select count(*) from pg_namespace where nspname like 'tenant\\_acme'";
    assert_eq!(
        (value(&mut main, left).await == "1", value(&mut eu, left).await == "1"),
        (!goes_on, goes_on)
    );
    second.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_that_is_killed_before_the_gate_closes() -> TestResult {
    for (stage, is_worked_off) in [
        (MoveStage::Planned, false),
        (MoveStage::Planned, true),
        (MoveStage::Prepared, false),
        (MoveStage::Prepared, true),
    ] {
        killed_at(stage, is_worked_off).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_that_is_killed_while_requests_wait() -> TestResult {
    for (stage, is_worked_off) in [
        (MoveStage::Fencing, false),
        (MoveStage::Fencing, true),
        (MoveStage::Fenced, false),
        (MoveStage::Fenced, true),
    ] {
        killed_at(stage, is_worked_off).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_that_is_killed_around_the_switch() -> TestResult {
    for (stage, is_worked_off) in [
        (MoveStage::Verified, false),
        (MoveStage::Verified, true),
        (MoveStage::Switched, false),
        (MoveStage::Switched, true),
    ] {
        killed_at(stage, is_worked_off).await?;
    }
    Ok(())
}
