//! A clone that cannot be what it should leaves nothing.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tenantry::{ErrorKind, Ident, clone::CloneOptions, provision::Provisioner};
use tenantry_devdb::DevServer;
use tokio::time::timeout;

use super::shop::{self, Shop};
use crate::support::{World, connect, eventually_within, observe, run, try_run};

/// Nothing is left of any clone; what has a provisional name is swept.
async fn expect_nothing_but(admin: &mut PgConnection, sweeper: Option<&Provisioner>) {
    let sql = "select count(*)::text from pg_namespace where nspname = 'tenant_copy' or nspname like 'tenantry%'";
    // A statement of a session that was cut off ends first; how soon depends on the load of the machine.
    let patience = Duration::from_secs(30);
    eventually_within(patience, "the sessions are idle", async || {
        let busy = "select count(*)::text from pg_stat_activity where datname = current_database() \
                    and application_name like 'tenantry/%' and state <> 'idle'";
        observe(&mut *admin, busy).await == "Some(\"0\")"
    })
    .await;
    // It was committed before it was cut off.
    let relations = |schema| {
        format!(
            "select count(*)::text from pg_class where relnamespace = to_regnamespace('{schema}')"
        )
    };
    let copied = observe(&mut *admin, &relations("tenant_copy")).await;
    if copied != "Some(\"0\")" {
        assert_eq!(copied, observe(&mut *admin, &relations("tenant_shop")).await);
        run(&mut *admin, "drop schema tenant_copy cascade").await;
    }
    eventually_within(patience, "nothing is left", async || {
        if let Some(sweeper) = sweeper {
            sweeper.fill_spares(0).await.expect("the server runs");
        }
        observe(&mut *admin, sql).await == "Some(\"0\")"
    })
    .await;
}

#[tokio::test]
async fn a_tenant_that_is_there_is_left_alone() {
    let mut shop = Shop::new().await;
    run(&mut shop.admin, "create schema tenant_copy; create table tenant_copy.theirs (a int)")
        .await;
    let manager = shop.manager();
    for connections in [1, 2] {
        let options = CloneOptions::default().data(true).connections(connections);
        let refused = manager.provisioner().clone_tenant("shop", "copy", options).await;
        assert_eq!(refused.expect_err("it is there").kind(), ErrorKind::TenantExists);
    }
    let sql = "select count(*)::text from tenant_copy.theirs";
    assert_eq!(observe(&mut shop.admin, sql).await, "Some(\"0\")");
    let provisioner = manager.provisioner();
    let refused = provisioner.clone_tenant("nobody", "copy2", CloneOptions::default());
    assert_eq!(refused.await.expect_err("no such tenant").kind(), ErrorKind::UnknownTenant);
    manager.close().await;
}

/// A clone that is dropped leaves nothing behind, whenever that happens.
#[tokio::test]
async fn a_clone_that_is_cancelled_leaves_nothing() {
    let mut shop = Shop::new().await;
    let manager = shop.manager();
    let provisioner = manager.provisioner();
    let mut was_cancelled = 0;
    for millis in (5..600).step_by(45) {
        for connections in [1, 2] {
            let options = CloneOptions::default().data(true).connections(connections);
            let cloning = provisioner.clone_tenant("shop", "copy", options);
            let done = timeout(Duration::from_millis(millis), cloning).await;
            if let Ok(done) = done {
                done.expect("nothing is in the way");
                run(&mut shop.admin, "drop schema tenant_copy cascade").await;
                continue;
            }
            was_cancelled += 1;
            let sweeper = (connections > 1).then_some(&provisioner);
            expect_nothing_but(&mut shop.admin, sweeper).await;
        }
    }
    assert!(was_cancelled > 2);
    manager.close().await;
}

/// Who is no superuser and owns everything can clone it. A policy that hides rows from the owner, too, is an error, and
/// no smaller copy.
#[tokio::test]
async fn an_owner_clones_what_no_policy_hides() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let database = world.database.name();
    run(
        &mut admin,
        &format!(
            "create role zq_keeper_of_shops login; \
             grant create on database {database} to zq_keeper_of_shops; \
             grant create on schema public to zq_keeper_of_shops"
        ),
    )
    .await;
    let url = world.database.url().replacen("postgres@", "zq_keeper_of_shops@", 1);
    let mut keeper = connect(&url).await;
    shop::build(&mut keeper, "tenant_shop").await;
    let manager = shop::manager(&url, "tenant_shop");
    let provisioner = manager.provisioner();
    for (id, connections) in [("one", 1), ("two", 2)] {
        let options = CloneOptions::default().data(true).connections(connections);
        provisioner.clone_tenant("shop", id, options).await.expect("it is cloned");
    }
    run(&mut keeper, "alter table tenant_shop.users force row level security").await;
    for connections in [1, 2] {
        let options = CloneOptions::default().data(true).connections(connections);
        let refused = provisioner.clone_tenant("shop", "copy", options).await;
        let error = refused.expect_err("it does not see all rows");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        assert!(error.to_string().contains("users"), "{error}");
        expect_nothing_but(&mut admin, Some(&provisioner)).await;
    }
    // The structure alone has no rows that could be hidden.
    provisioner.clone_tenant("shop", "three", CloneOptions::default()).await.expect("it is cloned");
    manager.close().await;
    keeper.close().await.expect("it is open");
    run(&mut admin, "drop owned by zq_keeper_of_shops cascade; drop role zq_keeper_of_shops").await;
}

/// A server with room for few locks.
#[tokio::test]
async fn what_needs_more_locks_than_there_are_is_cloned_in_steps() {
    let server = DevServer::builder()
        .setting("max_locks_per_transaction", "10")
        .setting("max_connections", "20")
        .start()
        .await
        .expect("a server can be started");
    let mut admin = connect(&server.url()).await;
    shop::build(&mut admin, "tenant_shop").await;
    let manager = shop::manager(&server.url(), "tenant_shop");
    let options = CloneOptions::default().data(true);
    let report = manager.provisioner().clone_tenant("shop", "copy", options).await;
    assert!(report.expect("it is cloned").rows() > 1_000);
    manager.close().await;
}

#[tokio::test]
async fn limits_of_the_server_do_not_cut_a_clone_off() {
    let mut shop = Shop::new().await;
    let database: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&mut shop.admin)
        .await
        .expect("the server runs");
    run(
        &mut shop.admin,
        &format!(
            "alter database {database} set statement_timeout = '30ms'; \
             alter database {database} set idle_in_transaction_session_timeout = '30ms'; \
             alter database {database} set default_tablespace = 'pg_default'; \
             alter database {database} set search_path = tenant_shop; \
             alter database {database} set check_function_bodies = on; \
             alter database {database} set datestyle = 'german'; \
             alter database {database} set intervalstyle = 'sql_standard'"
        ),
    )
    .await;
    shop.admin = shop.world.admin().await;
    run(&mut shop.admin, "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        .await;
    let manager = shop.manager();
    for (id, connections) in [("copy", 1), ("copy2", 2)] {
        let options = CloneOptions::default().data(true).connections(connections);
        manager.provisioner().clone_tenant("shop", id, options).await.expect("it is cloned");
        shop.expect_equal_rows(&format!("tenant_{id}")).await;
    }
    manager.close().await;
}

#[tokio::test]
async fn a_source_that_is_altered_meanwhile_waits_or_is_copied_as_it_was() {
    let mut shop = Shop::new().await;
    let manager = shop.manager();
    let mut other = shop.world.admin().await;
    let altering = async {
        for number in 0..40 {
            let sql = format!(
                "set lock_timeout = '10s'; alter table tenant_shop.folders add column c{number} int default {number}; \
                 create or replace function tenant_shop.is_fine(text) returns bool immutable language sql \
                 as 'select $1 is distinct from ''bad{number}'''"
            );
            run(&mut other, &sql).await;
        }
    };
    let cloning = async {
        let (mut copied, mut busy) = (0, 0);
        for number in 0..6 {
            let id = format!("copy{number}");
            let options = CloneOptions::default().data(true);
            match manager.provisioner().clone_tenant("shop", &*id, options).await {
                Ok(_) => copied += 1,
                Err(error) if error.kind() == ErrorKind::Busy => busy += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        (copied, busy)
    };
    let ((), (copied, busy)) = tokio::join!(altering, cloning);
    eprintln!("{copied} were copied, {busy} were told to try again");
    for number in 0..6 {
        let there = format!("select count(*) from tenant_copy{number}.users where id > 0");
        // What is there is whole.
        if try_run(&mut shop.admin, &there).await.is_ok() {
            let sql = format!("select count(*)::text from tenant_copy{number}.orders");
            assert_eq!(observe(&mut shop.admin, &sql).await, "Some(\"500\")");
        }
    }
    manager.close().await;
}

#[tokio::test]
async fn a_role_of_the_sources_own_becomes_the_clones() {
    let mut shop = Shop::new().await;
    run(
        &mut shop.admin,
        "create role zq_clone_a; create role zq_clone_b; grant usage on schema tenant_shop to zq_clone_a; \
         grant select, insert on tenant_shop.folders to zq_clone_a; \
         alter table tenant_shop.hens owner to zq_clone_a; grant create on schema tenant_shop to zq_clone_a",
    )
    .await;
    let record = tenantry::TenantRecord::new(tenantry::TenantId::parse("shop").expect("an id"));
    let record = record.role(Ident::parse("zq_clone_a").expect("an identifier"));
    let manager = shop
        .world
        .builder()
        .isolation(tenantry::Isolation::schema("tenant_{id}"))
        .catalog(tenantry::FixedCatalog::new([record]))
        .build()
        .expect("it is sound");
    let provisioner = manager.provisioner();
    let refused =
        provisioner.clone_tenant("shop", "copy", CloneOptions::default().data(true)).await;
    assert_eq!(refused.expect_err("it has no role").kind(), ErrorKind::Config);
    let role = Ident::parse("zq_clone_b").expect("an identifier");
    let options = CloneOptions::default().data(true).role(role);
    provisioner.clone_tenant("shop", "copy", options).await.expect("it is cloned");
    for (sql, expected) in [
        (
            "select tableowner::text from pg_tables where schemaname = 'tenant_copy' and tablename = 'hens'",
            "zq_clone_b",
        ),
        ("select has_table_privilege('zq_clone_b', 'tenant_copy.folders', 'insert')::text", "true"),
        (
            "select has_table_privilege('zq_clone_a', 'tenant_copy.folders', 'insert')::text",
            "false",
        ),
        (
            "select has_table_privilege('zq_clone_b', 'tenant_shop.folders', 'insert')::text",
            "false",
        ),
    ] {
        assert_eq!(observe(&mut shop.admin, sql).await, format!("Some({expected:?})"), "{sql}");
    }
    manager.close().await;
    let mut admin = shop.world.admin().await;
    run(&mut admin, "drop schema tenant_shop cascade; drop schema tenant_copy cascade; drop owned by zq_clone_a, zq_clone_b; drop role zq_clone_a, zq_clone_b").await;
    admin.close().await.expect("it is open");
}
