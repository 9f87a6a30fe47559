use std::{error::Error, ops::ControlFlow};

use tenantry::{
    FixedCatalog, TenantRecord,
    fan_out::{FanOutMode, FanOutOptions, FanOutOutcome, RefusedStatement},
    migrate::Schemas,
};

use super::{failure, outcome_of, run, scene};
use crate::support::{TestResult, World, name_of, observe, run as run_sql};

/// A world with everything that a read-only statement might change.
async fn targets(world: &World) {
    run_sql(
        &mut world.admin().await,
        "set search_path to tenant_acme; create sequence tenant_acme.seq; \
         create function tenant_acme.write() returns int language sql \
           as 'insert into users values (7, $$x$$) returning id'; \
         create procedure tenant_acme.proc() language plpgsql \
           as 'begin commit; insert into users values (8, $$x$$); end'",
    )
    .await;
}

#[tokio::test]
async fn every_value_comes_out_as_its_text_and_null_is_not_empty() -> TestResult {
    let (world, manager) = scene().await;
    run_sql(
        &mut world.admin().await,
        "create type tenant_acme.mood as enum ('fine'); \
         create type tenant_acme.pair as (a int, b text); \
         create table public.plans (name text); insert into public.plans values ('basic')",
    )
    .await;
    let sql = "select 1::int8, 1.50::numeric, null::text, '', 'fine'::mood, (1, 'x y')::pair, \
               '\\x00ff'::bytea, array[1, null], '{\"a\": 1}'::jsonb, true, '1 day'::interval, \
               'ä€'::text, '10.0.0.1'::inet, point(1, 2), '[1,3)'::int4range -- and a comment ;";
    let acme = Schemas::tenants(["acme"]);
    let (report, rows, batches) = run(&manager, acme, sql, FanOutOptions::default()).await;
    assert!(report.is_success(), "{report}");
    let values: Vec<_> = rows[0].1.iter().map(|value| value.as_deref()).collect();
    let expected = [
        Some("1"),
        Some("1.50"),
        None,
        Some(""),
        Some("fine"),
        Some("(1,\"x y\")"),
        Some("\\x00ff"),
        Some("{1,NULL}"),
        Some("{\"a\": 1}"),
        Some("t"),
        Some("1 day"),
        Some("ä€"),
        Some("10.0.0.1"),
        Some("(1,2)"),
        Some("[1,3)"),
    ];
    assert_eq!(values, expected);
    let types: Vec<_> =
        batches[0].columns.iter().map(|column| column.type_name.as_deref()).collect();
    assert_eq!(types[..3], [Some("INT8"), Some("NUMERIC"), Some("TEXT")]);
    assert_eq!(types[4], None, "it is not PostgreSQL's own");

    // The names of tenants, the shared schema where it is asked for, the suspended one nowhere.
    let names = "select name, current_schema() from users";
    let (report, rows, _) =
        run(&manager, Schemas::AllTenants, names, FanOutOptions::default()).await;
    let row =
        |name: &str| (name.to_owned(), vec![Some(name.to_owned()), Some(format!("tenant_{name}"))]);
    assert_eq!(rows, [row("acme"), row("globex"), row("initech")]);
    assert_eq!((report.done, report.skipped, report.rows), (3, 1, 3));
    assert!(report.is_success());
    let shared = FanOutOptions::default().with_shared(true);
    let here = "select current_schema()";
    let (report, rows, _) = run(&manager, Schemas::AllTenants, here, shared).await;
    assert_eq!((report.total, rows.len()), (5, 4));
    assert_eq!(rows[0], ("(shared)".to_owned(), vec![Some("public".to_owned())]));
    let plans = "select name from plans";
    let (report, rows, _) = run(&manager, Schemas::Shared, plans, FanOutOptions::default()).await;
    assert_eq!((report.total, rows.len()), (1, 1));

    // Where nobody has a row, the columns come once.
    let none = "select id, name from users where false";
    let (_, rows, batches) =
        run(&manager, Schemas::AllTenants, none, FanOutOptions::default()).await;
    assert_eq!((rows.len(), batches.len()), (0, 1));
    let columns: Vec<_> = batches[0].columns.iter().map(|column| &*column.name).collect();
    assert_eq!(columns, ["id", "name"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_not_one_statement_is_refused_before_any_tenant() -> TestResult {
    let (_world, manager) = scene().await;
    for (sql, said) in [
        ("", "the text contains no statement"),
        ("-- nothing\n;", "the text contains no statement"),
        ("select 1; select 2", "cannot insert multiple commands"),
        ("select 1; drop table users", "cannot insert multiple commands"),
        ("select 'a\\'; select 'b'", "cannot insert multiple commands"),
        ("selec 1", "syntax error at or near \"selec\""),
        ("commit; drop table users", "commit: each tenant's transaction"),
        ("begin", "begin: each"),
        ("rollback", "rollback: each"),
        ("prepare transaction 'x'", "prepare: it would leave"),
        ("prepare x as select 1", "prepare: it would leave"),
        ("copy users from stdin", "copy is not supported"),
        ("copy users to stdout", "copy is not supported"),
        ("load 'auto_explain'", "load: it would leave"),
        ("select 1\0", "NUL"),
    ] {
        for mode in [FanOutMode::ReadOnly, FanOutMode::Write, FanOutMode::WriteOutsideTransaction] {
            let options = FanOutOptions::default().mode(mode);
            let seen = |_| async { panic!("no tenant has rows") };
            let run = manager.fan_out().run(Schemas::AllTenants, sql, options, seen).await;
            let error = run.expect_err(sql);
            assert!(error.to_string().contains(said), "{sql}: {error}");
            let source =
                error.source().and_then(|source| source.downcast_ref::<RefusedStatement>());
            assert!(source.is_some(), "{sql}");
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_only_reads_changes_nothing_however_it_tries() -> TestResult {
    let (world, manager) = scene().await;
    targets(&world).await;
    for (sql, codes) in [
        ("insert into users values (2, 'x')", &["25006"][..]),
        (
            "with new as (insert into users values (2, 'x') returning id) select * from new",
            &["25006"],
        ),
        ("explain analyze insert into users values (2, 'x')", &["25006"]),
        ("create table made (id int)", &["25006"]),
        ("select write()", &["25006"]),
        ("select nextval('seq')", &["25006"]),
        ("select set_config('transaction_read_only', 'off', true), write()", &["25001"]),
        ("select write(), set_config('transaction_read_only', 'off', true)", &["25006"]),
        (
            "do 'begin set transaction read write; insert into users values (2, $$x$$); end'",
            &["25001"],
        ),
        ("do 'begin commit; insert into users values (2, $$x$$); end'", &["2D000", "25006"]),
        ("do 'begin rollback; insert into users values (2, $$x$$); end'", &["2D000", "25006"]),
        ("call proc()", &["2D000"]),
        ("set transaction read write", &["25001"]),
        ("vacuum users", &["25001", "25006"]),
        ("discard all", &["25001"]),
        ("refresh materialized view nothing", &["42P01", "25006"]),
    ] {
        let outcome = outcome_of(&manager, "acme", sql, FanOutOptions::default()).await;
        let code = failure(&outcome).sqlstate.clone().unwrap_or_default();
        assert!(codes.contains(&code.as_str()), "{sql}: {outcome:?}");
    }
    // Without an error, and without an effect on anything but the session.
    for sql in [
        "set session characteristics as transaction read write",
        "set default_transaction_read_only to off",
    ] {
        let outcome = outcome_of(&manager, "acme", sql, FanOutOptions::default()).await;
        assert!(matches!(outcome, FanOutOutcome::Done { .. }), "{sql}: {outcome:?}");
    }
    let mut admin = world.admin().await;
    let there = "select (select count(*) from tenant_acme.users)::text || (select is_called from tenant_acme.seq)::text";
    assert_eq!(observe(&mut admin, there).await, "Some(\"1false\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_on_the_session() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.one_session();
    for sql in [
        "set search_path to tenant_globex",
        "set role pg_monitor",
        "set session authorization pg_monitor",
        "listen gossip",
        "select pg_advisory_lock(1)",
        "declare c cursor with hold for select 1",
        "set statement_timeout to 1",
        "set client_encoding to 'SQL_ASCII'",
        "select set_config('search_path', 'tenant_globex', false)",
        "set transaction isolation level serializable",
        "create temp table users as select 1 as id, 'temp' as name",
        "deallocate all",
        "select 1/0",
    ] {
        for mode in [FanOutMode::ReadOnly, FanOutMode::Write, FanOutMode::WriteOutsideTransaction] {
            drop(outcome_of(&manager, "acme", sql, FanOutOptions::default().mode(mode)).await);
            let db = manager.tenant("acme").await?;
            assert_eq!(name_of(&db).await?, "acme", "{sql}");
            let left = "select concat_ws(', ', case when current_user <> session_user then 'role' end, \
                          nullif(current_setting('statement_timeout'), current_setting('lock_timeout')), \
                          nullif(current_setting('client_encoding'), 'UTF8'), \
                          (select min(pg_listening_channels) from pg_listening_channels()), \
                          (select min(name) from pg_cursors where not name like '%unnamed%' and name <> ''), \
                          (select 'lock' from pg_locks where locktype = 'advisory' \
                            and pid = pg_backend_pid() and classid = 0 and objid = 1))";
            let left: String = sqlx::query_scalar(left).fetch_one(&db).await?;
            assert_eq!(left, "", "{sql} in {mode:?}");
        }
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn it_works_as_the_tenant_is_served() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let role = format!("fan_{}", std::process::id());
    let mut admin = world.admin().await;
    run_sql(
        &mut admin,
        &format!("create role {role}; grant usage on schema tenant_acme to {role}"),
    )
    .await;
    let mut acme = TenantRecord::new("acme".parse()?);
    acme.role = Some(role.parse()?);
    acme.settings = vec![
        ("standard_conforming_strings".into(), "off".into()),
        ("client_encoding".into(), "LATIN1".into()),
        ("datestyle".into(), "German".into()),
    ];
    let catalog = FixedCatalog::new([acme, TenantRecord::new("globex".parse()?)]);
    let manager = world.builder().catalog(catalog).build()?;
    let sql = "select current_user, date '2026-01-02', 'a\\', 'ä'";
    let (report, rows, _) = run(&manager, Schemas::AllTenants, sql, FanOutOptions::default()).await;
    assert!(report.is_success(), "{report}");
    let row: Vec<_> = rows[0].1.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
    assert_eq!(row, [&role, "02.01.2026", "a\\", "ä"]);
    let outcome =
        outcome_of(&manager, "acme", "select * from users", FanOutOptions::default()).await;
    assert_eq!(failure(&outcome).sqlstate.as_deref(), Some("42501"));
    // Its future may be spawned.
    let fan_out = manager.fan_out();
    let spawned = tokio::spawn(async move {
        let none = |_| std::future::ready(ControlFlow::Continue(()));
        fan_out.run(Schemas::AllTenants, "select 1", FanOutOptions::default(), none).await
    });
    assert!(spawned.await??.is_success());
    manager.close().await;
    run_sql(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}
