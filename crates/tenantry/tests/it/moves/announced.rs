//! Moves are told as events and counted.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry::{ErrorKind, Event, TableCatalog, event::MoveStep};

use super::{Two, built, options};
use crate::support::{Heard, TestResult};

fn steps(heard: &Heard) -> Vec<MoveStep> {
    let step = |event| if let Event::Move(step) = event { Some(step) } else { None };
    heard.all().into_iter().filter_map(step).collect()
}

#[tokio::test]
async fn each_stage_of_a_move_is_told_and_its_end_is_counted() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let heard = Heard::default();
    let manager = built(two.builder().catalog(TableCatalog::new()).on_event(heard.hook()));
    let upkeep = || manager.metrics().upkeep;
    assert_eq!(upkeep().moves["moved"], 0, "it is there before the first");

    // A transaction that stays open keeps it from moving.
    let acme = manager.tenant("acme").await?;
    let mut open = acme.begin().await?;
    sqlx::query("update users set name = name").execute(&mut *open).await?;
    let (watching, most) = (manager.clone(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let watched = options().fence_tries(1).on_progress(move |_| {
        seen.fetch_max(watching.metrics().upkeep.moves_in_progress, Ordering::Relaxed);
    });
    let error = manager.mover().move_tenant("acme", "eu-1", watched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Move);
    assert_eq!(most.load(Ordering::Relaxed), 1);
    open.rollback().await?;
    let report = manager.mover().move_tenant("acme", "eu-1", options()).await?;

    let counted = upkeep();
    assert_eq!((counted.moves["moved"], counted.moves["undone"]), (1, 1));
    assert_eq!((counted.moves["unfinished"], counted.moves_in_progress), (0, 0));
    manager.close().await;
    let steps = steps(&heard);
    let stages: Vec<_> = steps.iter().map(|step| step.stage).collect();
    assert_eq!(
        stages,
        [
            &["planned", "prepared", "fencing", "undoing", "reopened", "undone"][..],
            &["planned", "prepared", "fencing", "fenced", "verified", "switched", "done"][..],
        ]
        .concat()
    );
    for step in &steps {
        assert_eq!((&*step.from, &*step.to, step.method), ("main", "eu-1", "under_fence"));
        let is_there = matches!(step.stage, "switched" | "done");
        assert_eq!(step.server.as_deref(), Some(if is_there { "eu-1" } else { "main" }));
        assert_eq!(step.error.is_some(), step.stage == "undoing", "{step:?}");
        assert_eq!(step.pause.is_some(), matches!(step.stage, "reopened" | "switched"), "{step:?}");
    }
    let why = steps[3].error.as_deref().unwrap_or_default();
    assert!(why.contains("transactions of the tenant that have written and are open"), "{why}");
    assert_eq!(steps[11].pause, report.pause);
    let mut line = Event::Move(steps[11].clone()).to_string();
    line.truncate(line.find(" pause=").expect("requests have waited"));
    assert_eq!(
        line,
        "tenant=acme server=eu-1 MOVE from=main to=eu-1 stage=switched method=under_fence"
    );
    let json = serde_json::to_value(Event::Move(steps[12].clone()))?;
    assert_eq!(
        json,
        serde_json::json!({
            "type": "move", "tenantId": "acme", "fromServer": "main", "toServer": "eu-1",
            "method": "under_fence", "stage": "done", "server": "eu-1",
        })
    );
    Ok(())
}
