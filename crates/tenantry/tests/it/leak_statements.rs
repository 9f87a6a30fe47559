//! Statements that one tenant has prepared never show another tenant's data, nor fail for it.

use futures_util::StreamExt;
use sqlx::Connection;
use tenantry::{TenantDb, TenantManager};

use crate::support::{
    TestResult, World, code_of, create_perform, eventually, name_of, observe, pid_of, run,
};

pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

pub(crate) async fn both(manager: &TenantManager) -> Result<(TenantDb, TenantDb), tenantry::Error> {
    Ok((manager.tenant("acme").await?, manager.tenant("globex").await?))
}

/// Runs SQL in each tenant's schema, with `{tenant}` in it replaced.
pub(crate) async fn in_each(world: &World, sql: &str) {
    let mut admin = world.admin().await;
    for tenant in TENANTS {
        let sql = sql.replace("{tenant}", tenant);
        run(&mut admin, &format!("set search_path to tenant_{tenant}; {sql}")).await;
    }
}

pub(crate) async fn in_one(world: &World, tenant: &str, sql: &str) {
    let mut admin = world.admin().await;
    run(&mut admin, &format!("set search_path to tenant_{tenant}; {sql}")).await;
}

/// How many statements sqlx has prepared on the session.
async fn prepared(db: &TenantDb) -> Result<usize, tenantry::Error> {
    Ok(db.acquire().await?.cached_statements_size())
}

#[tokio::test]
async fn statements_stay_where_tables_look_the_same() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    assert_eq!(name_of(&acme).await?, "acme");
    assert_eq!(name_of(&globex).await?, "globex");
    let kept = "select count(*) from pg_prepared_statements where statement like '%from users%'";
    assert_eq!(observe(&globex, kept).await, "Some(\"1\")", "the statement of acme was kept");
    assert_eq!(prepared(&globex).await?, 0, "a lease has no statements of others");
    assert_eq!(name_of(&acme).await?, "acme");
    assert_eq!(name_of(&mut *acme.acquire().await?).await?, "acme");
    assert_eq!(name_of(&mut *globex.begin().await?).await?, "globex");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn statements_go_where_the_option_says_so() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.with_pool(|options| {
        options.max_connections = 1;
        options.keep_statements = false;
    });
    let (acme, globex) = both(&manager).await?;
    assert_eq!(name_of(&acme).await?, "acme");
    assert_eq!(prepared(&globex).await?, 0);
    assert_eq!(name_of(&globex).await?, "globex");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tables_of_different_shape_work_in_one_session() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    in_one(&world, "acme", "create table t as select 1 as a, 'acme' as b").await;
    in_one(&world, "globex", "create table t as select 'globex' as b, 2::int8 as c, 1 as a").await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    let pid = pid_of(&acme).await?;
    for _ in 0..3 {
        let a: (i32, String) = sqlx::query_as("select * from t").fetch_one(&acme).await?;
        assert_eq!(a, (1, "acme".into()));
        let mut tx = globex.begin().await?;
        let b: (String, i64, i32) = sqlx::query_as("select * from t").fetch_one(&mut *tx).await?;
        assert_eq!(b, ("globex".into(), 2, 1));
        tx.commit().await?;
    }
    assert_eq!(pid_of(&globex).await?, pid);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn procedures_that_commit_are_never_run_twice() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    in_each(
        &world,
        "create table done (i int); create procedure p() language plpgsql as \
         'begin insert into done values (1); commit; perform missing from done; end'",
    )
    .await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    let halfway = "insert into done values (1); commit; select missing from done";
    for (runs, db) in [&acme, &globex, &acme, &globex].into_iter().enumerate() {
        // The session has statements of the other tenant now.
        name_of(db).await?;
        for sql in ["call p()", "do 'begin call p(); end'"] {
            let error = sqlx::query(sql).execute(db).await.expect_err("the column is missing");
            assert_eq!(code_of(&error), "error 42703");
        }
        sqlx::raw_sql(halfway).execute(db).await.expect_err("the column is missing");
        let mut rows = sqlx::raw_sql(halfway).fetch(db);
        while let Some(step) = rows.next().await {
            if let Err(error) = step {
                assert_eq!(code_of(&error), "error 42703");
            }
        }
        drop(rows);
        let done: i64 = sqlx::query_scalar("select count(*) from done").fetch_one(db).await?;
        assert_eq!(usize::try_from(done)?, 4 * (runs / 2 + 1));
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn ddl_after_a_statement_was_prepared_is_not_seen_by_a_handle() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    for db in [&acme, &globex] {
        sqlx::query("select * from users").fetch_all(db).await?;
    }
    in_one(&world, "acme", "alter table users add age int default 7").await;
    for db in [&acme, &globex, &acme, &globex] {
        let rows = sqlx::query("select * from users").fetch_all(db).await?;
        let columns = if std::ptr::eq(db, &raw const acme) { 3 } else { 2 };
        assert_eq!(sqlx::Row::len(&rows[0]), columns);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn ddl_after_a_statement_was_prepared_fails_a_transaction_at_most_once() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, _) = both(&manager).await?;
    let select = async || -> sqlx::Result<usize> {
        let mut tx = acme.begin().await?;
        let row = sqlx::query("select * from users").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(sqlx::Row::len(&row))
    };
    assert_eq!(select().await?, 2);
    in_one(&world, "acme", "alter table users add age int default 7").await;
    let first = select().await.map_err(|error| code_of(&error));
    let second = select().await.map_err(|error| code_of(&error));
    assert!(matches!(&first, Ok(3)) || first == Err("error 0A000".into()), "{first:?}");
    assert_eq!(second, Ok(3));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn ddl_after_a_statement_was_prepared_fails_leases_for_a_moment_at_most() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, _) = both(&manager).await?;
    let select = async || -> sqlx::Result<usize> {
        let mut lease = acme.acquire().await?;
        let row = sqlx::query("select * from users").fetch_one(&mut *lease).await?;
        Ok(sqlx::Row::len(&row))
    };
    assert_eq!(select().await?, 2);
    in_one(&world, "acme", "alter table users add age int default 7").await;
    let message = "the statement is prepared anew";
    eventually(message, async || select().await.is_ok_and(|columns| columns == 3)).await;
    manager.close().await;
    Ok(())
}

const DEALLOCATE_ONE: &str = "do $$ begin execute (select format('deallocate %I', name) \
     from pg_prepared_statements where not from_sql limit 1); end $$";

#[tokio::test]
async fn deallocating_everything_breaks_nobodys_statements() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    create_perform(&world).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    for command in ["discard all", "deallocate all", DEALLOCATE_ONE] {
        for next in [&acme, &globex] {
            name_of(&mut *acme.acquire().await?).await?;
            run(&mut *acme.acquire().await?, command).await;
            let name = name_of(next).await;
            assert_eq!(name.map_err(|e| code_of(&e))?, next.tenant().id().as_str(), "{command}");

            name_of(&acme).await?;
            run(&acme, command).await;
            let name = name_of(&mut *next.acquire().await?).await;
            assert_eq!(name.map_err(|e| code_of(&e))?, next.tenant().id().as_str(), "{command}");
        }
    }
    // Hidden in a query, it is found out when the statement is missed.
    name_of(&acme).await?;
    sqlx::query("select public.perform('deallocate all')").execute(&acme).await?;
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}
