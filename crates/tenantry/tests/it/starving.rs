//! Nobody takes the service from everybody else: not by statements that hang, binds that hang,
//! connections that cannot be opened, or a network that has forgotten some.

use std::time::{Duration, Instant};

use tenantry::{ErrorKind, TenantDb, TenantManager};
use tokio::task::JoinSet;

use crate::{
    faults::{Mode, Proxy},
    support::{
        TestResult, World, at_rest, connect, eventually, kind_of, name_of, pool_options,
        private_server, run,
    },
};

const MS: Duration = Duration::from_millis(1);

/// Leases as many connections as given, of a tenant each, and gives them back.
async fn open_one_for_each(tenants: &[TenantDb], manager: &TenantManager) -> TestResult {
    let mut leases = Vec::new();
    for db in tenants {
        leases.push(db.acquire().await?);
    }
    drop(leases);
    at_rest(manager).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_one_tenant_that_hang_leave_a_place_to_the_others() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    for connections in [2, 4, 10] {
        let manager = world.with_pool(|options| {
            options.max_connections = connections;
            options.acquire_timeout = MS * 2_000;
        });
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        let mut hanging = JoinSet::new();
        for _ in 0..40 {
            let acme = acme.clone();
            hanging.spawn(async move { sqlx::query("select pg_sleep(60)").execute(&acme).await });
        }
        eventually("all that wait do", async || manager.snapshot().waiting > 30).await;
        for _ in 0..20 {
            assert_eq!(name_of(&globex).await?, "globex");
        }
        let leased = manager.snapshot().leased;
        assert!(leased < connections, "{leased} of {connections}");
        hanging.shutdown().await;
        manager.close_within(MS * 100).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shared_handle_has_no_cap_and_a_cap_can_be_raised() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 4;
        options.max_connections_per_tenant = Some(4);
    });
    let (acme, shared) = (manager.tenant("acme").await?, manager.shared());
    for round in 0..2 {
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.push(if round == 0 { acme.acquire().await? } else { shared.acquire().await? });
        }
        drop(leases);
        at_rest(&manager).await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_holds_across_evictions() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 8;
        options.max_connections_per_tenant = Some(2);
        options.acquire_timeout = MS * 100;
    });
    let acme = manager.tenant("acme").await?;
    let leases = [acme.acquire().await?, acme.acquire().await?];
    for _ in 0..3 {
        manager.evict(acme.tenant().id());
        let error = acme.acquire().await.expect_err("it has two already");
        assert_eq!(kind_of(error), ErrorKind::Timeout);
        assert_eq!(manager.snapshot().leased, 2);
    }
    drop(leases);
    assert_eq!(name_of(&acme).await?, "acme");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

/// A tenant whose session cannot be bound: somebody has its schema's lock and keeps it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binds_of_one_tenant_that_hang_do_not_hold_the_pool() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let manager = world
        .builder()
        .tenants_see_shared(true)
        .pool_options(pool_options(|options| {
            options.max_connections = 8;
            options.max_connections_per_tenant = Some(8);
            options.acquire_timeout = MS * 1_000;
        }))
        .build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let lease = acme.acquire().await?;
    let lock: i64 = sqlx::query_scalar(
        "select (classid::bigint << 32) | objid::bigint from pg_locks \
         where locktype = 'advisory' and mode = 'ShareLock' \
         and database = (select oid from pg_database where datname = current_database())",
    )
    .fetch_one(&mut admin)
    .await?;
    drop(lease);
    at_rest(&manager).await;
    sqlx::query("select pg_advisory_lock($1)").bind(lock).execute(&mut admin).await?;
    let mut clients = JoinSet::new();
    for _ in 0..5 {
        let acme = acme.clone();
        clients.spawn(async move {
            let mut failures = 0;
            while failures < 4 {
                let error = name_of(&acme).await.expect_err("its lock is taken");
                assert_eq!(kind_of(error), ErrorKind::Timeout);
                failures += 1;
            }
        });
    }
    // A try takes a second. Then its connection is there again soon; ten tries more would hold all.
    let (mut served, mut refused) = (0, 0);
    while !clients.is_empty() {
        match name_of(&globex).await {
            Ok(name) => {
                assert_eq!(name, "globex");
                served += 1;
            }
            Err(_) => refused += 1,
        }
        tokio::select! {
            Some(ended) = clients.join_next() => ended?,
            () = tokio::time::sleep(MS * 20) => {}
        }
    }
    assert!(served > refused * 5, "{served} served, {refused} refused");
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut admin).await?;
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openings_that_hang_keep_nobody_from_idle_connections() -> TestResult {
    let server = private_server(&["acme", "globex", "initech"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = TenantManager::builder(proxy.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 6;
            options.acquire_timeout = MS * 4_000;
            options.connect_timeout = MS * 3_500;
        }))
        .build()?;
    let acme = manager.tenant("acme").await?;
    let others = [manager.tenant("globex").await?, manager.tenant("initech").await?];
    open_one_for_each(&[acme.clone(), acme.clone()], &manager).await?;
    proxy.set(Mode::HoldNew);
    let began = Instant::now();
    for _ in 0..3 {
        for db in &others {
            assert_eq!(name_of(db).await?, db.tenant().id().as_str());
        }
    }
    let took = began.elapsed();
    assert!(took < MS * 2_000, "{took:?}");
    proxy.set(Mode::Cut);
    manager.close_within(MS * 500).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_a_gateway_has_forgotten_cost_no_deadline() -> TestResult {
    let server = private_server(&["acme", "globex"]).await;
    let proxy = Proxy::before(server.port()).await;
    let manager = TenantManager::builder(proxy.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 6;
            options.max_connections_per_tenant = Some(6);
            options.liveness_check_after = MS * 10;
            options.statement_timeout = Some(MS * 5_000);
        }))
        .build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for db in [&acme, &globex] {
        open_one_for_each(&[(); 6].map(|()| acme.clone()), &manager).await?;
        proxy.set(Mode::ForgetOld);
        // Until they are not taken to be alive any more.
        tokio::time::sleep(MS * 20).await;
        // One after the other: each may find a dead one first.
        for _ in 0..6 {
            let began = Instant::now();
            assert_eq!(name_of(db).await?, db.tenant().id().as_str());
            let took = began.elapsed();
            assert!(took < MS * 2_500, "{took:?}");
        }
        proxy.set(Mode::Pass);
        at_rest(&manager).await;
    }
    manager.close_within(MS * 500).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_asked_again_by_one_and_less_and_less_often() -> TestResult {
    // Three of these are for superusers, and one is ours to look on.
    let server =
        tenantry_devdb::DevServer::builder().setting("max_connections", "8").start().await?;
    let mut admin = connect(&server.url()).await;
    crate::support::create_tenant(&mut admin, "acme").await;
    run(&mut admin, "create role app login; grant usage on schema tenant_acme to app").await;
    run(&mut admin, "grant select on tenant_acme.users to app").await;
    let proxy = Proxy::before(server.port()).await;
    let url = proxy.url().replace("postgres@", "app@");
    let manager = TenantManager::builder(&url)
        .pool_options(pool_options(|options| {
            options.max_connections = 20;
            options.max_connections_per_tenant = Some(20);
            options.acquire_timeout = MS * 30_000;
        }))
        .build()?;
    let db = manager.tenant("acme").await?;
    let mut tasks = JoinSet::new();
    for _ in 0..19 {
        let db = db.clone();
        tasks.spawn(async move {
            loop {
                sqlx::query("select pg_sleep(0.05)").execute(&db).await?;
            }
            #[expect(unreachable_code, reason = "it says what the block comes to")]
            Ok::<_, sqlx::Error>(())
        });
    }
    eventually("they wait for what there is", async || {
        let pool = manager.snapshot();
        pool.leased >= 3 && pool.waiting > 10 && pool.total == pool.leased
    })
    .await;
    let before = proxy.taken();
    tokio::time::sleep(MS * 2_000).await;
    let asked = proxy.taken() - before;
    // After 200, 400, 800 ms, and so on; and as many may have been on their way.
    assert!(asked <= 8, "it was asked {asked} times in 2 s");
    tasks.shutdown().await;
    manager.close_within(MS * 500).await;
    Ok(())
}
