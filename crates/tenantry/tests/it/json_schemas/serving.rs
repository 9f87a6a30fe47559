//! What a manager that serves requests says of itself.

use tenantry::{
    HealthOf, HealthOptions, TenantDb, TenantId, Unreachable, WarmUp, each::EachOptions,
};

use super::judge::check;
use crate::support::{Heard, TestResult, World, eventually, run};

#[tokio::test]
async fn health_metrics_warm_up_and_events() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech", "umbrella"]).await;
    let heard = Heard::default();
    let manager = world.builder().max_connections(3).on_event(heard.hook()).build()?;
    check(&manager.metrics());
    let report = manager.warm_up(["acme", "acme", "globex", "nobody"], WarmUp::default()).await;
    assert_eq!((report.total, report.succeeded, report.failed), (3, 2, 1), "{report:?}");
    check(&report);
    let report =
        manager.warm_up(["acme", "globex", "initech", "umbrella"], WarmUp::default()).await;
    assert_eq!((report.already_warm, report.over_budget), (2, 1), "{report:?}");
    check(&report);

    let (acme, initech) = (manager.tenant("acme").await?, manager.tenant("initech").await?);
    let held = (acme.begin().await?, acme.begin().await?, manager.shared().begin().await?);
    let waiting = tokio::spawn(async move { initech.acquire().await.map(drop) });
    eventually("it waits", async || manager.snapshot().waiting == 1).await;
    let nobody = TenantId::parse("nobody")?;
    let these = HealthOf::These(vec![acme.tenant().id().clone(), nobody]);
    let report = manager.health(HealthOptions::default().tenants(these).ping(false)).await;
    assert_eq!(report.pools.len(), 2, "{report:?}");
    assert!(report.saturation.is_some() && report.reason.is_some(), "{report:?}");
    check(&report);
    check(&report.without_tenants());
    drop(held);
    waiting.await??;

    let report = manager.health(HealthOptions::default()).await;
    assert!(report.shared_db.as_ref().is_some_and(|shared| shared.response_time.is_some()));
    check(&report);
    let metrics = manager.metrics();
    assert!(metrics.pools.total > 1 && metrics.shared.initialized, "{metrics:?}");
    check(&metrics);
    manager.evict(acme.tenant().id());
    let snapshot = manager.snapshot();
    assert!(!snapshot.tenants.is_empty() && snapshot.shared.is_some(), "{snapshot:?}");
    check(&snapshot);
    manager.close().await;
    assert!(heard.all().len() > 5, "{:?}", heard.all());
    for event in heard.all() {
        check(&event);
    }
    Ok(())
}

#[tokio::test]
async fn work_over_tenants() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let work = async |db: TenantDb| match db.tenant().id().as_str() {
        "acme" => sqlx::query_scalar::<_, i64>("select count(*) from users").fetch_one(&db).await,
        _ => sqlx::query_scalar("select 1/0").fetch_one(&db).await,
    };
    let options = EachOptions::default().only(["acme", "globex", "nobody"]);
    let report = manager.for_each_tenant(options, work).await?;
    assert_eq!((report.done, report.failed), (1, 2), "{report}");
    check(&report);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn extensions_that_tenants_cannot_reach() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    // The one extension that is always there stands for others.
    let moved = "create schema elsewhere; update pg_extension set extnamespace = \
                 'elsewhere'::regnamespace where extname = 'plpgsql'";
    run(&mut world.admin().await, moved).await;
    let found = world.manager().unreachable_extensions().await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reason, Unreachable::NotInSearchPath);
    check(&found);
    check(&Unreachable::NoUsage { roles: vec!["app".to_owned()] });
    Ok(())
}

#[tokio::test]
async fn ways_around_policies() -> TestResult {
    let world = World::new().await;
    run(&mut world.admin().await, "create table public.notes (tenant_id text, id int)").await;
    let report = world.manager().verify_rows().await?;
    assert!(report.findings.iter().any(|found| !found.finding.sql.is_empty()), "{report}");
    check(&report);
    Ok(())
}
