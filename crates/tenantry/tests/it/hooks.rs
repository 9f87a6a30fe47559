//! Hooks with the connection in hand: what they set is the tenant's alone, and they never lead elsewhere.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sqlx::{Executor, PgConnection, Postgres};
use tenantry::{
    CatalogFn, Error, ErrorKind, FixedCatalog, ManagerBuilder, Tenant, TenantId, TenantManager,
    TenantRecord,
};

use crate::support::{
    TestResult, World, at_rest, connect, eventually, kind_of, name_of, pid_of, private_server,
    sessions, state_of,
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

#[tokio::test]
async fn a_hook_that_fails_panics_or_hangs_costs_a_connection_and_no_more() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let builder = world.builder().acquire_timeout(Duration::from_millis(400));
    let (manager, calls) = hooked(builder, |conn, tenant| {
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
    let error = acme.acquire().await.expect_err("it panics");
    assert_eq!(error.to_string(), "hook failed (tenant acme): after_bind panicked");
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
                    1 => Ok(tenantry::Credentials::new("first").password("one-secret")),
                    _ => Ok(tenantry::Credentials::new("second").password("other-secret")),
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
    crate::support::kill(&mut admin, pid).await;
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
