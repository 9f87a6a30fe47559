//! Several movers: one at a time works on a tenant, and one that was paused does no harm.

use std::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use tenantry::{ErrorKind, moves::MoveStage};
use tokio::sync::mpsc::unbounded_channel;

use super::{Two, failures::halting_at, is_undone, latest, load::Writers, options, value};
use crate::support::{TestResult, eventually_within, name_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn of_two_movers_one_moves_the_tenant() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let managers = [two.manager(), two.manager(), two.stale()];
    let moves = managers.iter().map(|manager| {
        let mover = manager.mover();
        tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options()).await })
    });
    let ends = futures_util::future::join_all(moves.collect::<Vec<_>>()).await;
    let mut moved = 0;
    for end in ends {
        match end? {
            Ok(_) => moved += 1,
            Err(error) => {
                let kinds = [
                    ErrorKind::Busy,
                    ErrorKind::Move,
                    ErrorKind::Config,
                    ErrorKind::UnknownTenant,
                    ErrorKind::Catalog,
                ];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
        }
    }
    assert_eq!(moved, 1);
    let recorded = "select concat_ws(' ', state, server, epoch) from tenants";
    assert_eq!(value(&mut two.at_main().await, recorded).await, "active eu-1 2");
    for manager in managers {
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
        manager.close().await;
    }
    Ok(())
}

/// A mover sleeps at a point of its move for longer than it may; another one takes over, and the tenant is written to
/// all the time. Whatever the first one does when it wakes up has no effect.
async fn sleeper(at: MoveStage, is_worked_off: bool) -> TestResult {
    let two = Two::with(&["acme"]).await;
    let (tell, mut asleep) = unbounded_channel();
    let (wake, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let sleepy = options().on_progress(move |progress| {
        if progress.copy.is_none()
            && (progress.stage, progress.is_worked_off) == (at, is_worked_off)
        {
            tell.send(()).ok();
            wait.lock().expect("it is not poisoned").recv().ok();
        }
    });
    let (first, second) = (two.manager(), two.manager());
    let writers = Writers::start(&[two.stale(), two.manager()], "acme", 1, false);
    let mover = first.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", sleepy).await });
    asleep.recv().await.expect("it gets there");
    eventually_within(Duration::from_secs(20), "the move is over", async || {
        drop(second.mover().take_over().await);
        latest(&second).await.stage.is_over()
    })
    .await;
    let ended = latest(&second).await.stage;
    tokio::time::sleep(Duration::from_millis(100)).await;
    wake.send(())?;
    drop(wake);
    let woken = moving.await?;
    match woken {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{at} {is_worked_off}: {error:?}"),
        Ok(_) => panic!("{at} {is_worked_off}: it has not noticed"),
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = writers.stop().await;
    let count = "select count(*) from tenant_acme.users where id >= 1000";
    let mut there = match ended {
        MoveStage::Done => two.at_eu().await,
        _ => two.at_main().await,
    };
    assert_eq!(
        value(&mut there, count).await,
        written.acknowledged.to_string(),
        "{at} {is_worked_off}"
    );
    assert_eq!(latest(&second).await.stage, ended);
    // One that sleeps after `prepared` holds the locks that the other one needs.
    let holds = (at, is_worked_off) == (MoveStage::Prepared, true);
    let goes_on = (at < MoveStage::Fencing && !holds) || at >= MoveStage::Verified;
    assert_eq!(ended == MoveStage::Done, goes_on, "{at} {is_worked_off}");
    if ended == MoveStage::Undone {
        is_undone(&two, &second, "acme").await;
    }
    for manager in [first, second] {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mover_that_wakes_up_before_the_fence_does_no_harm() -> TestResult {
    sleeper(MoveStage::Planned, true).await?;
    sleeper(MoveStage::Prepared, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mover_that_wakes_up_behind_the_gate_does_no_harm() -> TestResult {
    sleeper(MoveStage::Fencing, false).await?;
    sleeper(MoveStage::Fencing, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mover_that_wakes_up_behind_the_fence_does_no_harm() -> TestResult {
    sleeper(MoveStage::Fenced, false).await?;
    sleeper(MoveStage::Fenced, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mover_that_wakes_up_before_or_after_the_switch_does_no_harm() -> TestResult {
    sleeper(MoveStage::Verified, true).await?;
    sleeper(MoveStage::Switched, false).await
}

/// A mover that pauses between two tries is alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_mover_that_waits_for_its_next_try_is_not_taken_over() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let (first, second) = (two.manager(), two.manager());
    let mut open = first.tenant("acme").await?.begin().await?;
    sqlx::query("update users set name = name").execute(&mut *open).await?;
    let (mover, tries) = (first.mover(), options().fence_tries(20));
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", tries).await });
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        assert!(second.mover().take_over().await?.is_empty(), "after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    open.rollback().await?;
    moving.await??;
    for manager in [first, second] {
        manager.close().await;
    }
    Ok(())
}

/// A process that does not know the target leaves an abandoned move to those that do.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_process_that_cannot_take_over_does_not_keep_others_from_it() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let (first, second) = (two.manager(), two.manager());
    let (options, mut halted, go_on) = halting_at((MoveStage::Prepared, false), options());
    let mover = first.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options).await });
    halted().await;
    let lone = super::built(
        tenantry::TenantManager::builder(two.main.url()).catalog(tenantry::TableCatalog::new()),
    );
    eventually_within(Duration::from_secs(10), "it is abandoned", async || {
        latest(&second).await.is_abandoned
    })
    .await;
    let found = second.doctor().only(["tenantsOfState"]).run().await?.to_string();
    assert!(found.contains("1 move of a tenant is abandoned"), "{found}");
    assert!(found.contains("acme: prepared") && found.contains("take it over with"), "{found}");
    let taken = lone.mover().take_over().await?;
    assert_eq!(taken.len(), 1);
    assert!(taken[0].result.is_err());
    let left = latest(&second).await;
    assert_eq!((left.attempt, left.is_abandoned), (1, true), "{left:?}");
    assert!(second.mover().take_over().await?[0].result.is_ok());
    drop(go_on);
    assert_eq!(moving.await?.unwrap_err().kind(), ErrorKind::Busy);
    for manager in [first, second, lone] {
        manager.close().await;
    }
    Ok(())
}
