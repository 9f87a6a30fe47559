//! Statements that are kept from one tenant to the next neither fail nor answer wrongly, whatever the
//! tenants have made differently.

use tenantry::{FixedCatalog, TenantDb, TenantId, TenantRecord};

use crate::leak_statements::{TENANTS, both, in_each, in_one};
use crate::support::{TestResult, World, code_of, name_of, run};

/// Runs a statement for both tenants in turn, in every way, and checks each answer.
async fn in_turn(world: &World, sql: &'static str, answers: [&str; 2]) -> TestResult {
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    for round in 0..6 {
        for (db, answer) in [&acme, &globex].into_iter().zip(answers) {
            let text = |result: sqlx::Result<String>| {
                result.map_err(|error| format!("{sql}, round {round}: {}", code_of(&error)))
            };
            let query = || sqlx::query_scalar::<_, String>(sql);
            assert_eq!(text(query().fetch_one(db).await)?, answer, "{sql}");
            let mut tx = db.begin().await?;
            assert_eq!(text(query().fetch_one(&mut *tx).await)?, answer, "{sql} in a transaction");
            tx.commit().await?;
            let mut lease = db.acquire().await?;
            assert_eq!(text(query().fetch_one(&mut *lease).await)?, answer, "{sql} on a lease");
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn where_collations_are_each_tenants_own() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let made = "create collation ci (provider = icu, locale = 'und-u-ks-level2', \
                deterministic = false); create table people (name text collate ci); \
                insert into people values ('{tenant}')";
    in_each(&world, made).await;
    in_turn(&world, "select name from people", TENANTS).await?;
    in_turn(&world, "select name from people where name = upper(name)", TENANTS).await
}

#[tokio::test]
async fn where_collations_of_columns_differ() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    for (tenant, collation) in [("acme", "C"), ("globex", "POSIX")] {
        let made = format!(
            "create table people (name text collate \"{collation}\"); \
             insert into people values ('{tenant}')"
        );
        in_one(&world, tenant, &made).await;
    }
    in_turn(&world, "select name from people", TENANTS).await
}

#[tokio::test]
async fn where_what_is_looked_up_by_name_differs() -> TestResult {
    for (of_acme, of_globex, sql) in [
        (
            "create function f() returns text language sql as $$ select 'acme' $$",
            "create function f() returns varchar language sql as $$ select 'globex' $$",
            "select f()",
        ),
        (
            "create function f(out x text) language sql as $$ select 'acme' $$",
            "create function f(out y text) language sql as $$ select 'globex' $$",
            "select * from f()",
        ),
        (
            "create function eq(int, int) returns text language sql as $$ select 'acme' $$; \
             create operator === (function = eq, leftarg = int, rightarg = int)",
            "create function eq(int, int) returns varchar language sql as $$ select 'globex' $$; \
             create operator === (function = eq, leftarg = int, rightarg = int)",
            "select 1 === 2",
        ),
        (
            "create domain d as text; create table t (x d); insert into t values ('acme')",
            "create domain d as text; create table t (x d); insert into t values ('globex')",
            "select x from t",
        ),
        (
            "create type pair as (a text, b int); create table t (p pair); \
             insert into t values (row('acme', 1))",
            "create type pair as (b int, a text); create table t (p pair); \
             insert into t values (row(1, 'globex'))",
            "select (p).a from t",
        ),
        (
            "create view v as select name from users",
            "create view v as select name::varchar(40) from users",
            "select name from v",
        ),
        (
            "create table t (k int, x text default 'acme') partition by list (k); \
             create table t1 partition of t for values in (1); insert into t (k) values (1)",
            "create table t (k int, x text default 'globex'); insert into t (k) values (1)",
            "insert into t (k) values (1) returning x",
        ),
        (
            "alter table users enable row level security; alter table users force row level security; \
             create policy p on users using (true)",
            "select 1",
            "select name from users",
        ),
        (
            "create aggregate most(text) (sfunc = textcat, stype = text, initcond = 'ac')",
            "create aggregate most(text) (sfunc = textcat, stype = text, initcond = 'glob')",
            "select most(right(name, case when name = 'acme' then 2 else 2 end)) from users",
        ),
    ] {
        let world = World::with_tenants(&TENANTS).await;
        in_one(&world, "acme", of_acme).await;
        in_one(&world, "globex", of_globex).await;
        in_turn(&world, sql, TENANTS).await?;
    }
    Ok(())
}

#[tokio::test]
async fn where_settings_decide_how_text_is_read() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let record = |id| TenantId::parse(id).map(TenantRecord::new);
    let acme = record("acme")?.setting("standard_conforming_strings", "off");
    let catalog = FixedCatalog::new([acme, record("globex")?]);
    let manager = world.builder().catalog(catalog).max_connections(1).build()?;
    let (acme, globex) = both(&manager).await?;
    for _ in 0..4 {
        for (db, length) in [(&acme, 1), (&globex, 2)] {
            let sql = r"select length('\\')";
            assert_eq!(sqlx::query_scalar::<_, i32>(sql).fetch_one(db).await?, length);
        }
    }
    manager.close().await;
    Ok(())
}

/// What one tenant sets where its connection is handed out decides how the text of its statements is read,
/// and nobody reads it again.
#[tokio::test]
async fn where_they_were_prepared_under_settings_of_a_lease_or_transaction() -> TestResult {
    for (set, sql, acme_says, globex_says) in [
        ("standard_conforming_strings to off", r"select length('\\')::text", "1", "2"),
        ("client_encoding to latin1", "select length('é')::text", "2", "1"),
        (
            "datestyle to 'SQL, DMY'",
            "select '01/02/2020'::date::timestamp::text",
            "01/02/2020 00:00:00",
            "2020-01-02 00:00:00",
        ),
    ] {
        for (local, path) in
            [(true, "tenant_acme"), (false, "tenant_acme"), (false, "tenant_globex")]
        {
            let world = World::with_tenants(&TENANTS).await;
            let manager = world.one_session();
            let (acme, globex) = both(&manager).await?;
            let scope = if local { "local" } else { "session" };
            let set = format!("set {scope} search_path to {path}; set {scope} {set}");
            let text = || sqlx::query_scalar::<_, String>(sql);
            for committed in [true, false] {
                let mut tx = acme.begin().await?;
                run(&mut *tx, &set).await;
                assert_eq!(text().fetch_one(&mut *tx).await?, acme_says, "{set}");
                match committed {
                    true => tx.commit().await?,
                    false => tx.rollback().await?,
                }
                for _ in 0..2 {
                    assert_eq!(text().fetch_one(&globex).await?, globex_says, "{set}");
                }
            }
            let mut lease = acme.acquire().await?;
            run(&mut *lease, &set.replace(" local ", " session ")).await;
            assert_eq!(text().fetch_one(&mut *lease).await?, acme_says, "{set}");
            drop(lease);
            assert_eq!(text().fetch_one(&globex).await?, globex_says, "{set}");
            manager.close().await;
        }
    }
    Ok(())
}

/// A function of the tenant's that the pool has not read yet makes the same difference for statements on a handle.
#[tokio::test]
async fn where_a_function_decides_how_text_is_read() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    for db in [&acme, &globex, &acme] {
        sqlx::query("select 1").execute(db).await?;
    }
    let function = "create function f() returns int language plpgsql as \
                    'begin set standard_conforming_strings to off; return 1; end'";
    in_one(&world, "acme", function).await;
    for sql in [r"select length('\\')", r"select length('\\') + 0", r"select 0 + length('\\')"] {
        let length = || sqlx::query_scalar::<_, i32>(sql);
        sqlx::query("select f()").execute(&acme).await?;
        assert_eq!(length().fetch_one(&acme).await?, 1, "{sql}");
        assert_eq!(length().fetch_one(&globex).await?, 2, "{sql}");
        assert_eq!(length().fetch_one(&acme).await?, 2, "{sql}");
    }
    manager.close().await;
    Ok(())
}

/// Functions keep plans, too, and those that set a search path of their own are not planned anew for
/// another tenant's.
#[tokio::test]
async fn where_a_shared_function_has_planned_under_the_settings_of_another() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    run(
        &mut world.admin().await,
        "create function public.f() returns text language plpgsql set search_path to public as \
         $$ begin return extract(epoch from '2020-01-01 00:00'::timestamptz)::int8::text; end $$",
    )
    .await;
    let record = |id| TenantId::parse(id).map(TenantRecord::new);
    let acme = record("acme")?.setting("timezone", "Asia/Tokyo");
    let globex = record("globex")?.setting("timezone", "UTC");
    let catalog = FixedCatalog::new([acme, globex]);
    let manager = world.builder().catalog(catalog).max_connections(1).build()?;
    let (acme, globex) = both(&manager).await?;
    for _ in 0..3 {
        for (db, epoch) in [(&acme, "1577804400"), (&globex, "1577836800")] {
            let f = sqlx::query_scalar::<_, String>("select public.f()");
            assert_eq!(f.fetch_one(db).await?, epoch);
        }
    }
    manager.close().await;
    Ok(())
}

/// What one tenant's DDL does to another: the session has statements that were prepared for tables that
/// look different by now.
#[tokio::test]
async fn ddl_of_one_tenant_fails_no_transaction_of_another() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    let columns = async |db: &TenantDb| -> sqlx::Result<usize> {
        let mut tx = db.begin().await?;
        let row = sqlx::query("select * from users").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(sqlx::Row::len(&row))
    };
    let on_lease = async |db: &TenantDb| -> sqlx::Result<usize> {
        let row = sqlx::query("select * from users").fetch_one(&mut *db.acquire().await?).await?;
        Ok(sqlx::Row::len(&row))
    };
    for round in 0..10 {
        for db in [&acme, &globex] {
            columns(db).await.ok();
        }
        in_one(&world, "acme", &format!("alter table users add c{round} int")).await;
        let mut failed = 0;
        for _ in 0..3 {
            failed += usize::from(columns(&acme).await.is_err());
            failed += usize::from(on_lease(&acme).await.is_err());
            for read in [columns(&globex).await, on_lease(&globex).await] {
                assert_eq!(read.map_err(|error| code_of(&error)), Ok(2), "round {round}");
            }
        }
        assert!(failed <= 1, "{failed} of the altered tenant failed on one connection");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_on_a_hit_keeps_its_statements() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = world.one_session();
    let (acme, globex) = both(&manager).await?;
    name_of(&globex).await?;
    let kept = async || -> Result<usize, Box<dyn std::error::Error>> {
        let mut tx = acme.begin().await?;
        let before = tx.cached_statements_size();
        name_of(&mut *tx).await?;
        tx.commit().await?;
        Ok(before)
    };
    use sqlx::Connection;
    assert_eq!(kept().await?, 0, "those of globex go");
    assert_eq!(kept().await?, 1, "its own stay");
    run(&mut *acme.acquire().await?, "select 1").await;
    manager.close().await;
    Ok(())
}
