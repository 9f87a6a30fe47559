//! A table of an earlier release works as it is, and is upgraded by `create_table`.

use std::time::{Duration, Instant};

use tenantry::{ErrorKind, TableCatalog};

use super::told;
use crate::support::{TestResult, World, eventually, name_of, observe, run, try_run};

/// As `create_table` of the first releases has made it.
const FIRST_FORM: &str = "create table tenants (id text primary key, container text unique, \
     state text not null default 'active' check (state = any (array['active', 'suspended'])), \
     created_at timestamptz not null default now(), \
     attributes jsonb not null default '{}', step text)";

async fn old_world() -> World {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, FIRST_FORM).await;
    run(
        &mut admin,
        "insert into tenants (id, container, state) values ('acme', 'tenant_acme', 'active'), \
         ('globex', null, 'active'), ('gone', 'tenant_gone', 'suspended')",
    )
    .await;
    world
}

/// The columns, constraints and indexes of the table.
async fn form(world: &World) -> String {
    let sql = "select string_agg(line, '; ' order by line) from ( \
         select attname || ' ' || format_type(atttypid, atttypmod) as line from pg_attribute \
         where attrelid = 'tenants'::regclass and attnum > 0 \
         union all select pg_get_constraintdef(oid) from pg_constraint \
         where conrelid = 'tenants'::regclass and contype <> 'n' \
         union all select pg_get_indexdef(indexrelid) from pg_index \
         where indrelid = 'tenants'::regclass) of";
    observe(&mut world.admin().await, sql).await
}

#[tokio::test]
async fn a_table_of_the_first_form_is_served_and_upgraded() -> TestResult {
    let world = old_world().await;
    let manager = told(&world);
    for tenant in ["acme", "globex"] {
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    assert_eq!(manager.tenant("gone").await.unwrap_err().kind(), ErrorKind::Suspended);
    assert_eq!(manager.tenant("acme").await?.tenant().placement().epoch(), 1);
    let mut admin = world.admin().await;
    let moving = "update tenants set state = 'moving' where id = 'globex'";
    assert!(try_run(&mut admin, moving).await.is_err(), "the old condition is in force");

    TableCatalog::new().create_table(manager.shared()).await?;
    let upgraded = form(&world).await;
    TableCatalog::new().create_table(manager.shared()).await?;
    assert_eq!(form(&world).await, upgraded, "nothing was missing any more");
    let other = World::new().await;
    let anew = other.manager();
    TableCatalog::new().create_table(anew.shared()).await?;
    assert_eq!(form(&other).await, upgraded, "a new table is of the same form");
    anew.close().await;

    run(&mut admin, moving).await;
    for (sql, code) in [
        ("update tenants set state = 'odd' where id = 'gone'", "23514"),
        ("insert into tenants (id, container) values ('a', 'tenant_acme')", "23505"),
        (
            "insert into tenants (id, container, server) values ('a', 'tenant_acme', 'main')",
            "23505",
        ),
        ("insert into tenants (id, epoch) values ('a', null)", "23502"),
    ] {
        let error = try_run(&mut admin, sql).await.expect_err(sql);
        assert_eq!(crate::support::code_of(&error), format!("error {code}"), "{sql}");
    }
    run(
        &mut admin,
        "insert into tenants (id, container, server, database) values \
         ('a', 'tenant_acme', 'eu-1', null), ('b', 'tenant_acme', null, 'b'); \
         insert into tenants (id, isolation, key, server) values \
         ('c', 'row', '1', null), ('d', 'row', '1', 'eu-1'), ('e', 'row', null, null)",
    )
    .await;
    let again = "insert into tenants (id, isolation, key, server) values ('f', 'row', '1', 'main')";
    assert!(try_run(&mut admin, again).await.is_err(), "the key is another tenant's");
    for tenant in ["acme", "globex"] {
        manager.invalidate(tenant).await;
        assert_eq!(name_of(&manager.tenant(tenant).await?).await?, tenant);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_upgrade_does_not_wait_long_for_a_lock() -> TestResult {
    let world = old_world().await;
    let manager = told(&world);
    let before = form(&world).await;
    let mut other = world.admin().await;
    run(&mut other, "begin; lock table tenants in access share mode").await;
    let began = Instant::now();
    let upgraded = tokio::spawn({
        let manager = manager.clone();
        async move { TableCatalog::new().create_table(manager.shared()).await }
    });
    eventually("it has given up", async || upgraded.is_finished()).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop(upgraded.await?);
    assert_eq!(form(&world).await, before);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    run(&mut other, "commit").await;
    TableCatalog::new().create_table(manager.shared()).await?;
    assert!(form(&world).await.contains("epoch bigint"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn columns_of_another_type_are_refused_and_left_alone() -> TestResult {
    let world = old_world().await;
    let mut admin = world.admin().await;
    run(&mut admin, "alter table tenants add server int, add epoch text").await;
    let before = form(&world).await;
    let manager = told(&world);
    let error = TableCatalog::new().create_table(manager.shared()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("column server is integer; expected text"), "{text}");
    assert!(text.contains("column epoch is text; expected bigint"), "{text}");
    assert_eq!((error.kind(), form(&world).await), (ErrorKind::Config, before));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn conditions_of_the_owner_are_kept() -> TestResult {
    let world = old_world().await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "alter table tenants drop constraint tenants_state_check, \
         add constraint mine check (state in ('active', 'suspended', 'trial'))",
    )
    .await;
    let manager = told(&world);
    TableCatalog::new().create_table(manager.shared()).await?;
    assert!(form(&world).await.contains("'trial'"));
    manager.close().await;
    Ok(())
}
