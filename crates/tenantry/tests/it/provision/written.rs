//! Names of schemas that are stored as text: a rename takes them along, or is refused.

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Isolation, TableCatalog, TenantManager,
    migrate::Lint,
    provision::{CreateOptions, HowMade, NameOutcome, Provisioner, StoredIn, StoredNames},
    seed::Seed,
};

use super::{by_discovery, with_table};
use crate::{
    migrate::Files,
    support::{
        TestResult, World, connect, eventually, free_names, observe, private_server, run,
        server_version, skip, try_run,
    },
};

/// Settings that follow a rename: of a function, a procedure, with other schemas beside, in capitals.
const SETTINGS: &str = r#"
    create table notes (id int primary key, text text not null);
    create function "Total"() returns bigint language sql set search_path from current
        as 'select count(*) from notes';
    create procedure add(in number int, inout made int) language plpgsql as
        $$begin insert into notes values (number, 'added'); made := number; end$$;
    do $$begin
        execute format('alter procedure add(int, int) set search_path to %I, pg_temp', current_schema());
    end$$;
"#;

async fn schemas(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select nspname::text from pg_namespace \
         where nspname not like 'pg\\_%' and nspname not in ('information_schema', 'public', 'kills') \
         order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the server is running")
}

async fn total(manager: &TenantManager, id: &str) -> sqlx::Result<i64> {
    let db = manager.tenant(id).await.map_err(sqlx::Error::from)?;
    sqlx::query_scalar(r#"select "Total"()"#).fetch_one(&db).await
}

async fn add(manager: &TenantManager, id: &str, note: i32) -> sqlx::Result<()> {
    let db = manager.tenant(id).await.map_err(sqlx::Error::from)?;
    sqlx::query("call add($1, 0)").bind(note).execute(&db).await.map(drop)
}

#[tokio::test]
async fn a_search_path_that_was_stored_follows_every_rename() -> TestResult {
    let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", SETTINGS)]));
    let (manager, provisioner) = with_table(&world, &files).await;
    let in_steps = files_in_steps(&manager, SETTINGS);
    let report = provisioner.fill_spares(1).await?;
    assert_eq!((report.ready, report.refused.len()), (1, 0));
    for (provisioner, how) in [(&provisioner, HowMade::Spare), (&in_steps, HowMade::InSteps)] {
        let created = provisioner.create("acme", CreateOptions::default()).await?;
        assert_eq!(created.how, how);
        add(&manager, "acme", 1).await?;
        assert_eq!(total(&manager, "acme").await?, 1);
        provisioner.rename("acme", "globex").await?;
        free_names(&mut world.admin().await).await;
        // The old id is given away: its rows are nobody else's.
        provisioner.create("acme", CreateOptions::default()).await?;
        for note in 2..=4 {
            add(&manager, "acme", note).await?;
        }
        add(&manager, "globex", 9).await?;
        assert_eq!((total(&manager, "acme").await?, total(&manager, "globex").await?), (3, 2));
        let stored = "select proconfig::text from pg_proc \
                      where pronamespace = 'tenant_globex'::regnamespace and proname = 'add'";
        let path = observe(&mut world.admin().await, stored).await;
        assert_eq!(path, r#"Some("{\"search_path=tenant_globex, pg_temp\"}")"#);
        for id in ["acme", "globex"] {
            provisioner.drop_tenant(id, id, Default::default()).await?;
        }
        free_names(&mut world.admin().await).await;
    }
    Ok(())
}

/// A provisioner of the same tenants whose files have to be run one by one.
fn files_in_steps(manager: &TenantManager, sql: &str) -> Provisioner {
    let files = Files::new(&[
        ("0001_all.sql", sql),
        ("0002_index.sql", "-- no-transaction\ncreate table if not exists t (id int);"),
        ("0003_more.sql", "-- no-transaction\ncreate index concurrently on t (id);"),
    ]);
    manager.provisioner().tenants(files.read())
}

/// What keeps the name of the schema that it was made in, and what the report says of it.
const KEPT: &[(&str, StoredIn, &str)] = &[
    (
        "create table t (id int);
         do $$begin execute format('create function f() returns bigint language sql as
             ''select count(*) from %I.t''', current_schema()); end$$",
        StoredIn::Body,
        "f()",
    ),
    (
        "do $$begin execute format('create function f() returns text language plpgsql as
             $f$begin return %L; end$f$', current_schema()); end$$",
        StoredIn::Body,
        "f()",
    ),
    ("create table t (a text); insert into t values (current_schema())", StoredIn::Row, " t"),
    (
        "create table t (a jsonb); insert into t values (jsonb_build_object('s', upper(current_schema())))",
        StoredIn::Row,
        " t",
    ),
    ("create table t (a bytea); insert into t values (current_schema()::text::bytea)", StoredIn::Row, " t"),
    (
        "create materialized view t as select array[current_schema()::text] as a",
        StoredIn::Row,
        " t",
    ),
    (
        "do $$begin execute format('create table t (a text default %L)', current_schema()); end$$",
        StoredIn::Expression,
        "column t.a",
    ),
    (
        "create sequence s; do $$begin execute
             format('create table t (a int default nextval(%L::text))', current_schema() || '.s'); end$$",
        StoredIn::Expression,
        "column t.a",
    ),
    (
        "do $$begin execute format('create table t (a text check (a <> %L))', current_schema()); end$$",
        StoredIn::Expression,
        "t_a_check",
    ),
    (
        "do $$begin execute format('create domain d text check (value <> %L)', current_schema()); end$$",
        StoredIn::Expression,
        "d_check",
    ),
    (
        "create table t (a text); do $$begin execute
             format('create index i on t (a) where a <> %L', current_schema()); end$$",
        StoredIn::Expression,
        " i",
    ),
    (
        "do $$begin execute format('create view v as select %L as a', current_schema()); end$$",
        StoredIn::Expression,
        " v",
    ),
    (
        "create table t (a text);
         create function f() returns trigger language plpgsql as 'begin return new; end';
         do $$begin execute format('create trigger g before insert on t
             for each row execute function f(%L)', current_schema()); end$$",
        StoredIn::Expression,
        "trigger g",
    ),
    (
        "create table t (a text); do $$begin execute
             format('create policy p on t using (a = %L)', current_schema()); end$$",
        StoredIn::Expression,
        "policy p",
    ),
    (
        "create table t (a text) partition by list (a); do $$begin execute
             format('create table t1 partition of t for values in (%L)', current_schema()); end$$",
        StoredIn::Expression,
        " t1",
    ),
    (
        "create table t (a int); do $$begin execute
             format('create function f() returns text begin atomic select %L::text; end',
                 current_schema()); end$$",
        StoredIn::Expression,
        "f()",
    ),
    (
        "create table t (); do $$begin execute
             format('comment on table t is %L', current_schema()); end$$",
        StoredIn::Comment,
        " t",
    ),
    (
        "do $$begin execute format('create table %I ()', current_schema() || '_events'); end$$",
        StoredIn::Name,
        "_events",
    ),
    (
        "create function f() returns text language sql as 'select 1::text'; do $$begin
             execute format('alter function f() set app.schema to %L', current_schema()); end$$",
        StoredIn::Setting,
        "f()",
    ),
];

#[tokio::test]
async fn what_keeps_a_provisional_name_is_made_under_the_tenants_own() -> TestResult {
    for (sql, place, object) in KEPT {
        let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", *sql)]));
        // From 17 on, a materialized view is filled with a search path that has no schema of the user's.
        if sql.contains("materialized view") && server_version(&mut world.admin().await).await >= 17
        {
            continue;
        }
        let (_, provisioner) = with_table(&world, &files).await;
        let report = provisioner.fill_spares(2).await?;
        assert_eq!((report.ready, report.made), (0, 0), "{sql}");
        let found =
            report.refused.iter().any(|name| name.place == *place && name.object.contains(object));
        assert!(found, "{sql}: {:?}", report.refused);
        assert!(report.refused.iter().all(|name| name.outcome == NameOutcome::Refused));
        let created = provisioner.create("acme", CreateOptions::default()).await?;
        assert_eq!(created.how, HowMade::AtOnce, "{sql}");
        assert_eq!(schemas(&mut world.admin().await).await, ["tenant_acme"], "{sql}");
    }
    Ok(())
}

/// Rows of the shared schema that hold the name of the tenant's, written as such and by a function there.
const REGISTERS: &str = "create table notes (id int);
    insert into public.registry values (current_schema());";

#[tokio::test]
async fn a_row_of_the_shared_schema_keeps_the_name_as_well() -> TestResult {
    let registry = "create table public.registry (name text unique);
        create function public.register(name text) returns void language sql
            as 'insert into public.registry values (name)'";
    let lint = || Lint::default().allow_schema("public");
    let expected = ["table public.registry (row)"];
    for sql in [
        REGISTERS,
        "select public.register(current_schema())",
        "select U&\"publi\\0063\".register(current_schema())",
    ] {
        let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", sql)]));
        let (manager, _) = with_table(&world, &files).await;
        let mut admin = world.admin().await;
        run(&mut admin, registry).await;
        let provisioner = manager.provisioner().tenants(files.read().lint(lint()));
        let report = provisioner.fill_spares(1).await?;
        let refused: Vec<_> = report.refused.iter().map(ToString::to_string).collect();
        assert_eq!((report.ready, &refused[..]), (0, &expected.map(str::to_owned)[..]), "{sql}");
        let created = provisioner.create("acme", CreateOptions::default()).await?;
        assert_eq!(created.how, HowMade::AtOnce, "{sql}");
        let own = "select count(*)::text from public.registry where name = 'tenant_acme'";
        assert_eq!(observe(&mut admin, own).await, "Some(\"1\")", "{sql}");
    }
    // In steps, too.
    let (world, files) = (World::new().await, Files::notes());
    let (manager, _) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    run(&mut admin, registry).await;
    let files = Files::new(&[
        ("0001_all.sql", REGISTERS),
        ("0002_index.sql", "-- no-transaction\ncreate index concurrently on notes (id);"),
    ]);
    let provisioner = manager.provisioner().tenants(files.read().lint(lint()));
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::InSteps);
    let own = "select count(*)::text from public.registry where name = 'tenant_acme'";
    assert_eq!(observe(&mut admin, own).await, "Some(\"1\")");
    // Without such rows, spares are made.
    let reads = Files::new(&[("0001_all.sql", "create table n as select * from public.registry")]);
    run(&mut admin, "truncate public.registry").await;
    let provisioner = manager.provisioner().tenants(reads.read().lint(lint()));
    let report = provisioner.fill_spares(1).await?;
    assert_eq!((report.ready, report.refused), (1, Vec::new()));
    Ok(())
}

#[tokio::test]
async fn rows_of_the_shared_schema_that_nobody_may_read_keep_nothing_from_spares() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create role owner login; alter database postgres owner to owner; \
         grant all on schema public to owner; \
         create table public.hidden (name text); create table public.secret (name text); \
         grant insert, select on public.secret to owner; \
         alter table public.secret enable row level security; \
         create policy p on public.secret using (false) with check (true)",
    )
    .await;
    let url = format!("postgres://owner@127.0.0.1:{}/postgres", server.port());
    let catalog = TableCatalog::new();
    let manager = TenantManager::builder(&url).catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let sql = "insert into public.secret values (current_schema())";
    let files = Files::new(&[("0001_all.sql", sql)]);
    let files = files.read().lint(Lint::default().allow_schema("public"));
    let report = manager.provisioner().tenants(files).fill_spares(1).await?;
    assert_eq!((report.ready, report.refused), (1, Vec::new()));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_refers_by_oid_is_fit_for_spares() -> TestResult {
    let sql = "
        create table t (id serial primary key, r regclass, n regnamespace, check (id <> 0));
        insert into t (r, n) values ('t', current_schema()::regnamespace);
        create view v as select *, 't'::regclass as c from t;
        create function f() returns bigint begin atomic select count(*) from t; end;
        create function g() returns trigger language plpgsql as 'begin return new; end';
        create trigger g before insert on t for each row execute function g();
        create policy p on t using (id in (select id from t));
        create function h() returns text language sql as 'select current_schema()::text';
        create table d (s text default current_schema());";
    let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", sql)]));
    let (_, provisioner) = with_table(&world, &files).await;
    let report = provisioner.fill_spares(1).await?;
    assert_eq!(report.refused, []);
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::Spare);
    Ok(())
}

#[tokio::test]
async fn a_spare_that_nobody_has_searched_is_searched_when_it_is_taken() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(1).await?;
    // As if it had been made by somebody who does not look.
    let mut admin = world.admin().await;
    let spare = schemas(&mut admin).await.remove(0);
    run(&mut admin, &format!("insert into {spare}.notes values (1, '{spare}')")).await;
    let (_, fresh) = with_table(&world, &files).await;
    let created = fresh.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::AtOnce);
    let report = fresh.fill_spares(1).await?;
    assert_eq!((report.ready, report.removed, report.refused.len()), (0, 1, 1));
    Ok(())
}

const KEEPS: &str = "create table notes (id int, text text);
    insert into notes values (1, current_schema());";

#[tokio::test]
async fn files_that_need_steps_and_keep_the_name_are_run_under_the_tenants_own() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, _) = with_table(&world, &files).await;
    let provisioner = files_in_steps(&manager, KEEPS);
    let mut admin = world.admin().await;
    // What a crash has left of it earlier is no obstacle.
    run(&mut admin, "create schema tenant_acme; create table tenant_acme.half ()").await;
    run(&mut admin, "comment on schema tenant_acme is 'tenantry: unfinished'").await;
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::InSteps);
    let db = manager.tenant("acme").await?;
    let own = "select text from notes";
    let own: String = sqlx::query_scalar(own).fetch_one(&db).await?;
    assert_eq!(own, "tenant_acme");
    assert_eq!(schemas(&mut admin).await, ["tenant_acme"]);
    let comment = "select obj_description('tenant_acme'::regnamespace)";
    assert_eq!(observe(&mut admin, comment).await, "None");
    // A schema that somebody else has made is theirs.
    run(&mut admin, "create schema tenant_theirs").await;
    let error = provisioner.create("theirs", CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    // One that fails leaves nothing, or what was asked for.
    let refuses = Seed::new("refuses", |_| Box::pin(async { Err("no".into()) }));
    let refusing = provisioner.seed(refuses);
    let error = refusing.create("b", CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed);
    assert_eq!(schemas(&mut admin).await, ["tenant_acme", "tenant_theirs"]);
    let keep = CreateOptions::default().keep_failed(true);
    let error = refusing.create("b", keep).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed);
    let left = schemas(&mut admin).await;
    assert!(
        left.len() == 3 && left.iter().any(|name| error.to_string().contains(name)),
        "{left:?}"
    );
    Ok(())
}

#[tokio::test]
async fn where_schemas_are_tenants_such_files_are_refused() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, _) = by_discovery(&world, &files);
    let provisioner = files_in_steps(&manager, KEEPS);
    for _ in 0..2 {
        let error = provisioner.create("acme", CreateOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoredName, "{error:?}");
        assert!(error.to_string().contains("TableCatalog"), "{error}");
        assert_eq!(schemas(&mut world.admin().await).await, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn a_rename_is_refused_by_what_would_go_on_meaning_the_old_name() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    for (make, object, unmake) in [
        (
            "create function tenant_acme.f() returns bigint language sql \
             as 'select count(*) from tenant_acme.notes'",
            "function tenant_acme.f()",
            "drop function tenant_acme.f()",
        ),
        (
            "create function public.f() returns bigint language sql \
             as 'select count(*) from U&\"tenant\\005facme\".notes'",
            "function public.f()",
            "drop function public.f()",
        ),
        (
            "create function tenant_acme.f() returns bigint language plpgsql \
             as 'begin return (select count(*) from u&\"tenant!005facme\" uescape ''!''.notes); end'",
            "function tenant_acme.f()",
            "drop function tenant_acme.f()",
        ),
        (
            "create function public.f() returns bigint language plpgsql \
             as 'begin return (select count(*) from \"tenant_acme\".notes); end'",
            "function public.f()",
            "drop function public.f()",
        ),
        (
            "create sequence tenant_acme.s; \
             alter table tenant_acme.notes alter id set default nextval('tenant_acme.s'::text)",
            "notes.id",
            "alter table tenant_acme.notes alter id drop default",
        ),
        (
            "create function tenant_acme.t() returns trigger language plpgsql \
             as 'begin return new; end'; create trigger t before insert on tenant_acme.notes \
             for each row execute function tenant_acme.t('tenant_acme')",
            "trigger t",
            "drop trigger t on tenant_acme.notes",
        ),
    ] {
        run(&mut admin, make).await;
        let error = provisioner.rename("acme", "globex").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoredName, "{make}: {error:?}");
        assert!(error.to_string().contains(object), "{error}");
        let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
        let names: &StoredNames = source.ok_or("it says which")?;
        assert_eq!(names.as_slice().len(), 1, "{names}");
        manager.tenant("acme").await?;
        assert_eq!(manager.tenant("globex").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
        run(&mut admin, unmake).await;
    }
    run(&mut admin, "comment on table tenant_acme.notes is 'see tenant_acme.notes'").await;
    provisioner.rename("acme", "globex").await?;
    manager.tenant("globex").await?;
    Ok(())
}

#[tokio::test]
async fn a_rename_is_refused_by_parts_of_statements() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    for part in [
        "execute 'select count(*) from (select 1) k(id)' || ' join tenant_acme.notes using (id)' into n",
        "execute 'select count(*) from (select 1) k(id)' || ', tenant_acme.notes' into n",
        "execute format('select count(*) from %s', 'tenant_acme.notes as n') into n",
        "execute 'select count(*) from ' || ('{\"of\": \"tenant_acme.notes\"}'::json->>'of') into n",
        "path := 'tenant_acme, pg_temp'; perform set_config('search_path', path, true)",
    ] {
        let body = format!("declare n bigint; path text; begin {part}; return n; end");
        let make = "create function tenant_acme.f() returns bigint language plpgsql as";
        run(&mut admin, &format!("{make} $f${body}$f$")).await;
        // Whoever tries again at once is not in the way of the first try.
        for _ in 0..5 {
            let error = provisioner.rename("acme", "globex").await.expect_err(part);
            assert_eq!(error.kind(), ErrorKind::StoredName, "{part}: {error:?}");
        }
        run(&mut admin, "drop function tenant_acme.f()").await;
    }
    provisioner.rename("acme", "globex").await?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_called_like_the_row_of_a_trigger_is_renamed_and_dropped() -> TestResult {
    let world = World::new().await;
    let catalog = TableCatalog::new();
    let manager =
        world.builder().catalog(catalog.clone()).isolation(Isolation::schema("{id}")).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(Files::notes().read());
    for id in ["new", "old"] {
        provisioner.create(id, CreateOptions::default()).await?;
        provisioner.rename(id, "another").await?;
        free_names(&mut world.admin().await).await;
        provisioner.rename("another", id).await?;
        free_names(&mut world.admin().await).await;
        provisioner.drop_tenant(id, id, Default::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_outside_of_the_schema_follow_a_rename_too() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    let database = observe(&mut admin, "select quote_ident(current_database())").await;
    let database = database.trim_start_matches("Some(\"").trim_end_matches("\")");
    let role = format!("role_of_{database}");
    let made = format!(
        r#"create function public.f(a text, "B" int[]) returns int language sql
               set search_path = public, tenant_acme, "$user" as 'select 1';
           create role {role};
           alter role {role} in database {database} set search_path = tenant_acme, public;
           alter database {database} set search_path = "$user", tenant_acme"#
    );
    run(&mut admin, &made).await;
    provisioner.rename("acme", "globex").await?;
    let settings = "select string_agg(c, '; ' order by c) from (
            select unnest(setconfig) from pg_db_role_setting s
            join pg_database d on d.oid = s.setdatabase where d.datname = current_database()
            union all select unnest(proconfig) from pg_proc where proname = 'f') as all_of (c)";
    let expected = r#"Some("search_path="$user", tenant_globex; search_path=public, tenant_globex, "$user"; search_path=tenant_globex, public")"#;
    assert_eq!(observe(&mut admin, settings).await.replace("\\\"", "\""), expected);
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_holds_an_extension_of_others_is_not_renamed() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    if try_run(&mut admin, "create extension citext schema tenant_acme").await.is_err() {
        skip("a tenant that holds an extension of others: the server has no citext");
        return Ok(());
    }
    run(&mut admin, "create table public.people (email tenant_acme.citext)").await;
    let error = provisioner.rename("acme", "globex").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("public.people"), "{error}");
    run(&mut admin, "drop table public.people").await;
    run(&mut admin, "create table tenant_acme.people (email tenant_acme.citext)").await;
    provisioner.rename("acme", "globex").await?;
    Ok(())
}

/// Has the server kill the session at the so-manieth statement of a rename from now on: each command that
/// changes a schema or a routine is one at its beginning and one at its end, and so is each row of the catalog.
pub(super) async fn kill_at(admin: &mut PgConnection, step: i32) {
    run(&mut *admin, "alter event trigger at_start disable; alter event trigger at_end disable")
        .await;
    let restart = format!(
        "select setval('kills.steps', 1, false); create or replace function kills.last_step() returns int \
         language sql as 'select {step}'"
    );
    run(&mut *admin, &restart).await;
    run(admin, "alter event trigger at_start enable; alter event trigger at_end enable").await;
}

pub(super) async fn prepare_kills(admin: &mut PgConnection) {
    run(
        admin,
        "create schema kills; create sequence kills.steps;
         create function kills.last_step() returns int language sql as 'select 0';
         create function kills.step() returns void language plpgsql as $$begin
             if nextval('kills.steps') = kills.last_step() then
                 perform pg_terminate_backend(pg_backend_pid());
             end if; end$$;
         create function kills.on_command() returns event_trigger language plpgsql
             as 'begin perform kills.step(); end';
         create function kills.on_row() returns trigger language plpgsql
             as 'begin perform kills.step(); return null; end';
         create trigger at_row after insert or update on tenants
             for each row execute function kills.on_row();
         create event trigger at_start on ddl_command_start execute function kills.on_command();
         create event trigger at_end on ddl_command_end execute function kills.on_command()",
    )
    .await;
}

#[tokio::test]
async fn a_rename_that_is_killed_anywhere_has_not_happened() -> TestResult {
    let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", SETTINGS)]));
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    add(&manager, "acme", 1).await?;
    let mut admin = world.admin().await;
    prepare_kills(&mut admin).await;
    let mut killed = 0;
    loop {
        kill_at(&mut admin, killed + 1).await;
        if provisioner.rename("acme", "globex").await.is_ok() {
            break;
        }
        killed += 1;
        eventually("the tenant is there as before", async || {
            total(&manager, "acme").await.is_ok_and(|total| total == 1)
        })
        .await;
        assert_eq!(schemas(&mut admin).await, ["tenant_acme"]);
    }
    // The schema, two routines: each at its start and its end, and the row.
    assert!(killed >= 7, "{killed}");
    assert_eq!(
        (schemas(&mut admin).await, total(&manager, "globex").await?),
        (vec!["tenant_globex".to_owned()], 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_claim_that_is_killed_anywhere_leaves_the_spare() -> TestResult {
    let (world, files) = (World::new().await, Files::new(&[("0001_all.sql", SETTINGS)]));
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(1).await?;
    let mut admin = world.admin().await;
    let spare = schemas(&mut admin).await;
    prepare_kills(&mut admin).await;
    let mut killed = 0;
    loop {
        kill_at(&mut admin, killed + 1).await;
        match provisioner.create("acme", CreateOptions::default()).await {
            Ok(created) => {
                assert_eq!(created.how, HowMade::Spare, "{killed} were killed");
                break;
            }
            Err(_) => killed += 1,
        }
        eventually("the spare is there as before", async || schemas(&mut admin).await == spare)
            .await;
        assert_eq!(manager.tenants().await?.len(), 0);
        eventually("nobody holds the spare any more", async || {
            let locks = "select count(*) from pg_locks where locktype = 'advisory' and database = \
                         (select oid from pg_database where datname = current_database())";
            observe(&mut admin, locks).await == "Some(\"0\")"
        })
        .await;
    }
    // The comment, the schema, two routines: each at its start and its end, and the row.
    assert!(killed >= 9, "{killed}");
    add(&manager, "acme", 1).await?;
    assert_eq!(total(&manager, "acme").await?, 1);
    Ok(())
}
