//! A step fails: the move is undone, and the tenant is served where it was.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tenantry::{
    ErrorKind,
    moves::{MoveOptions, MoveStage},
};
use tokio::sync::mpsc::unbounded_channel;

use super::{Two, is_undone, latest, load::Writers, options, value};
use crate::support::{TestResult, eventually_within, name_of, run};

/// Halts the move when it has entered a stage, or has done its work, until it is told to go on.
pub(super) fn halting_at(
    (stage, is_worked_off): (MoveStage, bool),
    options: MoveOptions,
) -> (MoveOptions, impl AsyncFnMut(), mpsc::Sender<()>) {
    let (tell, mut told) = unbounded_channel();
    let (go_on, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let options = options.on_progress(move |progress| {
        let is_there = progress.stage == stage && progress.is_worked_off == is_worked_off;
        if is_there && progress.copy.is_none() {
            tell.send(()).ok();
            // The other tasks of the runtime go on.
            tokio::task::block_in_place(|| wait.lock().expect("it is not poisoned").recv().ok());
        }
    });
    (options, async move || told.recv().await.expect("the stage is entered"), go_on)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_target_that_dies_before_the_switch_leaves_the_tenant_where_it_was() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let (options, mut halted, go_on) = halting_at((MoveStage::Fenced, false), options());
    let writers = Writers::start(&[two.stale()], "acme", 2, false);
    let mover = manager.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options).await });
    halted().await;
    two.eu.stop_now().await?;
    go_on.send(())?;
    let error = moving.await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert!(error.to_string().contains("it is served where it was"), "{error:?}");
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let last = latest(&manager).await;
    assert_eq!(last.stage, MoveStage::Reopened, "the target is not cleaned up yet");
    assert_eq!(value(&mut two.at_main().await, "select state from tenants").await, "active");
    two.eu.start_again().await?;
    eventually_within(Duration::from_secs(20), "it is tidied up", async || {
        drop(manager.mover().take_over().await);
        latest(&manager).await.stage == MoveStage::Undone
    })
    .await;
    is_undone(&two, &manager, "acme").await;
    let written = writers.stop().await;
    let found =
        value(&mut two.at_main().await, "select count(*) from tenant_acme.users where id >= 1000")
            .await;
    assert_eq!(found, written.acknowledged.to_string());
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_source_that_dies_while_it_is_fenced_gets_its_tenant_back() -> TestResult {
    let (main, control) = (Two::with(&["other"]).await, Two::with(&["acme"]).await);
    // The catalog stays there when the source dies: the tenant moves from the further server to the main one.
    drop(main);
    let two = control;
    let manager = two.manager();
    manager.mover().move_tenant("acme", "eu-1", options()).await?;
    crate::support::free_names(&mut two.at_main().await).await;
    let (options, mut halted, go_on) = halting_at((MoveStage::Fenced, false), options());
    let mover = manager.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "main", options).await });
    halted().await;
    two.eu.stop_now().await?;
    go_on.send(())?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!moving.is_finished(), "it waits for the source");
    two.eu.start_again().await?;
    let error = moving.await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    assert_eq!(latest(&manager).await.stage, MoveStage::Undone);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let recorded = "select concat_ws(' ', state, server, epoch) from tenants";
    assert_eq!(value(&mut two.at_main().await, recorded).await, "active eu-1 2");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_planted_difference_is_found_and_the_move_undone() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let mut eu = two.at_eu().await;
    // A column with the name by which a comparison could call the row.
    run(&mut two.at_main().await, "alter table tenant_acme.users add column t text default ''")
        .await;
    // It changes a row of the copy once the key has been created, which is after the rows.
    run(
        &mut eu,
        "create function public.plant() returns event_trigger language plpgsql as $$ begin \
           if exists (select from pg_event_trigger_ddl_commands() where object_identity like '%tenant_acme.users%') \
             and exists (select from tenant_acme.users) then \
             update tenant_acme.users set name = 'planted' where id = 1 and name <> 'planted'; end if; end $$; \
         create event trigger plant on ddl_command_end when tag in ('ALTER TABLE') execute function public.plant()",
    )
    .await;
    let manager = two.manager();
    let error = manager.mover().move_tenant("acme", "eu-1", options()).await.unwrap_err();
    let told = format!("{error:?}");
    assert!(told.contains("the table users has 1 rows, and other values"), "{told}");
    is_undone(&two, &manager, "acme").await;
    assert!(
        latest(&manager).await.trouble.is_some_and(|why| why.contains("differs from its source"))
    );
    run(&mut eu, "drop event trigger plant").await;
    manager.mover().move_tenant("acme", "eu-1", options()).await?;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_move_is_cancelled_by_another_process_and_by_dropping_it() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let (halting, mut halted, go_on) = halting_at((MoveStage::Fenced, false), options());
    let mover = manager.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", halting).await });
    halted().await;
    let other = two.stale();
    moving.abort();
    assert!(moving.await.unwrap_err().is_cancelled());
    go_on.send(())?;
    eventually_within(Duration::from_secs(20), "it is undone", async || {
        latest(&manager).await.stage.is_over()
    })
    .await;
    is_undone(&two, &manager, "acme").await;

    // It keeps trying, because a transaction is open.
    let mut open = manager.tenant("acme").await?.begin().await?;
    sqlx::query("update users set name = name").execute(&mut *open).await?;
    let mover = manager.mover();
    let tries = options().fence_tries(1_000);
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", tries).await });
    eventually_within(Duration::from_secs(20), "it can be cancelled", async || {
        other.mover().cancel("acme").await.is_ok()
    })
    .await;
    let error = moving.await?.unwrap_err();
    assert!(format!("{error:?}").contains("cancelled"), "{error:?}");
    open.rollback().await?;
    is_undone(&two, &manager, "acme").await;
    for manager in [manager, other] {
        manager.close().await;
    }
    Ok(())
}

/// A process that is told to stop does not leave its tenant waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn closing_the_manager_undoes_its_move() -> TestResult {
    let two = Two::with(&["acme"]).await;
    for stage in [MoveStage::Prepared, MoveStage::Fenced] {
        let manager = two.manager();
        let (halting, mut halted, go_on) = halting_at((stage, false), options());
        let mover = manager.mover();
        let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", halting).await });
        halted().await;
        let closing = tokio::spawn(async move { manager.close().await });
        go_on.send(())?;
        closing.await?;
        let error = moving.await?.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Move, "{stage}: {error:?}");
        is_undone(&two, &two.manager(), "acme").await;
    }
    Ok(())
}

/// Moves whose steps were recorded, in order.
#[tokio::test]
async fn a_panic_of_the_callback_does_no_harm_and_stages_come_in_order() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let stages = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&stages);
    let options = options().on_progress(move |progress| {
        let mut stages = seen.lock().expect("it is not poisoned");
        if stages.last() != Some(&progress.stage) {
            stages.push(progress.stage);
        }
        drop(stages);
        panic!("of the test");
    });
    manager.mover().move_tenant("acme", "eu-1", options).await?;
    let stages = stages.lock().expect("it is not poisoned").clone();
    use MoveStage::*;
    assert_eq!(stages, [Planned, Prepared, Fencing, Fenced, Verified, Switched, Done]);
    manager.close().await;
    Ok(())
}

/// A catalog that refuses the end of a move is asked again, and nothing else is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_catalog_that_refuses_the_end_of_a_move_is_asked_again() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let (options, mut halted, go_on) = halting_at((MoveStage::Prepared, false), options());
    let mover = manager.mover();
    let moving = tokio::spawn(async move { mover.move_tenant("acme", "eu-1", options).await });
    halted().await;
    // One trigger keeps the state as it is, and another one notes each stage that is recorded.
    let refuse = "create function public.refuse() returns trigger language plpgsql as $$ begin \
                    if new.state = 'active' then return null; end if; return new; end $$; \
                  create trigger refuse before update on tenants for each row execute function public.refuse(); \
                  create table public.recorded (stage text); \
                  create function public.note() returns trigger language plpgsql as $$ begin \
                    insert into public.recorded values (new.stage); return null; end $$; \
                  create trigger note after update of stage on tenantry_moves for each row execute function public.note()";
    let mut main = two.at_main().await;
    run(&mut main, refuse).await;
    manager.mover().cancel("acme").await?;
    drop(go_on);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let recorded = "select string_agg(stage, ' ') from public.recorded";
    assert_eq!(value(&mut main, recorded).await, "undoing");
    run(&mut main, "drop trigger refuse on tenants").await;
    let error = moving.await?.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move, "{error:?}");
    is_undone(&two, &manager, "acme").await;
    manager.close().await;
    Ok(())
}
