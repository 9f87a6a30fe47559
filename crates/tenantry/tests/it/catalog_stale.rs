//! What is known is served while the catalog does not answer, and no change that was heard is missed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenantry::{
    CatalogFn, CatalogOptions, Error, ErrorKind, Event, MetricsOptions, TableCatalog,
    TenantManager, TenantRecord, TenantState,
};
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

use crate::support::{Heard, TestResult, World, counted, eventually, kill, name_of, run};

const MS: Duration = Duration::from_millis(1);
const STALE: &str = "tenantry_catalog_stale_total";
const LOCK: &str = "lock table tenants in access exclusive mode";

fn options(ttl: Duration, stale: Duration) -> CatalogOptions {
    let mut options = CatalogOptions::default();
    options.ttl = ttl;
    options.stale_if_error = stale;
    options.negative_ttl = ttl;
    options.timeout = 400 * MS;
    options
}

/// A database with a table of these tenants, and a connection beside the pool.
async fn world(tenants: &[&str]) -> (World, PgConnection) {
    let world = World::with_tenants(tenants).await;
    let manager = world.manager();
    TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
    manager.close().await;
    let mut admin = world.admin().await;
    for tenant in tenants {
        run(&mut admin, &format!("insert into tenants (id) values ('{tenant}')")).await;
    }
    (world, admin)
}

fn manager(world: &World, options: CatalogOptions) -> TenantManager {
    let builder = world.builder().catalog(TableCatalog::new()).max_connections(4);
    builder.catalog_options(options).build().expect("the configuration is sound")
}

async fn kind_of(manager: &TenantManager, tenant: &str) -> Option<ErrorKind> {
    manager.tenant(tenant).await.err().map(|error| error.kind())
}

/// Waits until somebody listens.
async fn is_listened(admin: &mut PgConnection) -> i32 {
    let mut listening: Option<i32> = None;
    eventually("somebody listens", async || {
        listening = sqlx::query_scalar(
            "select pid from pg_stat_activity \
             where datname = current_database() and query ilike 'listen%'",
        )
        .fetch_optional(&mut *admin)
        .await
        .expect("the server is running");
        listening.is_some()
    })
    .await;
    listening.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_is_served_while_the_catalog_hangs() -> TestResult {
    let (world, mut admin) = world(&["acme", "globex"]).await;
    let heard = Heard::default();
    let manager = world
        .builder()
        .catalog(TableCatalog::new())
        .catalog_options(options(50 * MS, Duration::from_secs(60)))
        .on_event(heard.hook())
        .build()?;
    let collector = manager.collector(MetricsOptions::default());
    let outages = |ended: bool| {
        let told = |event: &Event| matches!(event, Event::CatalogOutage(of) if of.ended == ended);
        heard.all().iter().filter(|event| told(event)).count()
    };
    for tenant in ["acme", "globex"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    let mut locked = admin.begin().await?;
    run(&mut *locked, LOCK).await;
    let began = Instant::now();
    let mut served = 0;
    while began.elapsed() < 2_500 * MS {
        for tenant in ["acme", "globex"] {
            assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
            served += 1;
        }
        sleep(5 * MS).await;
    }
    assert!(served > 100, "{served} requests were served: they wait for the catalog");
    assert_eq!(kind_of(&manager, "nobody").await, Some(ErrorKind::Catalog));
    let stale = counted(&collector, STALE);
    assert!(stale > 50.0, "{stale}");
    assert_eq!((outages(false), outages(true)), (1, 0), "an outage is told once");
    run(&mut *locked, "update tenants set state = 'suspended' where id = 'acme'").await;
    locked.commit().await?;
    eventually("it answers again", async || {
        assert!(manager.tenant("globex").await.is_ok());
        outages(true) == 1
    })
    .await;
    assert_eq!(kind_of(&manager, "acme").await, Some(ErrorKind::Suspended));
    manager.close().await;
    Ok(())
}

/// A handle asks about its tenant after a change only, and not because what is known is too old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_a_handle_do_not_wait_for_a_catalog_that_hangs() -> TestResult {
    let (world, mut admin) = world(&["acme"]).await;
    let manager = manager(&world, options(50 * MS, 100 * MS));
    let acme = manager.tenant("acme").await?;
    name_of(&acme).await?;
    let mut locked = admin.begin().await?;
    run(&mut *locked, LOCK).await;
    sleep(300 * MS).await;
    let (began, mut served) = (Instant::now(), 0);
    while began.elapsed() < 1_500 * MS {
        let tx = acme.begin().await?;
        tx.commit().await?;
        drop(acme.acquire().await?);
        served += 1;
    }
    assert!(served > 50, "{served} transactions were served: they wait for the catalog");
    locked.commit().await?;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_heard_of_or_made_here_wins_over_what_is_known() -> TestResult {
    let (world, mut admin) = world(&["acme", "globex", "initech"]).await;
    let manager = manager(&world, options(50 * MS, Duration::from_secs(60)));
    for tenant in ["acme", "globex", "initech"] {
        manager.tenant(tenant).await?;
    }
    is_listened(&mut admin).await;
    let mut locker = world.admin().await;
    let mut locked = locker.begin().await?;
    run(&mut *locked, LOCK).await;
    sleep(60 * MS).await;
    for tenant in ["acme", "globex", "initech"] {
        assert_eq!(kind_of(&manager, tenant).await, None, "{tenant} is served");
    }
    // What the trigger announces when a row is changed.
    run(&mut admin, "notify tenantry_catalog, 'acme'").await;
    eventually("the announcement is heard", async || {
        kind_of(&manager, "acme").await == Some(ErrorKind::Catalog)
    })
    .await;
    manager.invalidate("globex").await;
    assert_eq!(kind_of(&manager, "globex").await, Some(ErrorKind::Catalog));
    for _ in 0..3 {
        assert_eq!(kind_of(&manager, "acme").await, Some(ErrorKind::Catalog));
        assert_eq!(kind_of(&manager, "initech").await, None, "nothing was said about this one");
    }
    run(&mut admin, "notify tenantry_catalog").await;
    eventually("it is heard that all have changed", async || {
        kind_of(&manager, "initech").await == Some(ErrorKind::Catalog)
    })
    .await;
    locked.rollback().await?;
    for tenant in ["acme", "globex", "initech"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_was_suspended_here_is_not_served_from_memory() -> TestResult {
    let (world, mut admin) = world(&["acme"]).await;
    run(&mut admin, "alter table tenants disable trigger all").await;
    let manager = manager(&world, options(50 * MS, Duration::from_secs(60)));
    manager.tenant("acme").await?;
    manager.provisioner().suspend("acme").await?;
    let mut locked = admin.begin().await?;
    run(&mut *locked, LOCK).await;
    let refused = kind_of(&manager, "acme").await;
    assert_eq!(refused, Some(ErrorKind::Catalog), "the catalog has not said anything since");
    locked.rollback().await?;
    assert_eq!(kind_of(&manager, "acme").await, Some(ErrorKind::Suspended));
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_tenants_are_served_for_as_long_as_is_allowed_and_no_longer() -> TestResult {
    let (world, mut admin) = world(&["acme"]).await;
    for stale in [Duration::ZERO, 700 * MS] {
        let manager = manager(&world, options(50 * MS, stale));
        manager.tenant("acme").await?;
        let mut locked = admin.begin().await?;
        run(&mut *locked, LOCK).await;
        sleep(60 * MS).await;
        let first = kind_of(&manager, "acme").await;
        assert_eq!(first, stale.is_zero().then_some(ErrorKind::Catalog));
        eventually("it is over", async || {
            kind_of(&manager, "acme").await == Some(ErrorKind::Catalog)
        })
        .await;
        locked.rollback().await?;
        eventually("it is back", async || kind_of(&manager, "acme").await.is_none()).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_lost_puts_what_is_known_in_doubt() -> TestResult {
    let (world, mut admin) = world(&["acme", "globex"]).await;
    // Nothing ends by itself in this test.
    let manager = manager(&world, options(Duration::from_secs(600), Duration::from_secs(600)));
    let collector = manager.collector(MetricsOptions::default());
    for tenant in ["acme", "globex"] {
        manager.tenant(tenant).await?;
    }
    let mut listening = is_listened(&mut admin).await;
    for tenant in ["acme", "globex"] {
        manager.tenant(tenant).await?;
    }
    run(&mut admin, "alter table tenants disable trigger all").await;
    let mut locker = world.admin().await;
    let mut locked = locker.begin().await?;
    run(&mut *locked, LOCK).await;
    kill(&mut admin, listening).await;
    eventually("it is known that changes may have been missed", async || {
        assert_eq!(kind_of(&manager, "acme").await, None, "it is served meanwhile");
        counted(&collector, STALE) > 0.0
    })
    .await;
    run(&mut *locked, "update tenants set state = 'suspended' where id = 'acme'").await;
    locked.commit().await?;
    eventually("what was missed is seen", async || {
        kind_of(&manager, "acme").await == Some(ErrorKind::Suspended)
    })
    .await;
    assert_eq!(kind_of(&manager, "globex").await, None);
    let before = listening;
    eventually("another one listens", async || {
        listening = is_listened(&mut admin).await;
        listening != before
    })
    .await;
    manager.close().await;
    Ok(())
}

/// A catalog that says what it is told to.
#[derive(Debug, Clone, Default)]
struct Told(Arc<AtomicU8>);

const ACTIVE: u8 = 0;
const FAILS: u8 = 1;
const SUSPENDED: u8 = 2;
const GONE: u8 = 3;
const HANGS: u8 = 4;
const NOWHERE: u8 = 5;

impl Told {
    fn to(&self, say: u8) {
        self.0.store(say, Ordering::Relaxed);
    }

    fn catalog(&self) -> CatalogFn {
        let said = Arc::clone(&self.0);
        CatalogFn::new(move |id| {
            let said = said.load(Ordering::Relaxed);
            async move {
                match said {
                    ACTIVE => Ok(Some(TenantRecord::new(id))),
                    FAILS => Err(Error::catalog("it is away")),
                    SUSPENDED => Ok(Some(TenantRecord::new(id).state(TenantState::Suspended))),
                    GONE => Ok(None),
                    NOWHERE => {
                        let public = "public".parse().map_err(Error::catalog)?;
                        Ok(Some(TenantRecord::new(id).container(public)))
                    }
                    _ => std::future::pending().await,
                }
            }
        })
    }
}

#[tokio::test]
async fn an_answer_wins_at_once_and_refusals_are_never_stale() -> TestResult {
    let world = World::new().await;
    let told = Told::default();
    let builder = world.builder().catalog(told.catalog());
    let manager = builder.catalog_options(options(MS, Duration::from_secs(60))).build()?;
    for (answer, kind) in [
        (SUSPENDED, ErrorKind::Suspended),
        (GONE, ErrorKind::UnknownTenant),
        (NOWHERE, ErrorKind::Placement),
    ] {
        for outage in [FAILS, HANGS] {
            told.to(ACTIVE);
            eventually("it is known", async || kind_of(&manager, "acme").await.is_none()).await;
            told.to(outage);
            for _ in 0..3 {
                sleep(2 * MS).await;
                assert_eq!(kind_of(&manager, "acme").await, None, "{answer} {outage}");
            }
            told.to(answer);
            eventually("the catalog is heard", async || {
                kind_of(&manager, "acme").await == Some(kind)
            })
            .await;
            told.to(FAILS);
            sleep(2 * MS).await;
            assert_eq!(kind_of(&manager, "acme").await, Some(ErrorKind::Catalog), "{kind:?}");
        }
    }
    manager.close().await;
    Ok(())
}

#[test]
fn tenants_are_renewed_though_the_first_runtime_has_ended() -> TestResult {
    let runtime = || Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (first, second) = (runtime()?, runtime()?);
    let told = Told::default();
    let manager = first.block_on(async {
        let builder = TenantManager::builder("postgres://nobody@localhost/none");
        let builder = builder.catalog(told.catalog());
        builder.catalog_options(options(MS, Duration::from_secs(60))).build()
    })?;
    first.block_on(manager.tenant("acme"))?;
    drop(first);
    second.block_on(async {
        for outage in [FAILS, HANGS] {
            told.to(outage);
            for _ in 0..3 {
                sleep(2 * MS).await;
                timeout(Duration::from_secs(5), manager.tenant("acme")).await??;
            }
            told.to(SUSPENDED);
            eventually("the catalog is heard", async || {
                kind_of(&manager, "acme").await == Some(ErrorKind::Suspended)
            })
            .await;
            told.to(ACTIVE);
            eventually("it is known", async || kind_of(&manager, "acme").await.is_none()).await;
        }
        timeout(Duration::from_secs(5), manager.close_within(Duration::from_secs(1))).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    })
}
