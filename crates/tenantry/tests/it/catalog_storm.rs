//! What is unknown never keeps what is known waiting, however many ids clients make up.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection};
use tenantry::{
    Catalog, CatalogOptions, Error, ErrorKind, MetricsOptions, TableCatalog, TenantId,
    TenantManager, TenantRecord,
    catalog::{Answer, Ask},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{TestResult, World, at_rest, counted, eventually, name_of, pool_options, run};

const MISSES: &str = "tenantry_catalog_misses_total";

/// A catalog in the database that is 10 ms away, and knows two tenants.
#[derive(Debug)]
struct Far;

impl Catalog for Far {
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        Box::pin(async move {
            let far = sqlx::query("select pg_sleep(0.01)").execute(ask.shared).await;
            far.map_err(Error::catalog)?;
            let known = ["acme", "globex"].contains(&id.as_str());
            Ok(known.then(|| TenantRecord::new(id.clone())))
        })
    }

    fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Looks ids up that nobody has heard of, one after the other, until it is stopped.
async fn guess(manager: TenantManager, client: usize, stop: Arc<AtomicBool>) {
    let mut guess = 0;
    while !stop.load(Ordering::Relaxed) {
        guess += 1;
        drop(manager.tenant(format!("guess-{client}-{guess}").as_str()).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_tenants_are_served_while_clients_guess_ids() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut options = CatalogOptions::default();
    options.ttl = Duration::from_millis(200);
    options.stale_if_error = Duration::ZERO;
    let pool = pool_options(|options| {
        options.max_connections = 4;
        options.acquire_timeout = Duration::from_secs(2);
    });
    let builder = world.builder().catalog(Far).catalog_options(options).pool_options(pool);
    let manager = builder.build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut guessing = JoinSet::new();
    for client in 0..32 {
        guessing.spawn(guess(manager.clone(), client, Arc::clone(&stop)));
    }
    let mut known = JoinSet::new();
    for tenant in ["acme", "globex"].repeat(4) {
        let manager = manager.clone();
        known.spawn(async move {
            let until = Instant::now() + Duration::from_secs(3);
            let mut served = 0;
            while Instant::now() < until {
                let db = manager.tenant(tenant).await?;
                assert_eq!(name_of(&db).await?, tenant);
                served += 1;
            }
            Ok::<_, Error>(served)
        });
    }
    let mut all = 0;
    for served in known.join_all().await {
        all += served?;
    }
    assert!(all > 100, "{all} requests were served");
    stop.store(true, Ordering::Relaxed);
    guessing.join_all().await;
    manager.close().await;
    Ok(())
}

/// A table of tenants that can be kept from being read.
struct Table {
    world: World,
    admin: PgConnection,
}

impl Table {
    async fn of(tenants: &[&str]) -> Self {
        let world = World::with_tenants(tenants).await;
        let manager = world.manager();
        TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
        manager.close().await;
        let mut admin = world.admin().await;
        for tenant in tenants {
            run(&mut admin, &format!("insert into tenants (id) values ('{tenant}')")).await;
        }
        Self { world, admin }
    }

    fn manager(&self, options: CatalogOptions) -> TenantManager {
        let builder = self.world.builder().catalog(TableCatalog::new()).catalog_options(options);
        builder.max_connections(4).build().expect("the configuration is sound")
    }
}

/// Waits until somebody reads the table, and waits for its lock.
async fn is_waited_for(observer: &mut PgConnection) {
    eventually("somebody waits for the table", async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where not granted and relation = 'tenants'::regclass \
             and database = (select oid from pg_database where datname = current_database())",
        )
        .fetch_one(&mut *observer)
        .await
        .expect("the server is running");
        waiting > 0
    })
    .await;
}

const LOCK: &str = "lock table tenants in access exclusive mode";

fn acquires(manager: &TenantManager) -> u64 {
    let of = manager.snapshot().acquires;
    of.hit + of.rebind + of.open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_wait_are_looked_up_together() -> TestResult {
    let mut table = Table::of(&["acme"]).await;
    run(
        &mut table.admin,
        "insert into tenants (id) select 't' || n from generate_series(1, 200) n",
    )
    .await;
    let manager = table.manager(CatalogOptions::default());
    manager.tenant("acme").await?;
    let mut observer = table.world.admin().await;
    let collector = manager.collector(MetricsOptions::default());
    for (prefix, expected) in [("t", None), ("u", Some(ErrorKind::UnknownTenant))] {
        let mut locked = table.admin.begin().await?;
        run(&mut *locked, LOCK).await;
        let (before, misses) = (acquires(&manager), counted(&collector, MISSES));
        let mut tasks = JoinSet::new();
        let first = format!("{prefix}0");
        let look_up = |id: String| {
            let manager = manager.clone();
            async move { manager.tenant(id.as_str()).await.err().map(|error| error.kind()) }
        };
        tasks.spawn(look_up(first));
        is_waited_for(&mut observer).await;
        for n in 1..=200 {
            tasks.spawn(look_up(format!("{prefix}{n}")));
        }
        let asked = misses + 201.0;
        eventually("all have asked", async || counted(&collector, MISSES) >= asked).await;
        locked.rollback().await?;
        let mut found = HashMap::new();
        for kind in tasks.join_all().await {
            *found.entry(kind).or_insert(0) += 1;
        }
        let mut counts = HashMap::from([(Some(ErrorKind::UnknownTenant), 1)]);
        *counts.entry(expected).or_insert(0) += 200;
        assert_eq!(found, counts);
        let taken = acquires(&manager) - before;
        assert!(taken <= 8, "{taken} connections were taken for 200 ids");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_that_wait_fail_fast_and_known_ones_are_served() -> TestResult {
    let mut table = Table::of(&["acme"]).await;
    let mut options = CatalogOptions::default();
    options.max_waiting = 10;
    options.ttl = Duration::from_millis(50);
    options.timeout = Duration::from_secs(30);
    let manager = table.manager(options);
    manager.tenant("acme").await?;
    let mut observer = table.world.admin().await;
    let mut locked = table.admin.begin().await?;
    run(&mut *locked, LOCK).await;
    let refused = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for n in 0..30 {
        let (manager, refused) = (manager.clone(), Arc::clone(&refused));
        tasks.spawn(async move {
            let error = manager.tenant(format!("guess-{n}").as_str()).await.expect_err("no such");
            if error.kind() == ErrorKind::Overloaded {
                assert!(error.retry_after().is_some() && error.is_transient());
                refused.fetch_add(1, Ordering::Relaxed);
            }
            error.kind()
        });
        if n == 0 {
            is_waited_for(&mut observer).await;
        }
    }
    // One is being asked for, ten wait.
    eventually("19 are refused", async || refused.load(Ordering::Relaxed) == 19).await;
    for _ in 0..20 {
        let acme = timeout(Duration::from_secs(5), manager.tenant("acme")).await??;
        assert_eq!(name_of(&acme).await?, "acme");
        sleep(Duration::from_millis(5)).await;
    }
    locked.rollback().await?;
    let kinds = tasks.join_all().await;
    let unknown = kinds.iter().filter(|kind| **kind == ErrorKind::UnknownTenant).count();
    assert_eq!(unknown, 11, "{kinds:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_leave_take_no_answer_and_no_connection_with_them() -> TestResult {
    let mut table = Table::of(&["acme"]).await;
    let manager = table.manager(CatalogOptions::default());
    assert_eq!(manager.tenant("first").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let mut observer = table.world.admin().await;
    let collector = manager.collector(MetricsOptions::default());
    for leave in [1, 3, 6] {
        let misses = counted(&collector, MISSES);
        let mut locked = table.admin.begin().await?;
        run(&mut *locked, LOCK).await;
        let mut tasks = Vec::new();
        for n in 0..6 {
            let manager = manager.clone();
            let id = format!("guess-{leave}-{n}");
            tasks.push(tokio::spawn(async move { manager.tenant(id.as_str()).await.map(drop) }));
            if n == 0 {
                is_waited_for(&mut observer).await;
            }
        }
        let asked = misses + 6.0;
        eventually("all have asked", async || counted(&collector, MISSES) >= asked).await;
        for task in tasks.drain(..leave) {
            task.abort();
            assert!(task.await.is_err_and(|end| end.is_cancelled()));
        }
        locked.rollback().await?;
        for task in tasks {
            let answer = timeout(Duration::from_secs(5), task).await??;
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::UnknownTenant);
        }
        at_rest(&manager).await;
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    }
    manager.close().await;
    Ok(())
}

/// A catalog that counts how many look-ups run at a time, and how many ids each has.
#[derive(Debug, Default, Clone)]
struct Counted(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    most_ids: AtomicUsize,
}

impl Catalog for Counted {
    fn resolve<'a>(&'a self, _: Ask<'a>, _: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        unreachable!("many are asked for at once")
    }

    fn resolve_many<'a>(
        &'a self,
        _: Ask<'a>,
        ids: &'a [TenantId],
    ) -> Answer<'a, tenantry::catalog::Resolved> {
        Box::pin(async move {
            let Counts { now, most, most_ids } = &*self.0;
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            most_ids.fetch_max(ids.len(), Ordering::Relaxed);
            sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            let odd = ids.iter().filter(|id| id.as_str().ends_with(['1', '3', '5', '7', '9']));
            Ok(odd.map(|id| (id.clone(), Ok(TenantRecord::new(id.clone())))).collect())
        })
    }

    fn batch(&self) -> usize {
        7
    }

    fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_look_ups_run_at_a_time_than_connections_are_reserved() -> TestResult {
    let world = World::new().await;
    for (reserved, at_a_time) in [(None, 1), (Some(3), 3)] {
        let catalog = Counted::default();
        let pool = pool_options(|options| {
            options.max_connections = 8;
            options.reserved_connections = reserved;
        });
        let manager = world.builder().catalog(catalog.clone()).pool_options(pool).build()?;
        let mut tasks = JoinSet::new();
        for n in 0..200 {
            let manager = manager.clone();
            tasks.spawn(async move {
                let found = manager.tenant(format!("t{n}").as_str()).await;
                assert_eq!(
                    found.map(drop).map_err(|error| error.kind()),
                    match n % 2 {
                        1 => Ok(()),
                        _ => Err(ErrorKind::UnknownTenant),
                    }
                );
            });
        }
        while let Some(task) = tasks.join_next().await {
            task?;
        }
        let counts = &catalog.0;
        let most = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        assert_eq!((most(&counts.most), most(&counts.most_ids)), (at_a_time, 7));
        manager.close().await;
    }
    Ok(())
}
