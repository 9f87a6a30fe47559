//! Warming up binds connections, as far as the budget goes, and tells the truth about each tenant.

use std::sync::{Arc, Mutex};

use tenantry::{ErrorKind, WarmUp, WarmUpReport, WarmUpStatus};

use crate::support::{
    Heard, TestResult, World, at_rest, eventually, name_of, pool_options, sessions,
};

/// Counts of a report: total, succeeded, failed, already warm, over budget.
fn counts(report: &WarmUpReport) -> [usize; 5] {
    assert_eq!(report.details.len(), report.total, "every tenant is in it");
    [report.total, report.succeeded, report.failed, report.already_warm, report.over_budget]
}

fn status_of(report: &WarmUpReport) -> Vec<&str> {
    report.details.iter().map(|detail| detail.status.as_str()).collect()
}

#[tokio::test]
async fn warmed_tenants_need_no_round_trip_for_their_first_request() -> TestResult {
    let ids = ["acme", "globex", "initech"];
    let world = World::with_tenants(&ids).await;
    for ping in [true, false] {
        let manager = world.manager();
        let report = manager.warm_up(ids, WarmUp::default().ping(ping)).await;
        assert_eq!(counts(&report), [3, 3, 0, 0, 0]);
        at_rest(&manager).await;
        let before = manager.snapshot().acquires;
        for id in ids {
            assert_eq!(name_of(&manager.tenant(id).await?).await?, id);
        }
        let after = manager.snapshot().acquires;
        assert_eq!((after.hit - before.hit, after.rebind - before.rebind), (3, 0));
        let again = manager.warm_up(ids, WarmUp::default().ping(ping)).await;
        assert_eq!(counts(&again), [3, 0, 0, 3, 0]);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn failures_are_told_and_stop_nothing() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let options = WarmUp::default().concurrency(1).on_progress({
        let told = Arc::clone(&told);
        move |id, status| {
            told.lock().unwrap().push(format!("{id}: {}", status.as_str()));
            assert_ne!(id, "acme", "a panic that changes nothing");
        }
    });
    let named = ["acme", "nobody", "a\"b\nc", "globex", "acme", ""];
    let report = manager.warm_up(named, options).await;
    assert_eq!(status_of(&report), ["warmed", "failed", "failed", "warmed", "failed"]);
    assert_eq!(counts(&report), [5, 2, 3, 0, 0]);
    let kinds: Vec<_> = report
        .details
        .iter()
        .filter_map(|detail| match &detail.status {
            WarmUpStatus::Failed { error } => Some(error.kind()),
            _ => None,
        })
        .collect();
    let invalid = ErrorKind::InvalidTenantId;
    assert_eq!(kinds, [ErrorKind::UnknownTenant, invalid, invalid]);
    assert_eq!(told.lock().unwrap().len(), 5);
    let json = serde_json::to_value(&report)?;
    assert_eq!(json["alreadyWarm"], 0);
    assert_eq!(json["details"][1]["tenantId"], "nobody");
    assert_eq!(json["details"][1]["status"], "failed");
    assert!(json["durationMs"].is_number());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn more_tenants_than_the_budget_holds_are_not_warmed_in_vain() -> TestResult {
    let ids: Vec<_> = (0..12).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    let heard = Heard::default();
    let manager = world
        .builder()
        .pool_options(pool_options(|options| {
            options.max_connections = 5;
            options.reserved_connections = Some(1);
        }))
        .on_event(heard.hook())
        .build()?;
    let report = manager.warm_up(&ids, WarmUp::default().concurrency(3)).await;
    assert_eq!(counts(&report), [12, 4, 0, 0, 8]);
    at_rest(&manager).await;
    for detail in &report.details {
        let id = &*detail.tenant_id;
        let warm = matches!(detail.status, WarmUpStatus::Warmed);
        let pool = manager.snapshot();
        let bound = pool.tenants.iter().any(|of| of.tenant.as_str() == id && of.total > 0);
        assert_eq!(warm, bound, "{id}: {:?} in {pool:?}", detail.status);
    }
    // The report is about these twelve; those of the next are others, and take their places.
    let all = manager.warm_up_all(3, WarmUp::default()).await?;
    assert_eq!(all.total, 3);
    manager.close().await;
    let warmed = heard.all();
    let warmed = warmed.iter().filter(|event| matches!(event, tenantry::Event::WarmUp(_)));
    assert_eq!(warmed.count(), 12 + 3);
    Ok(())
}

#[tokio::test]
async fn closing_in_the_middle_leaves_no_session() -> TestResult {
    let ids: Vec<_> = (0..10).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    let manager = world.manager();
    let warming = tokio::spawn({
        let (manager, ids) = (manager.clone(), ids.clone());
        async move { manager.warm_up(ids, WarmUp::default().concurrency(2)).await }
    });
    eventually("it has begun", async || manager.snapshot().total > 0).await;
    manager.close().await;
    let report = warming.await?;
    assert_eq!(report.total, 10);
    assert_eq!(report.succeeded + report.failed + report.over_budget, 10);
    let mut admin = world.admin().await;
    eventually("all sessions end", async || sessions(&mut admin).await == 0).await;
    let late = manager.warm_up(["t0"], WarmUp::default()).await;
    assert_eq!(counts(&late), [1, 0, 1, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn none_at_a_time_counts_as_one() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let report = manager.warm_up(["acme"], WarmUp::default().concurrency(0)).await;
    assert_eq!(counts(&report), [1, 1, 0, 0, 0]);
    let nothing = manager.warm_up::<[&str; 0]>([], WarmUp::default()).await;
    assert_eq!(counts(&nothing), [0; 5]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_small_budget_and_a_catalog_in_the_database_do_not_wait_for_each_other() -> TestResult {
    let ids: Vec<_> = (0..8).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    for concurrency in [1, 10] {
        let manager = world.with_pool(|options| options.max_connections = 5);
        let report = manager.warm_up(&ids, WarmUp::default().concurrency(concurrency)).await;
        let expected: Vec<_> =
            (0..8).map(|nth| if nth < 5 { "warmed" } else { "over_budget" }).collect();
        assert_eq!(status_of(&report), expected, "the first ones come first");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn two_warm_ups_at_once_do_not_wait_for_each_other() -> TestResult {
    let ids: Vec<_> = (0..8).map(|nth| format!("t{nth}")).collect();
    let names: Vec<_> = ids.iter().map(String::as_str).collect();
    let world = World::with_tenants(&names).await;
    let manager = world.with_pool(|options| options.max_connections = 5);
    let (one, two) = tokio::join!(
        manager.warm_up(&ids[..4], WarmUp::default()),
        manager.warm_up(&ids[4..], WarmUp::default()),
    );
    assert_eq!((counts(&one), counts(&two)), ([4, 4, 0, 0, 0], [4, 4, 0, 0, 0]));
    manager.close().await;
    Ok(())
}
