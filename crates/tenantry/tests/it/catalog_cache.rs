//! What the catalog has said is remembered for as long as it holds, and no longer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenantry::{
    Catalog, CatalogFn, CatalogOptions, Error, ErrorKind, HealthOptions, TenantId, TenantRecord,
    catalog::{Answer, Ask},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::support::{TestResult, World, eventually, name_of, run};

/// A catalog that counts how often it is asked.
pub(crate) fn counting<R>(
    answer: impl Fn(TenantId) -> R + Send + Sync + 'static,
) -> (CatalogFn, Arc<AtomicUsize>)
where
    R: Future<Output = Result<Option<TenantRecord>, tenantry::Error>> + Send + 'static,
{
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let catalog = CatalogFn::new(move |id| {
        count.fetch_add(1, Ordering::Relaxed);
        answer(id)
    });
    (catalog, asked)
}

fn short(negative_ttl: Duration) -> CatalogOptions {
    let mut options = CatalogOptions::default();
    options.negative_ttl = negative_ttl;
    options
}

#[tokio::test]
async fn an_unknown_tenant_is_remembered_for_a_short_while() -> TestResult {
    let world = World::new().await;
    let (catalog, asked) = counting(|_| async { Ok(None) });
    let manager = world
        .builder()
        .catalog(catalog)
        .catalog_options(short(Duration::from_millis(300)))
        .build()?;
    for _ in 0..5 {
        let error = manager.tenant("nobody").await.expect_err("it is unknown");
        assert_eq!(error.kind(), ErrorKind::UnknownTenant);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    eventually("the catalog is asked again", async || {
        drop(manager.tenant("nobody").await);
        asked.load(Ordering::Relaxed) == 2
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_failure_of_the_catalog_is_not_remembered() -> TestResult {
    let world = World::new().await;
    let (catalog, asked) = counting(|_| async { Err(tenantry::Error::catalog("no answer")) });
    let manager = world.builder().catalog(catalog).build()?;
    for calls in 1..4 {
        let error = manager.tenant("acme").await.expect_err("the catalog fails");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Catalog, true));
        assert_eq!(asked.load(Ordering::Relaxed), 3 * calls, "each call tries three times");
    }
    Ok(())
}

#[tokio::test]
async fn many_who_ask_for_one_tenant_ask_the_catalog_once() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let gate = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&gate);
    let (catalog, asked) = counting(move |id| {
        let wait = Arc::clone(&wait);
        async move {
            let _open = wait.acquire().await;
            Ok(Some(TenantRecord::new(id)))
        }
    });
    let manager = world.builder().catalog(catalog).build()?;
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let manager = manager.clone();
        tasks.spawn(async move { manager.tenant("acme").await.is_ok() });
    }
    eventually("somebody asks", async || asked.load(Ordering::Relaxed) > 0).await;
    gate.add_permits(1);
    assert!(tasks.join_all().await.into_iter().all(|ok| ok));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    manager.tenant("acme").await?;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    manager.invalidate("acme").await;
    manager.tenant("acme").await?;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    Ok(())
}

#[tokio::test]
async fn whoever_takes_over_an_abandoned_look_up_gets_the_answer() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let gate = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&gate);
    let (catalog, asked) = counting(move |id| {
        let wait = Arc::clone(&wait);
        async move {
            let _open = wait.acquire().await;
            Ok(Some(TenantRecord::new(id)))
        }
    });
    let manager = world.builder().catalog(catalog).build()?;
    let look_up = |manager: tenantry::TenantManager| async move { manager.tenant("acme").await };
    let first = tokio::spawn(look_up(manager.clone()));
    eventually("the first asks", async || asked.load(Ordering::Relaxed) == 1).await;
    let second = tokio::spawn(look_up(manager.clone()));
    first.abort();
    gate.add_permits(9);
    second.await??;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_was_outdated_while_it_came_is_not_remembered() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let gate = Arc::new(Semaphore::new(0));
    let wait = Arc::clone(&gate);
    let (catalog, asked) = counting(move |id| {
        let wait = Arc::clone(&wait);
        async move {
            let _open = wait.acquire().await;
            Ok(Some(TenantRecord::new(id)))
        }
    });
    let manager = world.builder().catalog(catalog).build()?;
    let look_up = tokio::spawn({
        let manager = manager.clone();
        async move { manager.tenant("acme").await.map(drop) }
    });
    eventually("the catalog has read its row", async || asked.load(Ordering::Relaxed) == 1).await;
    manager.invalidate("acme").await;
    gate.add_permits(9);
    look_up.await??;
    manager.tenant("acme").await?;
    assert_eq!(asked.load(Ordering::Relaxed), 2, "the outdated answer was kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_ends_though_other_tenants_change_all_the_time() -> TestResult {
    let world = World::new().await;
    let (catalog, asked) = counting(|id| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Some(TenantRecord::new(id)))
    });
    let manager = world.builder().catalog(catalog).build()?;
    let changed = Arc::new(AtomicUsize::new(0));
    let changes = tokio::spawn({
        let (manager, changed) = (manager.clone(), Arc::clone(&changed));
        async move {
            let other = TenantId::parse("other").expect("an id");
            loop {
                manager.invalidate(&other).await;
                changed.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    eventually("others change", async || changed.load(Ordering::Relaxed) > 9).await;
    let found = tokio::time::timeout(Duration::from_secs(3), manager.tenant("acme")).await;
    changes.abort();
    assert!(found.is_ok(), "asked {} times in vain", asked.load(Ordering::Relaxed));
    manager.tenant("acme").await?;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "changes of others are no matter of this one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_ends_though_its_tenant_changes_all_the_time() -> TestResult {
    let world = World::new().await;
    let (catalog, asked) = counting(|id| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Some(TenantRecord::new(id)))
    });
    let manager = world.builder().catalog(catalog).build()?;
    let changes = tokio::spawn({
        let manager = manager.clone();
        async move {
            let acme = TenantId::parse("acme").expect("an id");
            loop {
                manager.invalidate(&acme).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    for calls in 1..3 {
        tokio::time::timeout(Duration::from_secs(5), manager.tenant("acme")).await??;
        let all = asked.load(Ordering::Relaxed);
        assert!(all > calls, "an answer that may be outdated was kept");
        assert!(all <= 3 * calls, "asked {all} times for {calls} calls");
    }
    changes.abort();
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_panics_takes_down_the_one_who_asked_and_no_other() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let first = Arc::new(AtomicUsize::new(0));
    let (catalog, asked) = counting(move |id| {
        let turn = first.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            assert!(turn > 0, "on purpose");
            Ok(Some(TenantRecord::new(id)))
        }
    });
    let manager = world.builder().catalog(catalog).build()?;
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let manager = manager.clone();
        tasks.spawn(async move { manager.tenant("acme").await.is_ok() });
    }
    let patience = Duration::from_secs(5);
    let mut served = 0;
    while let Some(task) = tokio::time::timeout(patience, tasks.join_next()).await? {
        served += usize::from(task.unwrap_or_default());
    }
    assert_eq!((served, asked.load(Ordering::Relaxed)), (9, 2));
    Ok(())
}

/// A catalog of an application's own, whose SQL leaves it to the search path where its table is.
#[derive(Debug)]
struct Customers;

impl Catalog for Customers {
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        Box::pin(async move {
            let known = sqlx::query("select from customers where name = $1").bind(id.as_str());
            let known = known.fetch_optional(ask.shared).await.map_err(Error::catalog)?;
            Ok(known.map(|_| TenantRecord::new(id.clone())))
        })
    }

    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(async move {
            let names = sqlx::query_scalar("select name from customers order by upper(name)");
            let names: Vec<String> = names.fetch_all(ask.shared).await.map_err(Error::catalog)?;
            let ids = names.iter().map(|name| TenantId::parse(name).map_err(Error::catalog));
            ids.map(|id| Ok(TenantRecord::new(id?))).collect()
        })
    }
}

#[tokio::test]
async fn a_catalog_of_the_applications_own_is_asked_in_the_shared_schema() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create schema ours; create table ours.customers (name text); \
         insert into ours.customers values ('acme'), ('globex')",
    )
    .await;
    for connections in [1, 10] {
        let builder = world.builder().catalog(Customers).shared_schema("ours");
        let builder = builder.max_connections(connections);
        let manager = builder.max_connections_per_tenant(connections).build()?;
        assert_eq!(manager.tenants().await?.len(), 2);
        let acme = manager.tenant("acme").await?;
        assert_eq!(name_of(&acme).await?, "acme");
        assert!(manager.health(HealthOptions::default()).await.healthy);
        assert_eq!(manager.tenant("nobody").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
        if connections > 1 {
            // A tenant that has all that tenants may have does not keep the catalog from being read.
            let mut held = Vec::new();
            for _ in 1..connections {
                held.push(acme.acquire().await?);
            }
            manager.tenant("globex").await?;
        }
        manager.close().await;
    }
    Ok(())
}
