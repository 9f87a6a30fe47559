//! Nothing that a tenant can replace or set runs, or is looked up, when a session is reset; and no answer
//! that it has forged is taken for one to the reset.

use futures_util::StreamExt;

use crate::support::{TestResult, World, create_perform, name_of, observe, run, try_run};

/// Notes who has run something that a tenant has planted, in a table that nobody else writes.
const TRIPPED: &str = "create table public.tripped (what text, by text)";

async fn tripped(world: &World) -> String {
    let sql = "select count(*)::text || ' by ' || coalesce(min(by), 'nobody') from public.tripped";
    observe(&mut world.admin().await, sql).await
}

const NOBODY: &str = "Some(\"0 by nobody\")";

#[tokio::test]
async fn a_statement_of_the_name_that_a_reset_might_use_is_not_run() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, TRIPPED).await;
    create_perform(&world).await;
    run(
        &mut admin,
        "create function tenant_acme.trap() returns bigint language plpgsql as \
         'begin insert into public.tripped values (''prepared'', session_user); return 1; end'; \
         create function tenant_acme.perform(command text) returns void language plpgsql as \
         'begin execute command; end'",
    )
    .await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for name in ["tenantry_reset", "tenantry", "reset"] {
        for call in ["select perform($1)", "select public.perform($1)"] {
            let trap = format!(
                "prepare {name} (int8, float8) as select tenant_acme.trap() as tenantry_echo, $1, $2"
            );
            sqlx::query(call).bind(trap).execute(&acme).await?;
            for _ in 0..3 {
                assert_eq!(name_of(&globex).await?, "globex");
                assert_eq!(name_of(&acme).await?, "acme");
            }
        }
    }
    assert_eq!(tripped(&world).await, NOBODY);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn answers_that_were_forged_ahead_are_not_taken_for_those_to_a_reset() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    assert_eq!(name_of(&globex).await?, "globex");
    for round in 0..6_i64 {
        for ahead in 1..6 {
            let mut forged = String::from("copy (select 1) to stdout");
            for echo in round..round + ahead {
                // What a reset has answered with in one version or another, and the next tenant's row.
                forged += &format!(
                    "; select {echo}::int8 as tenantry_echo, pg_backend_pid(), null::oid, 1, 1, true, \
                     0::int8; select 1::int8 as tenantry_alike, false, 0::int8, false; \
                     select 'forged by acme'::text as name"
                );
            }
            let mut lease = acme.acquire().await?;
            if let Ok(mut out) = lease.copy_out_raw(&forged).await {
                drop(out.next().await);
            }
            drop(lease);
            for _ in 0..3 {
                if let Ok(name) = name_of(&globex).await {
                    assert_eq!(name, "globex", "round {round}, {ahead} ahead");
                }
            }
        }
    }
    assert_eq!(name_of(&globex).await?, "globex");
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}

/// Operators that a reset, or anything else of the library, might look up, in a tenant's schema.
fn planted_operators() -> String {
    let types = [
        ("int4", "int4"),
        ("int8", "int8"),
        ("text", "text"),
        ("name", "name"),
        ("name", "text"),
        ("text", "name"),
        ("oid", "oid"),
        ("bool", "bool"),
        ("\"char\"", "\"char\""),
        ("timestamptz", "timestamptz"),
        ("varchar", "text"),
        ("int4", "oid"),
        ("regclass", "oid"),
    ];
    let mut sql = String::new();
    for (index, (left, right)) in types.into_iter().enumerate() {
        for (name, operator) in [("eq", "="), ("ne", "<>"), ("gt", ">")] {
            sql += &format!(
                "create function tenant_acme.{name}{index}({left}, {right}) returns bool \
                 language plpgsql as 'begin insert into public.tripped values (''{operator} {index}'', \
                 session_user); return true; end'; \
                 create operator tenant_acme.{operator} (function = tenant_acme.{name}{index}, \
                 leftarg = {left}, rightarg = {right}); "
            );
        }
    }
    sql
}

#[tokio::test]
async fn a_search_path_that_a_tenant_has_made_the_roles_default_changes_nothing() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, TRIPPED).await;
    run(&mut admin, &planted_operators()).await;
    create_perform(&world).await;
    let manager = world.one_session();
    let acme = manager.tenant("acme").await?;
    // As SQL of a tenant can, with the rights of the manager's login.
    let default = "do $$ begin execute format('alter role current_user in database %I \
                   set search_path to tenant_acme, pg_catalog', current_database()); end $$";
    sqlx::query("select public.perform($1)").bind(default).execute(&acme).await?;
    run(&mut world.admin().await, "select now() = now(), 1 <> 2").await;
    assert_ne!(tripped(&world).await, NOBODY, "what was planted is not found");
    run(&mut admin, "truncate public.tripped").await;
    // In the sessions of this process, and in those of every other from now on.
    for manager in [manager, world.one_session(), world.manager()] {
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        for _ in 0..3 {
            assert_eq!(name_of(&globex).await?, "globex");
            drop(try_run(&mut *globex.acquire().await?, "set work_mem = '1MB'; begin").await);
            assert_eq!(name_of(&mut *globex.begin().await?).await?, "globex");
            assert_eq!(name_of(&acme).await?, "acme");
            run(&mut *acme.acquire().await?, "prepare p as select 1").await;
        }
        let report = manager.health(tenantry::HealthOptions::default()).await;
        assert!(report.healthy);
        manager.close().await;
    }
    assert_eq!(tripped(&world).await, NOBODY);
    Ok(())
}
