//! A function that sets something inside of a plain query does so for that query alone, however the query
//! comes to it.

use crate::support::{
    TestResult, World, create_perform, eventually, name_of, observe, pid_of, run,
};

const TO_GLOBEX: &str = "perform set_config('search_path', 'tenant_globex', false);";

/// Ways in which a plain statement comes to a function, with the statement.
fn ways() -> Vec<(String, &'static str)> {
    let function = |body: &str, returns: &str| {
        format!(
            "create function turn() returns {returns} language plpgsql as $f$ begin {body} \
             return {}; end $f$; ",
            if returns == "trigger" { "new" } else { "1" }
        )
    };
    let of = |body: &str| function(body, "int");
    vec![
        (of(TO_GLOBEX), "select turn()"),
        (of("set search_path to tenant_globex;"), "select turn()"),
        (of("SET   SESSION search_path to tenant_globex;"), "select turn()"),
        (of("execute 'set search_path to ' || 'tenant_globex';"), "select turn()"),
        (
            of("update pg_settings set setting = 'tenant_globex' where name = 'search_path';"),
            "select turn()",
        ),
        (of("perform public.perform('set search_path to tenant_globex');"), "select turn()"),
        (of("create temp table users as select 1 as id, 'globex'::text as name;"), "select turn()"),
        (of("reset search_path;"), "select turn()"),
        (of(TO_GLOBEX), "select users.turn from (select turn() as turn) users"),
        (
            "create function turn() returns text language sql as \
             $$ select set_config('search_path', 'tenant_globex', false) $$"
                .into(),
            "select turn()",
        ),
        (
            "create function turn() returns text begin atomic \
             select set_config('search_path', 'tenant_globex', false); end"
                .into(),
            "select turn()",
        ),
        (
            "create function turn(text, text, bool) returns text language internal \
             as 'set_config_by_name'"
                .into(),
            "select turn('search_path', 'tenant_globex', false)",
        ),
        (of(TO_GLOBEX) + "create view v as select turn()", "select * from v"),
        (of(TO_GLOBEX) + "create table t (a int default turn())", "insert into t default values"),
        (of(TO_GLOBEX) + "create table t (a int check (turn() = 1))", "insert into t values (1)"),
        (
            function(TO_GLOBEX, "trigger")
                + "create table t (a int); create trigger t before insert \
             on t for each row execute function turn()",
            "insert into t values (1)",
        ),
        (
            "create function turn(int, int) returns int language plpgsql as $f$ begin ".to_owned()
                + TO_GLOBEX
                + " return 1; end $f$; create operator === (function = turn, \
                leftarg = int, rightarg = int)",
            "select 1 === 2",
        ),
        (
            "create view v as select public.perform('set search_path to tenant_globex')::text"
                .into(),
            "select * from v",
        ),
        (
            "create table t (a int); create trigger t before insert on t for each row \
             execute function public.turn_trigger()"
                .into(),
            "insert into t values (1)",
        ),
        (String::from("select 1"), "select public.perform('set search_path to tenant_globex')"),
        (
            String::from("select 1"),
            r#"select U&"set\005fconfig"('search_path', 'tenant_globex', false)"#,
        ),
        (
            String::from("select 1"),
            "select query_to_xml('select set_' || 'config(''search_path'', ''tenant_globex'', false)', \
             true, true, '')",
        ),
        (
            of("perform 1 as \"--\", set_config(\n'search_path', 'tenant_globex', false);"),
            "select turn()",
        ),
        (
            of("-- x\r perform set_config(\n'search_path', 'tenant_globex', false);"),
            "select turn()",
        ),
        (
            of("perform $a$--$a$, set_config('search_path', 'tenant_globex', false);"),
            "select turn()",
        ),
        (
            of(
                "perform query_to_xml('select set_' || 'config(''search_path'', ''tenant_globex'', false)', true, true, '');",
            ),
            "select turn()",
        ),
        (of(TO_GLOBEX) + "create domain d as int check (turn() = 1)", "select 1::tenant_acme.d"),
    ]
}

#[tokio::test]
async fn a_search_path_that_a_function_sets_does_not_reach_the_next_statement() -> TestResult {
    for (made, statement) in ways() {
        let world = World::with_tenants(&["acme", "globex"]).await;
        let mut admin = world.admin().await;
        create_perform(&world).await;
        run(
            &mut admin,
            "create function public.turn_trigger() returns trigger language plpgsql as $f$ begin \
             perform set_config('search_path', 'tenant_globex', false); return new; end $f$",
        )
        .await;
        run(&mut admin, &format!("set search_path to tenant_acme; {made}")).await;
        let manager = world.one_session();
        let acme = manager.tenant("acme").await?;
        for _ in 0..2 {
            sqlx::query(statement).execute(&acme).await.map_err(|e| format!("{made}: {e}"))?;
            let name = name_of(&acme).await.map_err(|error| format!("{made}: {error}"))?;
            assert_eq!(name, "acme", "{made}; {statement}");
        }
        // The control: on a session that nobody resets, the next statement reads elsewhere.
        run(&mut admin, &format!("set search_path to tenant_acme; {statement}")).await;
        let elsewhere = observe(&mut admin, "select name from users where id = 1").await;
        assert_ne!(elsewhere, "Some(\"acme\")", "{made}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_with_very_much_code_is_served() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let many = "do $do$ begin for i in 1..1500 loop execute format('create function \
                tenant_acme.f%s() returns int language sql as %L', i, 'select 1 -- ' || \
                (select string_agg(md5((i * j)::text), ' ') from generate_series(1, 200) j)); \
                end loop; end $do$";
    run(&mut world.admin().await, many).await;
    let manager = world.one_session();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let mut tx = acme.begin().await?;
        assert_eq!(name_of(&mut *tx).await?, "acme");
        tx.rollback().await?;
        assert_eq!(name_of(&globex).await?, "globex");
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn functions_that_do_no_such_thing_cost_no_reset() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "set search_path to tenant_acme; \
         create table t (a int primary key, b text, at timestamptz); \
         create table log (a int primary key, b text); \
         create function touch() returns trigger language plpgsql as $f$ \
         -- set the time, which is what it is for
         declare r record; begin /* set it */ new.at := now(); \
         update t as x set b = 'z' where false; update only t set b = 'x' where false; \
         insert into log (a) values (0) on conflict (a) do update set b = 'y'; \
         for r in select * from t for update loop null; end loop; \
         set local work_mem = '1MB'; return new; end $f$; \
         create trigger t before insert on t for each row execute function touch()",
    )
    .await;
    let manager = world.one_session();
    let acme = manager.tenant("acme").await?;
    name_of(&acme).await?;
    let pid = pid_of(&acme).await?;
    for id in 2..5 {
        let insert = sqlx::query("insert into t values ($1, 'x')");
        insert.bind(id).execute(&acme).await?;
    }
    let last = format!("select query from pg_stat_activity where pid = {pid} and state = 'idle'");
    eventually("the session is idle", async || observe(&mut admin, &last).await != "error").await;
    let text = observe(&mut admin, &last).await;
    assert!(text.contains("insert into t"), "the session was reset: {text}");
    manager.close().await;
    Ok(())
}
