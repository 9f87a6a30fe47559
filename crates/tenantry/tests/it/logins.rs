//! A tenant with a login of its own has the rights of that login and no more, whatever its SQL does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tenantry::{
    Credentials, Error, ErrorKind, FixedCatalog, HealthOptions, ManagerBuilder, TenantId,
    TenantManager, TenantRecord,
};

use crate::support::{
    TestResult, World, at_rest, code_of, kind_of, name_of, observe, pid_of, run, try_run,
};

/// A name for a role that no other test has: roles are the server's.
async fn role_of(world: &World, tenant: &str) -> String {
    let oid = "select oid::text from pg_database where datname = current_database()";
    let oid: String =
        sqlx::query_scalar(oid).fetch_one(&mut world.admin().await).await.expect("it is there");
    format!("login_{tenant}_{oid}")
}

/// Makes a login that may use its tenant's schema and nothing else.
async fn create_login(world: &World, tenant: &str) -> String {
    let role = role_of(world, tenant).await;
    run(
        &mut world.admin().await,
        &format!(
            "create role {role} login password 's3cret'; \
             grant usage on schema tenant_{tenant} to {role}; \
             grant select, insert, update, delete on all tables in schema tenant_{tenant} to {role}"
        ),
    )
    .await;
    role
}

fn records(ids: &[&str]) -> FixedCatalog {
    let record = |id: &&str| TenantRecord::new(TenantId::parse(id).expect("it is one"));
    ids.iter().map(record).collect()
}

/// A manager whose tenant `acme` has dedicated connections with a login of its own.
fn with_login(world: &World, role: &str) -> ManagerBuilder {
    let user = role.to_owned();
    world
        .builder()
        .catalog(records(&["acme", "globex"]))
        .dedicate(|record| record.id.as_str() == "acme")
        .credentials(move |record| {
            let user = user.clone();
            async move {
                assert_eq!(record.id.as_str(), "acme", "only dedicated tenants have a login");
                Ok(Some(Credentials::new(user).password("s3cret")))
            }
        })
}

async fn sessions_of(admin: &mut PgConnection, role: &str) -> i64 {
    sqlx::query_scalar("select count(*) from pg_stat_activity where usename = $1")
        .bind(role)
        .fetch_one(admin)
        .await
        .expect("the server is running")
}

#[tokio::test]
async fn no_sql_of_a_tenant_gets_out_of_its_login() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let role = create_login(&world, "acme").await;
    let manager = with_login(&world, &role).build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    assert_eq!(name_of(&acme).await?, "acme");
    assert_eq!(name_of(&globex).await?, "globex");
    let users = observe(&acme, "select session_user || ' ' || current_user").await;
    assert_eq!(users, format!("Some(\"{role} {role}\")"));
    for escape in [
        "do $$ begin reset role; end $$",
        "do $$ begin reset session authorization; end $$",
        "do $$ begin perform set_config('role', 'none', false); end $$",
        "reset all",
        "discard all",
        "set search_path to tenant_globex",
        "set role none; set session authorization default",
    ] {
        let mut lease = acme.acquire().await?;
        drop(try_run(&mut *lease, escape).await);
        for sql in ["select name from tenant_globex.users", "set role postgres", "create schema x"]
        {
            let seen = try_run(&mut *lease, sql).await.map_err(|error| code_of(&error));
            assert!(seen.is_err(), "{escape}; {sql}");
        }
        drop(lease);
        drop(try_run(&acme, escape).await);
        assert_eq!(name_of(&acme).await?, "acme", "{escape}");
    }
    assert_eq!(name_of(&globex).await?, "globex");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_login_counts_in_the_budget_and_serves_nobody_else() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let role = create_login(&world, "acme").await;
    let mut admin = world.admin().await;
    for budget in [1, 2, 3] {
        let builder = with_login(&world, &role).catalog(records(&["acme", "globex", "initech"]));
        let manager = builder.max_connections(budget).build()?;
        let mut tasks = Vec::new();
        for turn in 0..30 {
            let manager = manager.clone();
            tasks.push(tokio::spawn(async move {
                let tenant = ["acme", "globex", "initech"][turn % 3];
                let db = manager.tenant(tenant).await?;
                let seen: (String, String) =
                    sqlx::query_as("select name, session_user::text from users where id = 1")
                        .fetch_one(&db)
                        .await?;
                Ok::<_, Error>((tenant, seen))
            }));
        }
        let most = "select count(*) from pg_stat_activity where datname = current_database() \
                    and application_name like 'tenantry/%'";
        for task in tasks {
            let sessions: i64 = sqlx::query_scalar(most).fetch_one(&mut admin).await?;
            assert!(sessions <= i64::try_from(budget)?, "{sessions} of {budget}");
            let (tenant, (name, user)) = task.await??;
            assert_eq!(name, tenant);
            assert_eq!(user == role, tenant == "acme", "{tenant} is {user}");
        }
        at_rest(&manager).await;
        manager.close().await;
        assert_eq!(sessions_of(&mut admin, &role).await, 0);
    }
    Ok(())
}

#[tokio::test]
async fn credentials_are_asked_for_each_time_and_never_told() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let role = create_login(&world, "acme").await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // The first time the secrets are not to be had, then the login is not there, then all is well.
    let answer = move |role: String| {
        let time = count.fetch_add(1, Ordering::Relaxed);
        async move {
            match time {
                0 => Err(Error::catalog("the vault is sealed")),
                1 => Ok(Some(Credentials::new("nobody_at_all").password("h0rse"))),
                _ => Ok(Some(Credentials::new(role).password("s3cret"))),
            }
        }
    };
    let builder = with_login(&world, &role).credentials(move |_| answer(role.clone()));
    let told = format!("{builder:?}");
    let manager: TenantManager = builder.build()?;
    let acme = manager.tenant("acme").await?;
    assert_eq!(kind_of(name_of(&acme).await.unwrap_err()), ErrorKind::Catalog);
    at_rest(&manager).await;
    let refused = tenantry::Error::from(name_of(&acme).await.unwrap_err());
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    // The connection that was not logged in is nobody's, also when it has come back.
    at_rest(&manager).await;
    let all = format!("{told} {refused} {refused:?} {manager:?} {acme:?}");
    for secret in ["h0rse", "s3cret"] {
        assert!(!all.contains(secret), "{all}");
    }
    assert_eq!(name_of(&acme).await?, "acme");
    let pid = pid_of(&acme).await?;
    assert_eq!(pid_of(&acme).await?, pid, "the connection is kept");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    assert!(manager.health(HealthOptions::default()).await.healthy);
    // An abandoned statement is ended although the library may not cancel it.
    let mut lease = acme.acquire().await?;
    let slow = sqlx::query("select pg_sleep(30)").execute(&mut *lease);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), slow).await.is_err());
    drop(lease);
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_whose_credentials_do_not_come_holds_nobody_up() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut options = tenantry::PoolOptions::default();
    options.max_connections = 3;
    options.connect_timeout = Duration::from_secs(1);
    let manager = with_login(&world, "nobody")
        .pool_options(options)
        .credentials(|_| std::future::pending())
        .build()?;
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    name_of(&globex).await?;
    let hanging: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn({
                let acme = acme.clone();
                async move { kind_of(name_of(&acme).await.unwrap_err()) }
            })
        })
        .collect();
    let began = Instant::now();
    while !hanging.iter().all(tokio::task::JoinHandle::is_finished) {
        let asked = Instant::now();
        assert_eq!(name_of(&globex).await?, "globex");
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for refused in hanging {
        assert_eq!(refused.await?, ErrorKind::Unavailable);
    }
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn credentials_of_nobody_are_refused() {
    let world = World::new().await;
    let built = world.builder().credentials(|_| async { Ok(None) }).build();
    assert!(matches!(built, Err(tenantry::ConfigError::CredentialsOfNobody)));
}

#[tokio::test]
async fn sessions_that_may_have_been_altered_are_closed_where_that_is_asked_for() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 1;
        options.close_altered_sessions = true;
    });
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let pid = pid_of(&acme).await?;
    assert_eq!(pid_of(&globex).await?, pid, "a plain query alters nothing");
    let touched = "select current_setting('app.secret', true) is null";
    for alter in
        ["set app.secret = 'x'", "load 'plpgsql'", "select set_config('app.secret', 'x', false)"]
    {
        for on_lease in [false, true] {
            let pid = pid_of(&acme).await?;
            match on_lease {
                true => run(&mut *acme.acquire().await?, alter).await,
                false => run(&acme, alter).await,
            }
            assert_ne!(pid_of(&globex).await?, pid, "{alter}");
            assert_eq!(observe(&globex, touched).await, "Some(\"t\")", "{alter}");
        }
    }
    assert_eq!(name_of(&globex).await?, "globex");
    manager.close().await;
    Ok(())
}
