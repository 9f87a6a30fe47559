//! Hooks with the connection in hand: what they set is the tenant's alone, and they never lead elsewhere.

use std::{
    error::Error as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use sqlx::{Executor, PgConnection, Postgres};
use tenantry::{
    CatalogFn, Credentials, Error, ErrorKind, FixedCatalog, ManagerBuilder, TableCatalog, Tenant,
    TenantId, TenantManager, TenantRecord, retry::RetryPolicy,
};

use crate::{
    log::{Format, logged},
    secrets::in_full,
    support::{
        TestResult, World, at_rest, connect, eventually, kill, kind_of, name_of, pid_of,
        pool_options, private_server, run, sessions, state_of,
    },
};

type Done<'c> = BoxFuture<'c, sqlx::Result<()>>;

fn record(id: &str, plan: &str) -> TenantRecord {
    let id = TenantId::parse(id).expect("it is one");
    TenantRecord::new(id).attributes(serde_json::json!({ "plan": plan }))
}

/// One connection, two tenants with plans, and a hook that is counted.
fn hooked(
    builder: ManagerBuilder,
    hook: impl for<'c> Fn(&'c mut PgConnection, &'c Tenant) -> Done<'c> + Send + Sync + 'static,
) -> (TenantManager, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let records: FixedCatalog =
        [record("acme", "gold"), record("globex", "free")].into_iter().collect();
    let manager = builder
        .catalog(records)
        .max_connections(1)
        .after_bind(move |conn, tenant| {
            count.fetch_add(1, Ordering::Relaxed);
            hook(conn, tenant)
        })
        .build()
        .expect("the configuration is sound");
    (manager, calls)
}

/// Notes the plan and the tenant in settings of the session.
fn note_plan<'c>(conn: &'c mut PgConnection, tenant: &'c Tenant) -> Done<'c> {
    Box::pin(async move {
        let plan = tenant.attributes()["plan"].as_str().unwrap_or("none");
        let set = "select pg_catalog.set_config('app.plan', $1, false)";
        sqlx::query(set).bind(plan).execute(&mut *conn).await?;
        if tenant.id().as_str() == "acme" {
            conn.execute("set app.only_acme = 'yes'").await?;
        }
        Ok(())
    })
}

async fn plan(db: impl Executor<'_, Database = Postgres>) -> sqlx::Result<String> {
    let plan = "select current_setting('app.plan') || coalesce(current_setting('app.only_acme', true), '')";
    sqlx::query_scalar(plan).fetch_one(db).await
}

#[tokio::test]
async fn a_hook_runs_after_each_bind_and_the_next_bind_wipes_what_it_set() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let (manager, calls) = hooked(world.builder(), note_plan);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for _ in 0..3 {
        assert_eq!(plan(&acme).await?, "goldyes");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1, "hits run no hook");
    for round in 0..2 {
        assert_eq!(plan(&globex).await?, "free", "{round}");
        assert_eq!(name_of(&globex).await?, "globex");
        assert_eq!(plan(&acme).await?, "goldyes", "{round}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1 + 4);

    // A lease may change anything: the hook runs again, before the next one gets the session.
    let pid = pid_of(&acme).await?;
    let mut lease = acme.acquire().await?;
    lease.execute("set app.plan = 'stolen'").await?;
    drop(lease);
    at_rest(&manager).await;
    assert_eq!(calls.load(Ordering::Relaxed), 1 + 4 + 1);
    assert_eq!((plan(&acme).await?, pid_of(&acme).await?), ("goldyes".to_owned(), pid));
    assert_eq!(calls.load(Ordering::Relaxed), 1 + 4 + 1, "in the background");

    // Nothing of it reaches the shared schema or upkeep.
    let none: Option<String> =
        sqlx::query_scalar("select nullif(current_setting('app.plan', true), '')")
            .fetch_one(manager.shared())
            .await?;
    assert_eq!(none, None);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn statements_stay_prepared_under_a_hook() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let (manager, _) = hooked(world.builder(), note_plan);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let prepared =
        "select count(*) from pg_prepared_statements where statement like '%from users where id%'";
    for db in [&acme, &globex, &acme] {
        name_of(db).await?;
    }
    let count: i64 = sqlx::query_scalar(prepared).fetch_one(&globex).await?;
    // The statement itself mentions what it looks for.
    assert_eq!(count, 2, "kept from one tenant to the next");

    // Where the hook changes how statements are read, they go.
    let (manager, _) = hooked(world.builder(), |conn, _| {
        Box::pin(async move { conn.execute("set timezone = 'Asia/Tokyo'").await.map(drop) })
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    name_of(&acme).await?;
    let count: i64 = sqlx::query_scalar(prepared).fetch_one(&globex).await?;
    assert_eq!(count, 1);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_hook_that_leads_elsewhere_is_refused_by_name() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    for (leaves, statement) in [
        ("another search_path", "set search_path to tenant_globex"),
        ("another search_path", "set search_path to tenant_acme, tenant_globex"),
        ("another role", "set role pg_monitor"),
        ("another session user", "set session authorization pg_monitor"),
        ("an open transaction", "begin"),
        ("a transaction that has failed", "begin; do $$ begin raise 'no'; end $$"),
    ] {
        let (manager, calls) = hooked(world.builder(), move |conn, _| {
            Box::pin(async move {
                drop(sqlx::raw_sql(statement).execute(conn).await);
                Ok(())
            })
        });
        let acme = manager.tenant("acme").await?;
        for call in 1..=2 {
            let error = Error::from(acme.acquire().await.expect_err("it leads elsewhere"));
            assert_eq!(error.kind(), ErrorKind::Hook, "{statement}: {error}");
            let words = format!("hook failed (tenant acme): after_bind left {leaves}");
            assert_eq!(error.to_string(), words, "{statement}");
            assert_eq!(calls.load(Ordering::Relaxed), call, "not tried again by itself");
        }
        let shared: String =
            sqlx::query_scalar("show search_path").fetch_one(manager.shared()).await?;
        assert_eq!(shared, "public");
        manager.close().await;
    }
    Ok(())
}

/// Leaves everything that a session can hold beside settings.
const LITTER: &str = "listen gossip; prepare litter as select 1; create temp table litter (id int); \
    select pg_advisory_lock(4711); declare litter cursor with hold for select 1";

async fn litter(db: impl Executor<'_, Database = Postgres>) -> sqlx::Result<i64> {
    let count = "select (select count(*) from pg_listening_channels()) \
        + (select count(*) from pg_prepared_statements where from_sql) \
        + (select count(*) from pg_class where relname = 'litter') \
        + (select count(*) from pg_locks \
           where locktype = 'advisory' and objid = 4711 and pid = pg_backend_pid()) \
        + (select count(*) from pg_cursors where name = 'litter')";
    sqlx::query_scalar(count).fetch_one(db).await
}

#[tokio::test]
async fn what_a_hook_leaves_beside_settings_is_the_tenants_alone() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let (manager, _) = hooked(world.builder(), |conn, tenant| {
        Box::pin(async move {
            match tenant.id().as_str() {
                "acme" => sqlx::raw_sql(LITTER).execute(conn).await.map(drop),
                _ => Ok(()),
            }
        })
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let pid = pid_of(&acme).await?;
    for _ in 0..2 {
        assert_eq!(litter(&acme).await?, 5);
        assert_eq!(litter(&globex).await?, 0);
        assert_eq!(pid_of(&globex).await?, pid, "on the same session");
    }
    assert_eq!(litter(manager.shared()).await?, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_hook_that_puts_another_connection_in_place_is_refused() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut foreign = world.admin().await;
    foreign.execute("set search_path to tenant_acme").await?;
    let theirs: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut foreign).await?;
    let kept = Arc::new(Mutex::new(Some(foreign)));
    let stolen = Arc::clone(&kept);
    let (manager, _) = hooked(world.builder(), move |conn, _| {
        if let Some(foreign) = &mut *stolen.lock().expect("nothing panics") {
            std::mem::swap(conn, foreign);
        }
        Box::pin(async { Ok(()) })
    });
    let acme = manager.tenant("acme").await?;
    let error = Error::from(acme.acquire().await.expect_err("it is not the pool's"));
    let words = "hook failed (tenant acme): after_bind left another connection";
    assert_eq!(error.to_string(), words);
    drop(kept.lock().expect("nothing panics").take());
    assert_eq!(name_of(&acme).await?, "acme");
    assert_ne!(pid_of(&acme).await?, theirs);
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_hook_that_fails_panics_or_hangs_costs_a_connection_and_no_more() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let builder = world.builder().acquire_timeout(Duration::from_millis(1_500));
    let at_once = Arc::new(AtomicBool::new(false));
    let panics = Arc::clone(&at_once);
    let (manager, calls) = hooked(builder, move |conn, tenant| {
        assert!(!panics.load(Ordering::Relaxed), "as told");
        Box::pin(async move {
            match tenant.id().as_str() {
                "globex" => Ok(()),
                _ => {
                    let how: String = sqlx::query_scalar("select how from public.wrong")
                        .fetch_one(&mut *conn)
                        .await?;
                    match how.as_str() {
                        "panic" => panic!("as told"),
                        "hang" => conn.execute("select pg_sleep(60)").await.map(drop),
                        _ => Ok(()),
                    }
                }
            }
        })
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let error = Error::from(acme.acquire().await.expect_err("there is no such table"));
    assert_eq!(error.to_string(), "hook failed (tenant acme): after_bind");
    assert!(error.source().is_some_and(|source| source.to_string().contains("public.wrong")));
    assert!(!error.is_transient());
    assert_eq!(name_of(&globex).await?, "globex");

    admin
        .execute("create table public.wrong (how text); insert into wrong values ('panic')")
        .await?;
    let error = Error::from(acme.acquire().await.expect_err("it panics"));
    assert_eq!(error.to_string(), "hook failed (tenant acme): after_bind panicked");
    assert_eq!(name_of(&globex).await?, "globex");
    at_once.store(true, Ordering::Relaxed);
    let error = Error::from(acme.acquire().await.expect_err("it panics before it has a future"));
    assert_eq!(error.to_string(), "hook failed (tenant acme): after_bind panicked");
    at_once.store(false, Ordering::Relaxed);
    assert_eq!(name_of(&globex).await?, "globex");

    admin.execute("update wrong set how = 'hang'").await?;
    let pid = pid_of(&globex).await?;
    let error = kind_of(name_of(&acme).await.expect_err("it hangs"));
    assert_eq!(error, ErrorKind::Timeout);
    let seen = Arc::new(AtomicUsize::new(0));
    eventually("the session has ended", async || {
        seen.fetch_max(sessions(&mut admin).await as usize, Ordering::Relaxed);
        state_of(&mut admin, pid).await == "gone"
    })
    .await;
    eventually("its place is free", async || name_of(&globex).await.is_ok()).await;
    assert!(seen.load(Ordering::Relaxed) <= 1, "the budget is kept");

    admin.execute("update wrong set how = 'none'").await?;
    assert_eq!(name_of(&acme).await?, "acme");
    assert!(calls.load(Ordering::Relaxed) >= 7);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_whose_record_has_changed_is_bound_anew() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let version = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&version);
    let manager = world
        .builder()
        .catalog(CatalogFn::new(move |id: TenantId| {
            let plan = format!("v{}", now.load(Ordering::Relaxed));
            async move { Ok(Some(record(id.as_str(), &plan))) }
        }))
        .after_bind(note_plan)
        .max_connections(1)
        .build()?;
    assert_eq!(plan(&manager.tenant("acme").await?).await?, "v0yes");
    version.store(1, Ordering::Relaxed);
    manager.invalidate("acme").await;
    assert_eq!(plan(&manager.tenant("acme").await?).await?, "v1yes");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn each_connection_is_prepared_once_before_anyone_gets_it() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let manager = world
        .builder()
        .max_connections(2)
        .after_connect(move |conn| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                conn.execute("set app.left_over = 'yes'").await?;
                sqlx::query("load 'plpgsql'").execute(conn).await.map(drop)
            })
        })
        .build()?;
    let acme = manager.tenant("acme").await?;
    let leases = tokio::try_join!(acme.acquire(), manager.shared().acquire());
    drop(leases?);
    at_rest(&manager).await;
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let left = "select nullif(current_setting('app.left_over', true), '')";
    let left: Option<String> = sqlx::query_scalar(left).fetch_one(&acme).await?;
    assert_eq!(left, None, "the first bind takes settings off");
    manager.close().await;

    let manager = world
        .builder()
        .after_connect(|conn| {
            Box::pin(async move { conn.execute("select nonsense").await.map(drop) })
        })
        .build()?;
    let error = manager.tenant("acme").await.expect_err("no connection can be had");
    let mut words = format!("{error}");
    let mut source = error.source();
    while let Some(error) = source {
        words += &format!(": {error}");
        source = error.source();
    }
    assert!(words.contains("hook failed: after_connect"), "{words}");
    assert!(!error.is_transient());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn credentials_are_asked_for_at_each_connect() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = connect(&server.url()).await;
    admin
        .execute(
            "create role first login superuser password 'one-secret'; \
             create role second login superuser password 'other-secret'",
        )
        .await?;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Two would be compared with each other.
    let manager = TenantManager::builder(server.url())
        .max_connections(1)
        .connect_credentials(move || {
            let nth = count.fetch_add(1, Ordering::Relaxed);
            async move {
                match nth {
                    0 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
                    1 => Ok(Credentials::new("first").password("one-secret")),
                    _ => Ok(Credentials::new("second").password("other-secret")),
                }
            }
        })
        .build()?;
    let acme = manager.tenant("acme").await?;
    assert_eq!(asked.load(Ordering::Relaxed), 2, "a transient error is tried again");
    let who = async |db: &tenantry::TenantDb| -> sqlx::Result<String> {
        sqlx::query_scalar("select session_user::text").fetch_one(db).await
    };
    assert_eq!(who(&acme).await?, "first");
    let pid = pid_of(&acme).await?;
    kill(&mut admin, pid).await;
    eventually("another connection is there", async || {
        who(&acme).await.is_ok_and(|user| user == "second")
    })
    .await;
    assert!(!format!("{manager:?}").contains("secret"));
    manager.close().await;

    let manager = TenantManager::builder(server.url())
        .connect_credentials(async || -> Result<_, std::io::Error> {
            Err(std::io::Error::other("the vault is sealed"))
        })
        .build()?;
    let error = manager.tenant("acme").await.expect_err("there are no credentials");
    let source = std::iter::successors(error.source(), |error| (*error).source());
    let words: Vec<_> = source.map(ToString::to_string).collect();
    assert!(words.iter().any(|words| words.contains("vault is sealed")), "{words:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn credentials_that_hang_or_panic_end_with_the_connect_and_are_in_no_log() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let log = logged(Format::Full, async {
        for how in ["hang", "panic", "wrong"] {
            let options = pool_options(|options| {
                options.connect_timeout = Duration::from_millis(200);
                options.acquire_timeout = Duration::from_secs(2);
                options.retry = RetryPolicy::never();
            });
            let healed = Arc::new(AtomicBool::new(false));
            let is_healed = Arc::clone(&healed);
            let manager = world
                .builder()
                .pool_options(options)
                .connect_credentials(move || {
                    let healed = is_healed.load(Ordering::Relaxed);
                    async move {
                        match how {
                            _ if healed => {}
                            "hang" => std::future::pending().await,
                            "panic" => panic!("as told"),
                            _ => return Ok(Credentials::new("nobody_here").password("hunter2")),
                        }
                        Ok::<_, std::io::Error>(Credentials::new("postgres").password("hunter2"))
                    }
                })
                .build()?;
            let began = Instant::now();
            let error = manager.tenant("acme").await.expect_err("there are no credentials");
            assert!(began.elapsed() < Duration::from_secs(2), "{how}");
            let words = in_full(&error);
            assert!(!words.contains("hunter2"), "{words}");
            let of_panic = words.contains("connect_credentials panicked");
            assert_eq!(of_panic, how == "panic", "{words}");
            assert!(!format!("{manager:?}").contains("hunter2"));
            healed.store(true, Ordering::Relaxed);
            eventually("it recovers", async || manager.tenant("acme").await.is_ok()).await;
            assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme", "{how}");
            manager.close().await;
        }
        Ok(())
    })
    .await;
    assert!(!log.contains("hunter2"));
    assert!(log.contains("nobody_here"), "the log is there, with the server's words");
    Ok(())
}

#[tokio::test]
async fn who_listens_to_the_catalog_logs_in_with_the_credentials_of_the_moment() -> TestResult {
    let world = World::new().await;
    TableCatalog::new().create_table(world.manager().shared()).await?;
    let mut admin = world.admin().await;
    let roles = ["old", "new"].map(|which| format!("listener_{which}_{}", std::process::id()));
    for role in &roles {
        run(&mut admin, &format!("create role {role} login superuser password 'p'")).await;
    }
    let current = Arc::new(Mutex::new(roles[0].clone()));
    let now = Arc::clone(&current);
    let manager = world
        .builder()
        .catalog(TableCatalog::new())
        .connect_credentials(move || {
            let user = now.lock().expect("nothing panics").clone();
            async { Ok::<_, std::io::Error>(Credentials::new(user).password("p")) }
        })
        .build()?;
    drop(manager.tenant("acme").await);
    let listener = "select pid, usename::text from pg_stat_activity \
        where query ilike 'listen %' and datname = current_database()";
    let mut seen = Vec::new();
    for role in &roles {
        *current.lock().expect("nothing panics") = role.clone();
        for pid in seen.drain(..) {
            kill(&mut admin, pid).await;
        }
        eventually("it listens", async || {
            let row: Option<(i32, String)> =
                sqlx::query_as(listener).fetch_optional(&mut admin).await.expect("it can be asked");
            row.is_some_and(|(pid, user)| {
                seen = vec![pid];
                user == *role
            })
        })
        .await;
    }
    manager.close().await;
    for role in &roles {
        run(&mut admin, &format!("drop role {role}")).await;
    }
    Ok(())
}
