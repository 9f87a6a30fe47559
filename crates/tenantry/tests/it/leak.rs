//! Whatever a tenant leaves behind on a session, the next tenant on it finds nothing of it.

use sqlx::Executor;
use tenantry::{TenantDb, TenantManager};

use crate::leak_kinds::{BOTH, LEAKS, Leak, SETTINGS, Way, leak};
use crate::support::{
    TestResult, World, at_rest, create_perform, name_of, observe, pid_of, run, try_run,
};

async fn world() -> World {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    run(&mut world.admin().await, "create sequence public.counter").await;
    create_perform(&world).await;
    world
}

/// Two tenants that are served on the same session.
pub(crate) struct Pair<'a> {
    pub(crate) world: &'a World,
    pub(crate) manager: &'a TenantManager,
    /// The tenant that leaves something behind.
    pub(crate) from: &'static str,
    /// What makes a session one of that tenant.
    pub(crate) bind: &'static str,
    /// The tenant that must not find it.
    pub(crate) to: &'static str,
}

impl<'a> Pair<'a> {
    fn in_schemas(world: &'a World, manager: &'a TenantManager) -> Self {
        let bind = "set search_path to tenant_acme";
        Self { world, manager, from: "acme", bind, to: "globex" }
    }
}

async fn leave(
    pair: &Pair<'_>,
    db: &TenantDb,
    sql: &str,
    way: Way,
    observe_sql: &str,
) -> TestResult {
    let before = observe(db, observe_sql).await;
    let seen = match way {
        Way::Lease => {
            let mut lease = db.acquire().await?;
            // An error may be just what is left behind.
            drop(try_run(&mut *lease, sql).await);
            observe(&mut *lease, observe_sql).await
        }
        Way::Function => {
            // What the function leaves behind shows on a session that nobody resets.
            let left = left_by_function(pair, sql, observe_sql).await;
            let call = sqlx::query("select public.perform($1)").bind(sql);
            call.execute(db).await?;
            assert_eq!(observe(db, observe_sql).await, before, "the tenant itself: {sql}");
            left
        }
        Way::Young => {
            let call = sqlx::query("select young($1)").bind(sql);
            call.execute(db).await?;
            return Ok(());
        }
    };
    assert_ne!(seen, before, "nothing was left behind by {sql} ({way:?})");
    Ok(())
}

async fn left_by_function(pair: &Pair<'_>, sql: &str, observe_sql: &str) -> String {
    let mut conn = pair.world.admin().await;
    run(&mut conn, pair.bind).await;
    sqlx::query("select public.perform($1)").bind(sql).execute(&mut conn).await.expect("it runs");
    observe(&mut conn, observe_sql).await
}

/// Sees to it that the second tenant finds nothing of what the first has left behind.
pub(crate) async fn check(pair: &Pair<'_>, leak: &Leak, way: Way) -> TestResult {
    let (from, to) = (pair.manager.tenant(pair.from).await?, pair.manager.tenant(pair.to).await?);
    let here = format!("{} ({way:?})", leak.name);
    let on_handle = observe(&to, leak.observe).await;
    let on_lease = observe(&mut *to.acquire().await?, leak.observe).await;
    let own = observe(&from, leak.observe).await;
    let pid = pid_of(&from).await?;

    leave(pair, &from, leak.leave, way, leak.observe).await?;
    assert_eq!(observe(&to, leak.observe).await, on_handle, "{here}");
    assert_eq!(pid_of(&to).await?, pid, "{here}: not the same session");

    leave(pair, &from, leak.leave, way, leak.observe).await?;
    let mut lease = to.acquire().await?;
    assert_eq!(observe(&mut *lease, leak.observe).await, on_lease, "{here}");
    assert_eq!(lease.backend_pid(), Some(pid), "{here}: not the same session");
    drop(lease);

    assert_eq!(observe(&from, leak.observe).await, own, "{here}: back");
    assert_eq!(name_of(&from).await?, pair.from, "{here}");
    assert_eq!(name_of(&to).await?, pair.to, "{here}");
    Ok(())
}

#[tokio::test]
async fn nothing_of_a_tenant_is_left_on_the_session() -> TestResult {
    let world = world().await;
    let manager = world.one_session();
    for leak in LEAKS {
        for way in leak.ways {
            check(&Pair::in_schemas(&world, &manager), leak, *way)
                .await
                .map_err(|error| format!("{} ({way:?}): {error}", leak.name))?;
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn no_setting_of_a_tenant_is_left_on_the_session() -> TestResult {
    let world = world().await;
    let manager = world.one_session();
    for &(name, value) in SETTINGS {
        let set: &'static str = format!("set {name} to '{value}'").leak();
        let show: &'static str = format!("show {name}").leak();
        for way in BOTH {
            check(&Pair::in_schemas(&world, &manager), &leak(name, BOTH, set, show), *way)
                .await
                .map_err(|error| format!("{name} ({way:?}): {error}"))?;
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_by_a_function_that_nobody_has_looked_at() -> TestResult {
    let world = world().await;
    let manager = world.one_session();
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    run(
        &mut world.admin().await,
        "create function tenant_acme.young(command text) returns void volatile language plpgsql \
         as 'begin execute command; end'",
    )
    .await;
    let settings = SETTINGS.iter().map(|&(name, value)| {
        let set: &'static str = format!("set {name} to '{value}'").leak();
        let show: &'static str = format!("show {name}").leak();
        leak(name, BOTH, set, show)
    });
    let hidden = LEAKS.iter().copied().filter(|leak| leak.ways == BOTH);
    // It cannot be set any more once there was a temporary table.
    let settings = settings.filter(|leak| leak.name != "temp_buffers");
    for leak in hidden.chain(settings) {
        check(&Pair::in_schemas(&world, &manager), &leak, Way::Young)
            .await
            .map_err(|error| format!("{}: {error}", leak.name))?;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_same_tenant_gets_a_lease_without_what_it_left_on_the_last() -> TestResult {
    let world = world().await;
    let manager = world.one_session();
    let acme = manager.tenant("acme").await?;
    for leak in LEAKS {
        let fresh = observe(&mut *acme.acquire().await?, leak.observe).await;
        leave(&Pair::in_schemas(&world, &manager), &acme, leak.leave, Way::Lease, leak.observe)
            .await?;
        let again = observe(&mut *acme.acquire().await?, leak.observe).await;
        assert_eq!(again, fresh, "{}", leak.name);
    }
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn defaults_of_role_and_database_do_not_reach_a_tenant() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    let set = "do $$ begin execute format( \
               'alter database %I set search_path to tenant_initech', current_database()); end $$";
    admin.execute(set).await?;
    let manager = world.one_session();
    let acme = manager.tenant("acme").await?;
    assert_eq!(name_of(&mut world.admin().await).await?, "initech");
    assert_eq!(name_of(&acme).await?, "acme");
    run(&mut *acme.acquire().await?, "reset all; reset search_path").await;
    assert_eq!(name_of(&acme).await?, "acme");
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    manager.close().await;
    Ok(())
}
