use std::{collections::BTreeMap, error::Error, future::IntoFuture, time::Duration};

use tenantry::{
    ErrorKind, FixedCatalog, TenantManager, TenantRecord, TenantState, each::EachReport,
    fan_out::RefusedStatement,
};

use super::{builder, world};
use crate::support::{
    TestResult, World, at_rest, eventually, idle_in_transaction, kind_of, name_of, observe, run,
};

/// The values by tenant, and the SQLSTATE or else the message of each failure.
fn told<T: ToString>(report: &EachReport<T>) -> BTreeMap<String, String> {
    let values = report.values().map(|(tenant, value)| (tenant.to_owned(), value.to_string()));
    let failures = report.failures().map(|(tenant, error)| {
        let code = error.sqlstate.clone().unwrap_or_else(|| error.message.clone());
        (tenant.to_owned(), format!("! {code}"))
    });
    values.chain(failures).collect()
}

fn expect(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(tenant, value)| ((*tenant).to_owned(), (*value).to_owned())).collect()
}

async fn ask(manager: &TenantManager, query: &'static str) -> BTreeMap<String, String> {
    told(&manager.survey::<String>(query).await.unwrap_or_else(|error| panic!("{query}: {error}")))
}

#[tokio::test]
async fn each_tenant_answers_for_itself_and_none_hides_another() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table tenant_acme.jobs (id int); create table tenant_globex.jobs (id int); \
         insert into tenant_globex.jobs values (7), (8)",
    )
    .await;
    let manager = builder(&world).build()?;
    let report = manager.survey::<String>("select name from users ; ").await?;
    assert!(report.is_success(), "{report}");
    assert_eq!((report.total, report.skipped), (4, 1));
    let all = [("acme", "acme"), ("globex", "globex"), ("initech", "initech")];
    assert_eq!(told(&report), expect(&all));

    // Who has no such table says so, and the others answer.
    let report = manager.survey::<bool>("select exists (select from jobs)").await?;
    let answers = [("acme", "false"), ("globex", "true"), ("initech", "! 42P01")];
    assert_eq!(told(&report), expect(&answers));
    assert_eq!((report.done, report.failed, report.skipped), (2, 1, 1));
    // No row is null, and several rows are no value.
    let report = manager.survey::<Option<i32>>("select id from jobs where id < 8").await?;
    let ids: Vec<_> = report.values().map(|(tenant, id)| (tenant, *id)).collect();
    assert_eq!(ids, [("acme", None), ("globex", Some(7))]);
    let report = manager.survey::<i32>("select id from jobs").await?;
    let codes = told(&report);
    assert_eq!(codes["globex"], "! 21000");
    assert!(codes["acme"].contains("unexpected null"), "{codes:?}");

    // Named ones, in their order.
    let named = ["initech", "nobody", "no id!", "idle", "acme", "acme"];
    let report = manager.survey::<String>("(values ('x'))").only(named).await?;
    let outcomes: Vec<_> =
        report.tenants.iter().map(|tenant| (&*tenant.tenant_id, tenant.outcome.as_str())).collect();
    let expected = [
        ("initech", "done"),
        ("nobody", "failed"),
        ("no id!", "failed"),
        ("idle", "skipped"),
        ("acme", "done"),
    ];
    assert_eq!(outcomes, expected);
    let kinds = report.failures().map(|(_, error)| ErrorKind::in_chain(error.error()));
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, [Some(ErrorKind::UnknownTenant), Some(ErrorKind::InvalidTenantId)]);

    // One connection is enough; a closing manager asks nobody.
    let narrow = builder(&world).max_connections(1).build()?;
    assert_eq!(ask(&narrow, "select name from users").await, expect(&all));
    narrow.begin_closing();
    let report = narrow.survey::<i32>("select 1").await?;
    assert_eq!((report.done, report.not_started, report.failed), (0, 3, 0), "{report}");
    narrow.close().await;
    manager.close().await;
    Ok(())
}

#[derive(Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Fine,
}

#[tokio::test]
async fn values_are_what_single_queries_return_and_are_asked_together() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    for tenant in ["acme", "globex", "initech"] {
        run(&mut admin, &format!("create type tenant_{tenant}.mood as enum ('fine')")).await;
    }
    let manager = builder(&world).build()?;
    macro_rules! check {
        ($type:ty, $sql:literal) => {{
            let report = manager.survey::<$type>($sql).await?;
            let db = manager.tenant("globex").await?;
            let alone: $type = sqlx::query_scalar($sql).fetch_one(&db).await?;
            assert_eq!(report.done, 3, "{}: {report}", $sql);
            assert!(report.values().all(|(_, value)| *value == alone), "{}: {report:?}", $sql);
        }};
    }
    check!(i64, "select count(*) from users");
    check!(f64, "select 0.1::float8");
    check!(bool, "select true");
    check!(String, "select 'a\\ü' || E'\\n\\'' -- comment");
    check!(Vec<u8>, "select '\\x00ff5c'::bytea");
    check!(Vec<Option<i32>>, "select array[1, null]");
    check!(serde_json::Value, "select '{\"a\": [1]}'::jsonb");
    check!(sqlx::postgres::types::Oid, "select 7::oid");
    check!(i16, "with x as (select 7::int2 as y) select y from x /* and */");
    check!(Mood, "select 'fine'::mood");
    // Messages that were sent together arrive at one time.
    let report = manager.survey::<String>("select statement_timestamp()::text").await?;
    let mut times: Vec<_> = report.values().map(|(_, time)| time).collect();
    times.dedup();
    assert_eq!((report.done, times.len()), (3, 1), "{report:?}");
    manager.close().await;
    // Where the shared schema is behind those of tenants, sessions hold a pin as well.
    run(&mut admin, "create table public.plans as select 'basic' as name").await;
    let sharing = builder(&world).tenants_see_shared(true).max_connections(1).build()?;
    for _ in 0..2 {
        let both = "select concat_ws(' ', u.name, p.name) from users u, plans p";
        let expected =
            [("acme", "acme basic"), ("globex", "globex basic"), ("initech", "initech basic")];
        assert_eq!(ask(&sharing, both).await, expect(&expected));
    }
    let times = ask(&sharing, "select statement_timestamp()::text").await;
    assert!(times.values().all(|time| *time == times["acme"]), "{times:?}");
    sharing.close().await;
    Ok(())
}

#[tokio::test]
async fn what_is_not_one_query_is_refused_before_any_tenant() -> TestResult {
    let world = world().await;
    let manager = builder(&world).build()?;
    for (query, said) in [
        ("", "the text contains no statement"),
        (" ; ", "the text contains no statement"),
        ("select 1; select 2", "cannot insert multiple commands"),
        ("select 1) as x; drop table users; select (1", "syntax error"),
        ("select 1) union (select 2", "syntax error"),
        ("select 1) as a, (select 2", "syntax error"),
        ("select 1 /* never ends", "unterminated /* comment"),
        ("select 1 /* ends */ --", ""),
        ("insert into users values (2, 'x') returning id", "not a query that returns a value"),
        ("show search_path", "not a query that returns a value"),
        ("do 'begin end'", "not a query that returns a value"),
        ("call proc()", "not a query that returns a value"),
        ("select 1, 2", "returns 2 columns"),
        ("select $1::int", "has parameters"),
        ("commit", "commit: each tenant's transaction"),
        ("copy users to stdout", "copy is not supported"),
        ("select '\0'", "NUL"),
    ] {
        match manager.survey::<i32>(query).await {
            Ok(report) => assert!(said.is_empty() && report.is_success(), "{query}: {report}"),
            Err(error) => {
                assert!(!said.is_empty() && error.to_string().contains(said), "{query}: {error}");
                let refused = error.source().map(|source| source.is::<RefusedStatement>());
                assert_eq!(refused, Some(true), "{query}");
            }
        }
    }
    let never = manager.survey::<i32>("select 1").statement_timeout(Duration::ZERO).await;
    assert_eq!(never.expect_err("it cannot be used").kind(), ErrorKind::Config);
    manager.close().await;
    Ok(())
}

/// Functions of the name `f` in the schemas of acme and of the others.
async fn functions(world: &World, of_acme: &str, of_others: &str) {
    let mut admin = world.admin().await;
    for tenant in ["acme", "globex", "initech"] {
        let body = if tenant == "acme" { of_acme } else { of_others };
        let body = body.replace('\'', "''");
        let sql = format!(
            "create or replace function tenant_{tenant}.f() returns text volatile \
             language plpgsql as 'declare n text := (select name from users); begin {body} return n; end'"
        );
        run(&mut admin, &sql).await;
    }
}

#[tokio::test]
async fn nothing_of_a_hostile_tenant_reaches_the_next() -> TestResult {
    let world = world().await;
    // One message for all of them, on the only session.
    let manager = builder(&world).max_connections(1).build()?;
    let others = [("globex", "globex"), ("initech", "initech")];
    let seen = "return concat_ws(' ', n, current_schemas(false)::text, \
                nullif(current_user, session_user), \
                nullif(current_setting('statement_timeout'), '500ms'), \
                nullif(current_setting('transaction_read_only'), 'on'), \
                nullif(current_setting('my.mark', true), ''), \
                (select 'lock' from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() \
                  and objid = 4711), (select min(name) from pg_prepared_statements), \
                (select min(name) from pg_cursors where is_holdable), \
                (select string_agg(c, '') from pg_listening_channels() c));";
    for mischief in [
        "perform set_config('search_path', 'tenant_acme', false);",
        "perform set_config('search_path', 'tenant_acme', true);",
        "perform set_config('role', 'pg_monitor', false);",
        "perform set_config('my.mark', 'acme', false);",
        "perform set_config('statement_timeout', '1', false);",
        "perform set_config('client_encoding', 'SQL_ASCII', false);",
        "perform set_config('standard_conforming_strings', 'off', false);",
        "perform pg_advisory_lock(4711);",
        "execute 'prepare stolen as select name from tenant_acme.users';",
        "execute 'prepare users as select 1'; execute 'listen gossip';",
        "execute 'declare c cursor with hold for select 1';",
        "execute 'deallocate all';",
        "perform pg_notify('gossip', 'x');",
    ] {
        functions(&world, mischief, seen).await;
        let answers = ask(&manager, "select f()").await;
        assert_eq!(answers["acme"], "acme", "{mischief}");
        for (tenant, name) in others {
            assert_eq!(answers[tenant], format!("{name} {{tenant_{tenant}}}"), "{mischief}");
        }
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex", "{mischief}");
    }
    // What would end or break the transaction is that tenant's failure.
    for (mischief, code) in [
        ("execute 'commit';", "0A000"),
        ("commit;", "2D000"),
        ("rollback;", "2D000"),
        ("insert into users values (2, 'x');", "25006"),
        ("perform set_config('transaction_read_only', 'off', true);", "25001"),
        ("perform pg_sleep(60);", "57014"),
        ("raise exception 'no' using errcode = '57P01';", "57P01"),
        ("perform pg_terminate_backend(pg_backend_pid());", "57P01"),
    ] {
        functions(&world, mischief, "").await;
        let survey = manager.survey::<String>("select f()");
        let answers = told(&survey.statement_timeout(Duration::from_millis(300)).await?);
        let expected = format!("! {code}");
        assert_eq!(answers, expect(&[("acme", &expected), others[0], others[1]]), "{mischief}");
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme", "{mischief}");
    }
    let mut admin = world.admin().await;
    let rows = observe(&mut admin, "select count(*)::text from tenant_acme.users");
    assert_eq!(rows.await, "Some(\"1\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn roles_and_settings_are_those_of_the_tenant_and_settings_stay_with_it() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    let role = format!("survey_{}", std::process::id());
    let grants = format!(
        "create role {role}; grant usage on schema tenant_acme to {role}; \
         grant select on tenant_acme.users to {role}; \
         grant usage on schema tenant_initech to {role}"
    );
    run(&mut admin, &grants).await;
    let records = ["acme", "globex", "idle", "initech"].map(|name| {
        let mut record = TenantRecord::new(name.parse().expect("it is an id"));
        match name {
            "globex" => record.settings = vec![("app.key".into(), "k3y-of-globex".into())],
            "idle" => record.state = TenantState::Suspended,
            _ => record.role = Some(role.parse().expect("it is an identifier")),
        }
        record
    });
    let manager = builder(&world).catalog(FixedCatalog::new(records)).max_connections(1).build()?;
    let who = "select concat_ws(' ', current_schema(), nullif(current_user, session_user), \
               nullif(current_setting('app.key', true), ''))";
    let of = |tenant: &str| format!("tenant_{tenant} {role}");
    let expected = [
        ("acme", &*of("acme")),
        ("globex", "tenant_globex k3y-of-globex"),
        ("initech", &*of("initech")),
    ];
    assert_eq!(ask(&manager, who).await, expect(&expected));
    let names = [("acme", "acme"), ("globex", "globex"), ("initech", "! 42501")];
    assert_eq!(ask(&manager, "select name from users").await, expect(&names));

    // SQL can read the message that it came in: it holds no setting of anybody else.
    let texts = ask(&manager, "select current_query()").await;
    assert!(texts["acme"].contains("tenant_initech"), "they were asked together: {texts:?}");
    assert!(texts.values().all(|text| !text.contains("k3y-of-globex")), "{texts:?}");
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_schema_that_was_replaced_is_not_asked_and_a_dropped_survey_leaves_nothing() -> TestResult
{
    let world = world().await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table public.users as select 1 as id, 'everybody' as name").await;
    let manager = builder(&world).tenants_see_shared(true).build()?;
    for tenant in ["acme", "globex", "initech"] {
        name_of(&manager.tenant(tenant).await?).await?;
    }
    let old = manager.tenant("acme").await?;
    run(
        &mut admin,
        "drop schema tenant_acme cascade; create schema tenant_acme; \
         create table tenant_acme.users as select 1 as id, 'successor' as name; \
         drop schema tenant_initech cascade",
    )
    .await;
    let answers = ask(&manager, "select name from users").await;
    // The one that was replaced is looked up again; where there is no schema, nobody else's table stands in for it.
    assert_eq!((&*answers["acme"], &*answers["globex"]), ("successor", "globex"));
    assert!(answers["initech"].starts_with("! "), "{answers:?}");
    assert_eq!(kind_of(name_of(&old).await.expect_err("it is old")), ErrorKind::StaleHandle);

    let slow = manager.survey::<String>("select pg_sleep(60)::text").only(["globex", "globex"]);
    let task = tokio::spawn(slow.into_future());
    let asleep = "select count(*)::text from pg_stat_activity \
                  where datname = current_database() and wait_event = 'PgSleep'";
    eventually("it sleeps", async || observe(&mut admin, asleep).await == "Some(\"1\")").await;
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());
    at_rest(&manager).await;
    eventually("nothing runs", async || observe(&mut admin, asleep).await == "Some(\"0\")").await;
    assert_eq!(idle_in_transaction(&mut admin).await, 0);
    assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    manager.close().await;
    Ok(())
}

/// A value that has no text form is asked of each tenant alone, with a handle from the catalog's cache.
#[tokio::test]
async fn a_replaced_schema_is_looked_up_again_for_a_query_on_its_own() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    let manager = builder(&world).build()?;
    for tenant in ["acme", "globex"] {
        name_of(&manager.tenant(tenant).await?).await?;
    }
    run(
        &mut admin,
        "drop schema tenant_acme cascade; create schema tenant_acme; \
         create table tenant_acme.users as select 1 as id, 'successor' as name",
    )
    .await;
    // Longer than a query beside others may take.
    let slow = "select name from users, pg_sleep(0.7)";
    let answers = ask(&manager, slow).await;
    assert_eq!((&*answers["acme"], &*answers["globex"]), ("successor", "globex"));
    manager.close().await;
    Ok(())
}

/// Prints how long 500 tenants take: `cargo test -p tenantry --test it -- --ignored --nocapture five_hundred`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and needs a quiet machine"]
async fn five_hundred_tenants_measured() -> TestResult {
    use tenantry::{TenantDb, each::EachOptions};
    let world = World::new().await;
    let mut admin = world.admin().await;
    for n in 0..500 {
        let sql = format!(
            "create schema tenant_t{n}; create table tenant_t{n}.jobs (id int, done_at timestamptz)"
        );
        run(&mut admin, &sql).await;
    }
    let manager = world.builder().max_connections(20).build()?;
    let query = "select exists (select from jobs where done_at is null)";
    let one = async |db: TenantDb| sqlx::query_scalar::<_, bool>(query).fetch_one(&db).await;
    for _ in 0..5 {
        let survey = manager.survey::<bool>(query).await?;
        let each = manager.for_each_tenant(EachOptions::default(), one).await?;
        let missing = manager.survey::<bool>("select exists (select from nothing)").await?;
        assert_eq!((survey.done, each.done, missing.failed), (500, 500, 500));
        eprintln!(
            "survey {:?}, for_each_tenant {:?}, survey where every tenant fails {:?}",
            survey.duration, each.duration, missing.duration
        );
    }
    manager.close().await;
    Ok(())
}
