//! Tenants whose rows are in the same tables never see each other's.

mod ground;
mod storm;

use ground::{Ground, record};
use tenantry::{ErrorKind, IsolationKind, KeyType, TenantDb};

use crate::support::{TestResult, code_of, observe, pid_of, run, try_run};

async fn names(db: &TenantDb) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("select name from users order by name").fetch_all(db).await
}

#[tokio::test]
async fn each_handle_sees_and_writes_its_own_rows() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&["acme", "globex"]).await;
    let manager = ground.manager(1, &["acme", "globex"]);
    for id in ["acme", "globex", "acme"] {
        let db = manager.tenant(id).await?;
        assert_eq!(db.tenant().placement().isolation(), IsolationKind::Row);
        assert_eq!(db.tenant().placement().key(), Some(id));
        assert_eq!(names(&db).await?, [id]);
        let plans: String = sqlx::query_scalar("select name from plans").fetch_one(&db).await?;
        assert_eq!(plans, "free", "what belongs to everybody");
    }
    let acme = manager.tenant("acme").await?;
    sqlx::query("insert into users (name) values ('ann')").execute(&acme).await?;
    assert_eq!(names(&acme).await?, ["acme", "ann"]);
    for refused in [
        "insert into users (tenant_id, name) values ('globex', 'spy')",
        "update users set tenant_id = 'globex'",
    ] {
        assert_eq!(
            code_of(&try_run(&acme, refused).await.unwrap_err()),
            "error 42501",
            "{refused}"
        );
    }
    let changed =
        sqlx::query("update users set name = 'x' where name = 'globex'").execute(&acme).await?;
    assert_eq!(changed.rows_affected(), 0);
    let globex = manager.tenant("globex").await?;
    assert_eq!(names(&globex).await?, ["globex"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_shared_handle_has_no_key() -> TestResult {
    let ground = Ground::new(KeyType::BigInt).await.with_users(&["7"]).await;
    let mut admin = ground.world.admin().await;
    run(&mut admin, "do $$ begin create role rows_nobody; exception when duplicate_object or unique_violation then null; end $$;
         grant usage on schema public to rows_nobody; grant select, insert on users to rows_nobody").await;
    let manager = ground.manager(1, &["7"]);
    assert_eq!(names(&manager.tenant("7").await?).await?, ["7"]);
    let setting = "select current_setting('tenantry.tenant', true)";
    let shared = manager.shared();
    assert!(["None", "Some(\"\")"].contains(&&*observe(shared, setting).await));
    let mut lease = shared.acquire().await?;
    run(&mut *lease, "set role rows_nobody").await;
    assert_eq!(observe(&mut *lease, "select count(*)::text from users").await, "Some(\"0\")");
    assert_eq!(observe(&mut *lease, "insert into users (name) values ('x')").await, "error 42501");
    drop(lease);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn keys_are_of_their_type() -> TestResult {
    let uuid = "0188e3a5-6c1b-7b3e-9d4f-0a1b2c3d4e5f";
    for (of, key, same, wrong) in [
        (KeyType::Uuid, uuid, "0188E3A56C1B7B3E9D4F0A1B2C3D4E5F", "42"),
        (KeyType::BigInt, "42", "+042", "acme"),
        (KeyType::Text, "it's \\ \"x\"", "it's \\ \"x\"", ""),
    ] {
        let ground = Ground::new(of).await;
        let tenants = [record("acme").key(key), record("globex").key(wrong)];
        let manager = ground.builder([tenants[0].clone()]).max_connections(1).build()?;
        let db = manager.tenant("acme").await?;
        sqlx::query("insert into users (name) values ('ann')").execute(&db).await?;
        assert_eq!(names(&db).await?, ["ann"], "{of:?}");
        manager.close().await;
        // A record that cannot be placed is refused when the manager is built from it.
        assert!(ground.builder(tenants.clone()).build().is_err(), "{of:?} {wrong}");
        // So are two tenants with one key, however it is written.
        let twice = [tenants[0].clone(), record("globex").key(same)];
        let error = ground.builder(twice).build().unwrap_err().to_string();
        assert!(error.contains("already belongs to tenant acme"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn statements_and_connections_are_kept_from_one_tenant_to_the_next() -> TestResult {
    let ids: Vec<_> = (0..300).map(|n| format!("t{n}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let ground = Ground::new(KeyType::Text).await.with_users(&ids).await;
    let manager = ground.manager(1, &ids);
    let mut pids = std::collections::HashSet::new();
    let kept = "select count(*) from pg_catalog.pg_prepared_statement() where statement like 'select name%'";
    for id in &ids {
        let db = manager.tenant(*id).await?;
        assert_eq!(names(&db).await?, [*id]);
        let prepared: i64 = sqlx::query_scalar(kept).persistent(false).fetch_one(&db).await?;
        assert_eq!(prepared, 1);
        pids.insert(pid_of(&db).await?);
    }
    assert_eq!(pids.len(), 1, "the tables of all tenants are the same, so no connection is worn");
    let prepared: i64 = sqlx::query_scalar(
        "select sum(generic_plans + custom_plans)::int8 from pg_catalog.pg_prepared_statement() \
         where statement like 'select name%'",
    )
    .persistent(false)
    .fetch_one(&manager.tenant("t0").await?)
    .await?;
    assert_eq!(prepared, 300, "one statement served all tenants");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_key_that_a_tenant_has_set_is_gone_before_the_next() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&["acme", "globex"]).await;
    run(
        &mut ground.world.admin().await,
        "create function become(text) returns text language plpgsql as \
         'begin perform set_config(''tenantry.tenant'', $1, false); return $1; end'",
    )
    .await;
    let manager = ground.manager(1, &["acme", "globex"]);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for sql in [
        "set tenantry.tenant = 'globex'",
        "select set_config('tenantry.tenant', 'globex', false)",
        "select become('globex')",
        "set session authorization rows_app; reset all",
        "reset tenantry.tenant",
        "discard all",
        "set row_security = off",
    ] {
        let mut lease = acme.acquire().await?;
        try_run(&mut *lease, sql).await.ok();
        drop(lease);
        assert_eq!(names(&acme).await?, ["acme"], "{sql}");
        assert_eq!(names(&globex).await?, ["globex"], "{sql}");
        try_run(&acme, sql).await.ok();
        assert_eq!(names(&globex).await?, ["globex"], "{sql}");
        assert_eq!(names(&acme).await?, ["acme"], "{sql}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_setting_cannot_be_that_of_a_record() -> TestResult {
    let ground = Ground::new(KeyType::Text).await;
    for name in ["tenantry.tenant", "Tenantry.TENANT", "row_security", "Row_Security"] {
        let record = record("acme").setting(name, "globex");
        let manager = ground.builder([record]).build()?;
        let error = manager.tenant("acme").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{name}");
        assert!(error.to_string().contains(name), "{error}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn other_kinds_are_served_beside_rows() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&["acme"]).await;
    run(
        &mut ground.world.admin().await,
        "create schema tenant_globex; create table tenant_globex.users (id int, name text);
         insert into tenant_globex.users values (1, 'globex');
         grant usage on schema tenant_globex to rows_app; grant select on tenant_globex.users to rows_app",
    )
    .await;
    let tenants = [record("acme"), record("globex").isolation(IsolationKind::Schema)];
    let manager = ground.builder(tenants).max_connections(1).build()?;
    for _ in 0..5 {
        for id in ["acme", "globex"] {
            assert_eq!(names(&manager.tenant(id).await?).await?, [id]);
        }
    }
    let globex = manager.tenant("globex").await?;
    assert_eq!(globex.tenant().placement().isolation(), IsolationKind::Schema);
    let orders = sqlx::query("select from orders").execute(&globex).await;
    assert_eq!(code_of(&orders.unwrap_err()), "error 42P01", "never the tables of the others");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_an_error_and_serves_nothing() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&["acme"]).await;
    let role = tenantry::Ident::parse("nobody_at_all")?;
    let manager = ground.builder([record("acme").role(role)]).max_connections(1).build()?;
    let error = names(&manager.tenant("acme").await?).await.unwrap_err();
    let told = tenantry::ErrorReport::new(&error).to_string();
    assert!(told.contains("nobody_at_all"), "{told}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn settings_of_a_session_contain_the_key() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&["acme", "globex"]).await;
    let manager = ground.manager(1, &["acme", "globex"]);
    for id in ["acme", "globex"] {
        let settings = manager.tenant(id).await?.session_settings();
        let mut admin = ground.world.admin().await;
        for (name, value) in &settings {
            sqlx::query("select set_config($1, $2, false)")
                .bind(name)
                .bind(value)
                .execute(&mut admin)
                .await?;
        }
        let seen = observe(&mut admin, "select string_agg(name, ' ') from users").await;
        assert_eq!(seen, format!("Some({id:?})"), "{settings:?}");
    }
    manager.close().await;
    Ok(())
}
