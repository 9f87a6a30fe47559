//! A schema that was the whole service becomes a tenant's, and that of the service again.

use sqlx::{PgConnection, migrate::Migrator};
use tenantry::{
    ErrorKind, TableCatalog,
    migrate::{MigrateOptions, Schemas},
    provision::{Adopt, CreateOptions, NameOutcome},
};

use super::{
    by_discovery, with_table,
    written::{kill_at, prepare_kills},
};
use crate::{
    migrate::Files,
    support::{TestResult, World, connect, observe, private_server, run, skip, try_run},
};

/// A service with one customer. `citext` stands for the type of an e-mail address, or `text` without contrib.
const SERVICE: &str = r#"
    create table plans (id int primary key, name text not null);
    insert into plans values (1, 'free'), (2, 'pro');
    create type state as enum ('open', 'paid');
    create domain positive as int check (value > 0);
    create table users (
        id int generated always as identity primary key,
        email email_type not null unique,
        plan int not null references plans default 1,
        visibility text not null default 'public' check (visibility in ('public', 'private')));
    create table orders (
        id serial primary key, "user" int not null references users on delete cascade,
        amount positive, state state not null default 'open');
    create index on orders ("user") where state = 'open';
    create table events (at timestamptz, what text) partition by range (at);
    create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01');
    create view paid as select u.email, o.amount from orders o join users u on u.id = o."user"
        where o.state = 'paid';
    create materialized view totals as select "user", sum(amount) from orders group by 1;
    create function total(int) returns bigint language sql stable set search_path = public, pg_temp
        as 'select sum(amount) from orders where "user" = $1';
    create function mail_of(int) returns text language sql stable
        begin atomic select email from users where id = $1; end;
    create function stamp() returns trigger language plpgsql as
        $$begin insert into events values (now(), tg_table_name); return new; end$$;
    create trigger stamp after insert on orders for each row execute function stamp();
    alter table orders enable row level security;
    create policy open_orders on orders using (state = 'open');
    comment on table orders is 'what was bought';
    insert into users (email) values ('A@example.com');
    insert into orders ("user", amount) values (1, 5), (1, 7);
"#;

/// Everything that makes a schema, as text with its name, in order.
const DESCRIBE: &str = "
    with here as (select oid from pg_namespace where nspname = $1),
    class as (select c.* from pg_class c join here on here.oid = c.relnamespace
        where relname not like 'tenantry%')
    select line from (
        select concat_ws(' ', relkind, oid::regclass, relowner::regrole, relacl::text, reloptions::text,
            relrowsecurity, obj_description(oid, 'pg_class')) as line from class
        union all select concat_ws(' ', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod),
            attnotnull, attidentity, attacl::text, pg_get_expr(adbin, adrelid))
            from pg_attribute join class on class.oid = attrelid
            left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0
        union all select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(k.oid))
            from pg_constraint k join class on class.oid = conrelid
        union all select pg_get_indexdef(indexrelid) from pg_index join class on class.oid = indexrelid
        union all select pg_get_viewdef(oid) from class where relkind in ('v', 'm')
        union all select concat_ws(' ', pg_get_functiondef(p.oid), proacl::text) from pg_proc p
            join here on here.oid = pronamespace where prokind <> 'a' and not exists (
                select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
                and proname not like 'tenantry%'
        union all select pg_get_triggerdef(t.oid) from pg_trigger t join class on class.oid = tgrelid
            where not tgisinternal
        union all select concat_ws(' ', polrelid::regclass, polname, pg_get_expr(polqual, polrelid))
            from pg_policy join class on class.oid = polrelid
        union all select concat_ws(' ', t.oid::regtype, typtype, typdefault, typacl::text) from pg_type t
            join here on here.oid = typnamespace where typname not like '%tenantry%' and not exists (
                select from pg_depend d where d.objid = t.oid and d.deptype = 'e')
                and typname not like '\\_%'
        union all select concat_ws(' ', defaclrole::regrole, defaclobjtype, defaclacl::text)
            from pg_default_acl join here on here.oid = defaclnamespace
        union all select concat_ws(' ', 'schema', nspowner::regrole, nspacl::text)
            from pg_namespace n join here on here.oid = n.oid
    ) as lines where line <> '' order by line collate \"C\"";

async fn describe(admin: &mut PgConnection, schema: &str) -> Vec<String> {
    run(&mut *admin, "set search_path = ''").await;
    let lines = sqlx::query_scalar(DESCRIBE).bind(schema).fetch_all(&mut *admin).await;
    run(admin, "reset search_path").await;
    let mut lines: Vec<String> = lines.expect("the server is running");
    for line in &mut lines {
        *line = line.replace(&format!("{schema}."), "public.");
        *line = line.replace(&format!("'{schema}', 'public'"), "'public'");
    }
    lines.sort();
    lines
}

/// Makes the service, its records by sqlx itself. Returns its files, and whether there is contrib.
async fn serve_one(
    world: &World,
    admin: &mut PgConnection,
) -> Result<(Files, bool), Box<dyn std::error::Error>> {
    let contrib =
        try_run(&mut *admin, "create extension citext; create extension pg_trgm").await.is_ok();
    let email = if contrib { "citext" } else { "text" };
    let mut sql = SERVICE.replace("email_type", email);
    if contrib {
        sql.push_str("create index on users using gin ((email::text) gin_trgm_ops);");
    }
    let files = Files::new(&[("1_service.sql", sql)]);
    let mut own = connect(world.database.url()).await;
    Migrator::new(files.path()).await?.run(&mut own).await?;
    let role = role_of(admin).await;
    let grants = format!(
        "create role {role}; grant usage on schema public to {role}; grant select on users to {role}; \
         grant execute on function total to {role}; \
         alter default privileges in schema public grant select on tables to {role}"
    );
    run(admin, &grants).await;
    Ok((files, contrib))
}

async fn role_of(admin: &mut PgConnection) -> String {
    sqlx::query_scalar("select 'reader_of_' || current_database()")
        .fetch_one(admin)
        .await
        .expect("it is up")
}

async fn drop_role(admin: &mut PgConnection) {
    let role = role_of(admin).await;
    run(admin, &format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn the_tables_of_the_service_become_the_first_tenants_and_go_back() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let (files, contrib) = serve_one(&world, &mut admin).await?;
    let (manager, provisioner) = with_table(&world, &files).await;
    let schema = "select concat(nspowner::regrole, nspacl, obj_description(oid)) from pg_namespace \
                  where nspname = 'public'";
    let (before, public) =
        (describe(&mut admin, "public").await, observe(&mut admin, schema).await);
    let options = Adopt::schema("public").keep_shared(["plans"]);

    let dry = provisioner.adopt("acme", options.clone().dry_run(true)).await?;
    assert!(dry.is_possible() && dry.dry_run, "{dry}");
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    assert_eq!(describe(&mut admin, "public").await, before);

    let report = provisioner.adopt("acme", options.clone()).await?;
    assert_eq!((&*report.from, &*report.to), ("public", "tenant_acme"));
    assert_eq!((&report.objects, &report.names), (&dry.objects, &dry.names));
    assert_eq!(report.extensions, if contrib { vec!["citext", "pg_trgm"] } else { vec![] });
    let moved = ["table plans", "table tenants", "function tenantry_announce"];
    assert_eq!(report.moved, moved);
    let rewritten: Vec<_> =
        report.names.iter().filter(|name| name.outcome == NameOutcome::Rewritten).collect();
    assert_eq!(rewritten.len(), 1, "{report}");
    // What was the service's is the tenant's, but for the shared table.
    let after = describe(&mut admin, "tenant_acme").await;
    let is_shared = |line: &&String| {
        line.contains("tenants") || (line.contains("plans") && !line.contains("users_plan_fkey"))
    };
    let kept: Vec<_> = before.iter().filter(|line| !is_shared(line)).cloned().collect();
    let standard = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| !line.starts_with("schema ")).cloned().collect()
    };
    assert_eq!(standard(&after), standard(&kept));
    assert_eq!(observe(&mut admin, schema).await, public);

    let db = manager.tenant("acme").await?;
    let total: i64 = sqlx::query_scalar("select total(1)").fetch_one(&db).await?;
    assert_eq!(total, 12);
    sqlx::query(r#"insert into orders ("user", amount) values (1, 1)"#).execute(&db).await?;
    let events: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&db).await?;
    assert_eq!(events, 3);
    let plans: i64 =
        sqlx::query_scalar("select count(*) from plans").fetch_one(manager.shared()).await?;
    assert_eq!(plans, 2);
    let plan = manager.migrator().tenants(files.read());
    let plan = plan.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(plan.to_string().contains("1 up to date"), "{plan}");
    let exists = provisioner.adopt("acme", options.clone()).await.unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::TenantExists, "{exists:?}");

    let report = provisioner.release("acme", options.clone().dry_run(true)).await?;
    assert!(report.is_possible(), "{report}");
    manager.tenant("acme").await?;
    run(&mut admin, "create table public.left_over ()").await;
    let error = provisioner.release("acme", options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement);
    assert!(error.to_string().contains("public.left_over"), "{error}");
    run(&mut admin, "drop table public.left_over").await;
    provisioner.release("acme", options).await?;
    assert_eq!(describe(&mut admin, "public").await, before);
    assert_eq!(observe(&mut admin, schema).await, public);
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    drop_role(&mut admin).await;
    Ok(())
}

#[tokio::test]
async fn one_that_is_killed_anywhere_has_not_happened() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table plans (id int); create table notes (id int); \
         create function f() returns bigint language sql set search_path = public \
           as 'select count(*) from notes, plans'",
    )
    .await;
    prepare_kills(&mut admin).await;
    let before = describe(&mut admin, "public").await;
    let mut killed = 0;
    loop {
        kill_at(&mut admin, killed + 1).await;
        let options = Adopt::schema("public").keep_shared(["plans"]);
        if provisioner.adopt("acme", options).await.is_ok() {
            break;
        }
        killed += 1;
        assert_eq!(describe(&mut admin, "public").await, before);
        assert_eq!(manager.tenants().await?.len(), 0);
    }
    assert!(killed > 10, "{killed}");
    let db = manager.tenant("acme").await?;
    let count: i64 = sqlx::query_scalar("select f()").fetch_one(&db).await?;
    assert_eq!(count, 0);
    Ok(())
}

#[tokio::test]
async fn another_schema_than_public_is_adopted_too() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create schema app; create table app.notes (id int); create table app.plans (id int); \
         create function app.f() returns bigint language sql set search_path = app \
           as 'select count(*) from notes, plans'",
    )
    .await;
    let (manager, provisioner) = by_discovery(&world, &files);
    let options = Adopt::schema("app").keep_shared(["plans"]);
    let report = provisioner.adopt("acme", options).await?;
    assert_eq!(report.moved, ["table plans"]);
    let db = manager.tenant("acme").await?;
    let count: i64 = sqlx::query_scalar("select f()").fetch_one(&db).await?;
    assert_eq!(count, 0);
    assert_eq!(observe(&mut admin, "select to_regnamespace('app')::text").await, "None");
    Ok(())
}

#[tokio::test]
async fn where_another_schema_is_shared_public_is_made_anew_all_the_same() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create schema shared; create table plans (id serial primary key, at date) partition by range (id); \
         create table plans_1 partition of plans for values from (1) to (9); \
         create table notes (id int); insert into plans default values; \
         create function f() returns bigint language sql set search_path = public \
           as 'select count(*) from notes, plans'",
    )
    .await;
    let contrib = try_run(&mut admin, "create extension citext").await.is_ok();
    let manager = world.builder().shared_schema("shared").build()?;
    let provisioner = manager.provisioner().tenants(files.read());
    let options = Adopt::schema("public").keep_shared(["plans"]);
    provisioner.adopt("acme", options.clone()).await?;
    let db = manager.tenant("acme").await?;
    let count: i64 = sqlx::query_scalar("select f()").fetch_one(&db).await?;
    assert_eq!(count, 0);
    sqlx::query("insert into plans default values").execute(manager.shared()).await?;
    let place = "select string_agg(n.nspname || '.' || relname, ' ' order by relname) from pg_class c \
                 join pg_namespace n on n.oid = relnamespace where relname ~ '^(plans|notes)'";
    let there = r#"Some("tenant_acme.notes shared.plans shared.plans_1 shared.plans_1_pkey shared.plans_id_seq shared.plans_pkey")"#;
    assert_eq!(observe(&mut admin, place).await, there);
    let extension =
        "select extnamespace::regnamespace::text from pg_extension where extname = 'citext'";
    if contrib {
        assert_eq!(observe(&mut admin, extension).await, r#"Some("shared")"#);
    }
    provisioner.release("acme", options).await?;
    let there = there.replace("tenant_acme.", "public.").replace("shared.plans", "public.plans");
    assert_eq!(observe(&mut admin, place).await, there);
    Ok(())
}

#[tokio::test]
async fn what_is_in_the_way_is_told_and_nothing_is_changed() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table public.users (id int); create table public.plans (id int); \
         create function public.bad() returns bigint language sql \
           as 'select count(*) from public.users'; \
         create function public.good() returns bigint language sql \
           as 'select count(*) from public.plans'",
    )
    .await;
    let options = || Adopt::schema("public").keep_shared(["plans"]);
    let dry = provisioner.adopt("acme", options().dry_run(true)).await?;
    assert!(!dry.is_possible());
    assert_eq!(dry.blockers, ["function public.bad() (body)"]);
    let error = provisioner.adopt("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoredName, "{error:?}");
    run(&mut admin, "drop function public.bad()").await;
    for (id, options, kind) in [
        ("acme", Adopt::schema("public").keep_shared(["nothing"]), ErrorKind::Placement),
        ("acme", Adopt::schema("nowhere"), ErrorKind::Placement),
        ("acme", Adopt::schema("pg_catalog"), ErrorKind::Placement),
        ("acme", Adopt::schema(""), ErrorKind::Config),
        ("Not An Id", options(), ErrorKind::InvalidTenantId),
    ] {
        let error = provisioner.adopt(id, options).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    // What is mistyped is told with what it could be.
    for (table, told) in [
        ("plan", "there is plans"),
        ("PLANS", "there is plans"),
        ("nothing", "and no table has a similar name"),
    ] {
        let options = Adopt::schema("public").keep_shared([table]).dry_run(true);
        let dry = provisioner.adopt("acme", options).await?;
        assert!(dry.blockers.iter().any(|blocker| blocker.contains(told)), "{dry}");
    }
    let there =
        "select to_regclass('public.users') is not null and to_regnamespace('tenant_acme') is null";
    assert_eq!(observe(&mut admin, there).await, r#"Some("t")"#);
    // Tables in use are waited for, and no longer than that.
    run(&mut admin, "begin; lock table public.plans in access share mode").await;
    let impatient = options().lock_timeout(std::time::Duration::from_millis(50));
    let error = provisioner.adopt("acme", impatient).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LockNotAvailable, "{error:?}");
    run(&mut admin, "rollback").await;
    // A tenant's schema is not another's, and others keep one from going back.
    provisioner.create("globex", CreateOptions::default()).await?;
    let error = provisioner.adopt("globex", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    assert!(error.to_string().contains("already has this tenant"), "{error}");
    let error = provisioner.adopt("acme", Adopt::schema("tenant_globex")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    provisioner.adopt("acme", options()).await?;
    let db = manager.tenant("acme").await?;
    let good: i64 = sqlx::query_scalar("select good()").fetch_one(&db).await?;
    assert_eq!(good, 0);
    let error = provisioner.release("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("globex"), "{error}");
    Ok(())
}

#[tokio::test]
async fn extensions_that_tenants_would_miss_are_warned_of_and_fixed_ones_are_in_the_way()
-> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    // The one extension that is always there stands for others.
    let here =
        "update pg_extension set extnamespace = 'public'::regnamespace where extname = 'plpgsql'";
    run(&mut admin, here).await;
    let dry = provisioner.adopt("acme", Adopt::schema("public").dry_run(true)).await?;
    assert_eq!(
        dry.blockers,
        ["extension plpgsql cannot be moved to another schema: recreate it in public"]
    );
    let error = provisioner.adopt("acme", Adopt::schema("public")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("extension plpgsql cannot be moved"), "{error}");
    // One that can be moved, if the server has any.
    let back = "update pg_extension set extnamespace = 'pg_catalog'::regnamespace where extname = 'plpgsql'";
    run(&mut admin, back).await;
    if try_run(&mut admin, "create extension citext schema public").await.is_err() {
        skip("adopting an extension that can be moved: the server has no citext");
        return Ok(());
    }
    let dry = provisioner.adopt("acme", Adopt::schema("public").dry_run(true)).await?;
    assert!(dry.is_possible(), "{dry}");
    assert_eq!(dry.warnings.len(), 1, "{dry}");
    assert!(dry.to_string().contains(".extension_schemas("), "{dry}");
    let sees = world.builder().tenants_see_shared(true).build()?;
    let dry = sees.provisioner().adopt("acme", Adopt::schema("public").dry_run(true)).await?;
    assert_eq!(dry.warnings, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn the_owner_of_the_database_needs_no_superuser() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    // Before version 15, `public` belongs to who has made the server.
    run(
        &mut admin,
        "create role owner login; alter database postgres owner to owner; \
         alter schema public owner to owner",
    )
    .await;
    let url = format!("postgres://owner@127.0.0.1:{}/postgres", server.port());
    let mut own = connect(&url).await;
    run(
        &mut own,
        "create table notes (id int); create function f() returns bigint language sql \
         set search_path = public as 'select count(*) from notes'",
    )
    .await;
    let catalog = TableCatalog::new();
    let manager = tenantry::TenantManager::builder(&url).catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner();
    provisioner.adopt("acme", Adopt::schema("public")).await?;
    let db = manager.tenant("acme").await?;
    let count: i64 = sqlx::query_scalar("select f()").fetch_one(&db).await?;
    assert_eq!(count, 0);
    provisioner.release("acme", Adopt::schema("public")).await?;
    let count: i64 = sqlx::query_scalar("select f()").fetch_one(&mut own).await?;
    assert_eq!(count, 0);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_schema_that_has_its_name_already_is_listed_and_released() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema tenant_acme; create table tenant_acme.t as select 7 as x").await;
    let look = provisioner.adopt("acme", Adopt::in_place().dry_run(true)).await?;
    assert!(look.is_possible(), "{look}");
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    provisioner.adopt("acme", Adopt::in_place()).await?;
    let found: i32 =
        sqlx::query_scalar("select x from t").fetch_one(&manager.tenant("acme").await?).await?;
    assert_eq!(found, 7);
    let again = provisioner.adopt("acme", Adopt::in_place()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::TenantExists);
    let absent = provisioner.adopt("globex", Adopt::in_place()).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Placement, "{absent}");
    provisioner.release("acme", Adopt::in_place()).await?;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    assert_eq!(observe(&mut admin, "select x::text from tenant_acme.t").await, "Some(\"7\")");
    Ok(())
}

#[tokio::test]
async fn a_list_of_others_takes_no_schema_and_gives_none_back() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create table public.tenants as select 'acme' as slug; create schema tenant_acme; create schema old; \
         create table old.t ()",
    )
    .await;
    let columns = tenantry::CatalogColumns::new().id("slug");
    for catalog in [
        TableCatalog::new().columns(columns),
        TableCatalog::query("select slug as id from tenants"),
    ] {
        let manager = world.builder().catalog(catalog).build()?;
        let provisioner = manager.provisioner();
        for refused in [
            provisioner.adopt("globex", Adopt::schema("old")).await,
            provisioner.adopt("globex", Adopt::in_place().dry_run(true)).await,
            provisioner.release("acme", Adopt::schema("public")).await,
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Catalog);
            assert!(error.to_string().contains("read-only"), "{error}");
        }
    }
    let left = "select count(*)::text from pg_namespace where nspname in ('old', 'tenant_acme')";
    assert_eq!(observe(&mut admin, left).await, "Some(\"2\")");
    Ok(())
}
