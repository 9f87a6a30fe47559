//! SQL that ends the transaction, or changes the session, does not reach other tenants.

use sqlx::{Executor, Row, raw_sql};
use tenantry::{Error, ErrorKind, Event, TenantDb, TenantManager};

use super::{Scene, TENANTS};
use crate::support::{
    Heard, TestResult, code_of, eventually, kind_of, name_of, observe, run, try_run,
};

/// What a transaction of a tenant finds in its session.
const STATE: &str = "select current_schemas(false)::text || current_setting('role') || session_user \
    || current_setting('statement_timeout') || coalesce(current_setting('app.key', true), '') \
    || current_setting('row_security') || current_setting('TimeZone') \
    || (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) \
    || (select count(*) from pg_prepared_statements) \
    || (select count(*) from pg_class where relpersistence = 't') \
    || (select count(*) from pg_listening_channels())";

async fn state_of(db: &TenantDb) -> String {
    let row = raw_sql(STATE).fetch_one(db).await.expect("it is a plain query");
    row.try_get(0).expect("it is text")
}

/// Checks that all tenants find the sessions that they would find without any other.
async fn all_find_theirs(manager: &TenantManager, after: &str) {
    for tenant in TENANTS.iter().cycle().take(12) {
        let db = manager.tenant(*tenant).await.expect("it is in the catalog");
        assert_eq!(name_of(&db).await.expect("its table is there"), *tenant, "{after}");
        let expected = format!("{{tenant_{tenant}}}noneapp0onUTC0000");
        assert_eq!(state_of(&db).await, expected, "{after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_concerns_the_session_is_refused() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let (acme, mut admin) = (manager.tenant("acme").await?, scene.admin().await);
    for sql in [
        "commit",
        "; commit",
        "/* a */ rollback and chain",
        "begin",
        "set search_path to tenant_globex",
        "set role pg_monitor",
        "set session authorization app",
        "reset all",
        "discard all",
        "listen news",
        "prepare p as select 1",
        "declare c cursor with hold for select 1",
    ] {
        let refused = try_run(&acme, sql).await.expect_err("it cannot work");
        assert_eq!(kind_of(refused), ErrorKind::BehindPooler, "{sql}");
        #[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
        let prepared = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&acme).await;
        assert_eq!(
            kind_of(prepared.expect_err("it cannot work")),
            ErrorKind::BehindPooler,
            "{sql}"
        );
        all_find_theirs(&manager, sql).await;
    }
    for sql in [
        "select 1; commit; insert into users values (9, 'unbound')",
        "insert into users values (9, 'x'); commit",
        "select 1; set search_path to tenant_globex; select 1",
        "select 1; begin; select 1",
    ] {
        let refused = try_run(&acme, sql).await.expect_err("it is several statements");
        assert_eq!(code_of(&refused), "error 42601", "{sql}");
        all_find_theirs(&manager, sql).await;
    }
    // In a procedure or a block, PostgreSQL refuses it.
    for sql in ["do $$ begin commit; end $$", "do $$ begin rollback; end $$"] {
        assert_eq!(
            code_of(&try_run(&acme, sql).await.expect_err("it is in a transaction")),
            "error 2D000"
        );
    }
    let counted = "select count(*)::text from pg_class where relname = 'users' and relnamespace::regnamespace::text \
                   !~ '^tenant_'";
    assert_eq!(observe(&mut admin, counted).await, "Some(\"0\")");
    for tenant in TENANTS {
        let rows = format!("select count(*)::text from tenant_{tenant}.users");
        assert_eq!(observe(&mut admin, &rows).await, "Some(\"1\")");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_that_a_statement_leaves_is_removed_with_its_commit() -> TestResult {
    let Some(scene) = Scene::new("transaction", "1").await else { return Ok(()) };
    let manager = scene.manager();
    let (acme, mut admin) = (manager.tenant("acme").await?, scene.admin().await);
    let function = "create function tenant_acme.sets() returns int language plpgsql as \
                    $$ begin perform set_config('statement_timeout', '7s', false); \
                    perform set_config('app.key', 'acme', false); return 1; end $$; \
                    create view tenant_acme.setting as select tenant_acme.sets() as one";
    run(&mut admin, function).await;
    for sql in [
        "select set_config('app.key', 'acme', false)",
        "select set_config('search_path', 'tenant_acme', false), set_config('row_security', 'off', false)",
        "select sets()",
        "select one from setting",
        "select pg_advisory_lock(7)",
        "create temp table users (id int, name text)",
        "select 1 as id into temp users",
        "do $$ begin set role pg_monitor; set timezone to 'Asia/Tokyo'; listen news; end $$",
        "do $$ begin execute 'prepare p as select 1'; end $$",
    ] {
        run(&acme, sql).await;
        all_find_theirs(&manager, sql).await;
        let mut tx = acme.begin().await?;
        run(&mut *tx, sql).await;
        tx.commit().await?;
        all_find_theirs(&manager, sql).await;
        let mut tx = acme.begin().await?;
        run(&mut *tx, sql).await;
        drop(tx);
        all_find_theirs(&manager, sql).await;
    }
    // A transaction can set what it likes.
    for sql in [
        "set statement_timeout to '7s'; set role pg_monitor; set timezone to 'Asia/Tokyo'",
        "set search_path to tenant_globex; set session authorization pg_monitor",
        "reset all; set app.key to 'acme'",
        "listen news; prepare p as select 1; create temp table users (id int, name text)",
        "declare c cursor with hold for select 1",
        "discard temp; deallocate all",
    ] {
        let mut tx = acme.begin().await?;
        run(&mut *tx, sql).await;
        tx.commit().await?;
        all_find_theirs(&manager, sql).await;
    }
    manager.close().await;
    Ok(())
}

/// SQL that ends the transaction of a lease, and what follows it in the same string.
const ENDS: [&str; 6] = [
    "commit",
    "rollback",
    "commit; begin",
    "end; start transaction isolation level serializable",
    "commit and chain",
    "rollback; begin; set local search_path to tenant_globex",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_sql_has_ended_cannot_be_committed() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let heard = Heard::default();
    let manager = scene.builder().on_event(heard.hook()).build()?;
    let acme = manager.tenant("acme").await?;
    for (round, end) in ENDS.into_iter().enumerate() {
        let mut tx = acme.begin().await?;
        run(&mut *tx, end).await;
        let refused = Error::from(tx.commit().await.expect_err("it is over"));
        assert_eq!(refused.kind(), ErrorKind::BehindPooler, "{end}: {refused:?}");
        all_find_theirs(&manager, end).await;

        let ended: Result<(), sqlx::Error> = acme
            .transaction(async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
                run(&mut **tx, end).await;
                Ok(())
            })
            .await;
        assert_eq!(kind_of(ended.expect_err("it is over")), ErrorKind::BehindPooler, "{end}");
        all_find_theirs(&manager, end).await;

        // Dropped: only the hooks are told.
        let mut tx = acme.begin().await?;
        run(&mut *tx, end).await;
        drop(tx);
        let told = |event: &&Event| matches!(event, Event::PoolError(of) if of.attempted == "ending a transaction");
        eventually("it is told", async || heard.all().iter().filter(told).count() > round).await;
        all_find_theirs(&manager, end).await;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_the_end_of_a_transaction_finds_no_table() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let mut admin = scene.admin().await;
    run(
        &mut admin,
        "create table public.users (id int primary key, name text not null); \
         insert into public.users values (1, 'of nobody')",
    )
    .await;
    let manager = scene.manager();
    let acme = manager.tenant("acme").await?;
    for end in ["commit", "rollback", "end", "abort"] {
        let select = format!("{end}; select name from users");
        let insert = format!("{end}; insert into users values (9, 'unbound')");
        let begin = format!("{end}; begin; insert into users values (9, 'unbound'); commit");
        for sql in [&select, &insert, &begin] {
            let mut tx = acme.begin().await?;
            assert_eq!(
                code_of(&try_run(&mut *tx, sql).await.expect_err("unbound")),
                "error 42P01",
                "{sql}"
            );
            drop(tx.rollback().await);
        }
        // In a message of its own. The sessions of the pooler were all used before.
        let mut tx = acme.begin().await?;
        run(&mut *tx, end).await;
        for sql in ["select name from users", "insert into users values (9, 'unbound')"] {
            assert_eq!(
                code_of(&try_run(&mut *tx, sql).await.expect_err("unbound")),
                "error 42P01",
                "{sql}"
            );
        }
        assert_eq!(kind_of(tx.commit().await.expect_err("it is over")), ErrorKind::BehindPooler);
        let name: String = acme.fetch_one("select name from users").await?.try_get(0)?;
        assert_eq!(name, "acme");
    }
    assert_eq!(observe(&mut admin, "select count(*)::text from public.users").await, "Some(\"1\")");
    manager.close().await;
    Ok(())
}
