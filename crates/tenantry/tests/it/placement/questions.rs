//! A table that simply does not exist costs one question to the catalog a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tenantry::TenantRecord;
use tokio::task::JoinSet;

use crate::{
    catalog_cache::counting,
    support::{TestResult, World, code_of, name_of},
};

fn record(id: tenantry::TenantId) -> TenantRecord {
    let mut record = TenantRecord::new(id);
    record.created_at = Some(SystemTime::UNIX_EPOCH);
    record
}

#[tokio::test]
async fn a_storm_of_missing_tables_asks_once_a_second_for_each_tenant() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let (catalog, asked) = counting(|id| async { Ok(Some(record(id))) });
    let manager = world.builder().catalog(catalog).max_connections(8).build()?;
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for task in 0..12 {
        let db = manager.tenant(["acme", "globex"][task % 2]).await?;
        tasks.spawn(async move {
            let mut failures = 0;
            while began.elapsed() < Duration::from_millis(2_300) {
                let missing = sqlx::query("select * from no_such_table").execute(&db).await;
                assert_eq!(code_of(&missing.unwrap_err()), "error 42P01");
                failures += 1;
            }
            failures
        });
    }
    let mut failures = 0;
    while let Some(task) = tasks.join_next().await {
        failures += task?;
    }
    let asked = asked.load(Ordering::Relaxed);
    // The first look-up of each, and questions in the seconds 0, 1 and 2.
    assert!((4..=2 * 4).contains(&asked), "{asked} questions for {failures} failures");
    assert!(failures > 200, "{failures}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_is_away_leaves_the_error_and_the_tenant_as_they_are() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let (catalog, _) = counting(move |id| {
        let away = is_away.load(Ordering::Relaxed);
        async move {
            match away {
                true => Err(tenantry::Error::catalog("it is away")),
                false => Ok(Some(record(id))),
            }
        }
    });
    let manager = world.builder().catalog(catalog).build()?;
    let acme = manager.tenant("acme").await?;
    away.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let missing = sqlx::query("select * from no_such_table").execute(&acme).await;
        assert_eq!(code_of(&missing.unwrap_err()), "error 42P01");
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme", "it is cached");
    }
    manager.close().await;
    Ok(())
}
