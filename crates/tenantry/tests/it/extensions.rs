//! Extensions are found without naming their schema, nothing else is, and what tenants cannot reach is told.

use std::error::Error as _;

use tenantry::{
    ErrorKind, FixedCatalog, Ident, SchemaDiscovery, TableCatalog, TenantManager, TenantRecord,
    Unreachable,
    migrate::{Failure, MigrateOptions, WithoutRecords},
    provision::{CreateOptions, HowMade},
    seed::{Seed, SeedOptions},
};

use crate::{
    log::{Format, logged, logged_so_far},
    migrate::Files,
    support::{
        TestResult, World, at_rest, code_of, eventually, name_of, observe, pid_of, run, try_run,
    },
};

const INSTALL: &str = "create schema extensions; \
    create extension citext schema extensions; create extension pg_trgm schema extensions; \
    create extension \"uuid-ossp\" schema extensions; create extension hstore schema extensions; \
    create extension btree_gist schema extensions; grant usage on schema extensions to public";

/// What breaks where extensions are not in the search path: types, functions, operator classes, operators,
/// and casts.
const ACCOUNTS: &str = "\
    create table accounts (id uuid primary key default uuid_generate_v4(), email citext not null, \
      name text not null default '', tags hstore not null default '', slot int4range, room int, \
      exclude using gist (room with =, slot with &&)); \
    create unique index on accounts (email); \
    create index on accounts using gin (name gin_trgm_ops); \
    create table qualified (email extensions.citext default extensions.uuid_generate_v4()::text); \
    insert into accounts (email, name) values ('Ada@Example.com', 'ada lovelace');";

async fn with_extensions(tenants: &[&str]) -> World {
    let world = World::with_tenants(tenants).await;
    run(&mut world.admin().await, INSTALL).await;
    world
}

fn reaching(world: &World) -> TenantManager {
    world.builder().extension_schemas(["extensions"]).build().expect("it is sound")
}

/// Everything that finds extensions' types, operators and functions by their names alone.
const REACHES: &str = "select (select count(*) from accounts where email = 'ADA@example.COM') \
    || ' ' || (select count(*) from accounts where name % 'ada lovelac') \
    || ' ' || (select count(*) from accounts where tags = 'a=>1'::hstore) \
    || ' ' || (uuid_generate_v4() is not null)::text";
const ALL: &str = r#"Some("1 1 0 true")"#;

#[tokio::test]
async fn extensions_are_reached_in_migrations_handles_leases_and_seeds() -> TestResult {
    let world = with_extensions(&["acme", "globex"]).await;
    let files = Files::new(&[("0001_accounts.sql", ACCOUNTS)]);
    let outside =
        "-- no-transaction\ncreate index concurrently on accounts using gist (name gist_trgm_ops);";
    files.write("0002_similar.sql", outside);
    let manager = reaching(&world);
    let options = MigrateOptions::default().without_records(WithoutRecords::Migrate);
    let report = manager.migrator().tenants(files.read()).migrate_all(options).await?;
    assert!(report.is_success(), "{report}");
    let acme = manager.tenant("acme").await?;
    for _ in 0..2 {
        assert_eq!(observe(&acme, REACHES).await, ALL);
        assert_eq!(observe(&mut *acme.acquire().await?, REACHES).await, ALL);
        assert_eq!(observe(&mut *acme.begin().await?, REACHES).await, ALL);
        // Kept statements fit the next tenant, too.
        for tenant in ["globex", "acme"] {
            let db = manager.tenant(tenant).await?;
            let found: i64 =
                sqlx::query_scalar("select count(*) from accounts where email = $1::citext")
                    .bind("ada@EXAMPLE.com")
                    .fetch_one(&db)
                    .await?;
            assert_eq!(found, 1, "{tenant}");
            assert_eq!(name_of(&db).await?, tenant);
        }
    }
    let seed =
        Seed::sql("b", "insert into accounts (email, tags) values ('b@b.b', hstore('a', '1'))");
    assert!(manager.seeder().seed_all(&seed, SeedOptions::default()).await?.is_success());
    let found = observe(&acme, "select count(*) from accounts where tags ? 'a'").await;
    assert_eq!(found, r#"Some("1")"#);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_shared_migrations_can_create_the_schema_of_extensions() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.builder().extension_schemas(["extensions"]).max_connections(2).build()?;
    let acme = manager.tenant("acme").await?;
    let early = acme.acquire().await.expect_err("the schema is missing").into();
    assert!(cause_of(&early).1.contains("extension schema extensions does not exist"), "{early:?}");
    let shared = Files::new(&[(
        "0001_extensions.sql",
        "create schema extensions; create extension hstore with schema extensions;",
    )]);
    let tenants = Files::new(&[("0001_tags.sql", "create table tags (all_of hstore);")]);
    let migrator = manager.migrator().shared(shared.read()).tenants(tenants.read());
    let options = MigrateOptions::default().without_records(WithoutRecords::Migrate);
    let report = migrator.migrate_all(options).await?;
    assert!(report.is_success(), "{report}");
    // The same connections serve tenants from now on.
    for _ in 0..4 {
        sqlx::query("insert into tags values ('a => 1')").execute(&acme).await?;
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn every_way_to_make_a_tenant_reaches_extensions() -> TestResult {
    let world = with_extensions(&[]).await;
    let catalog = || TableCatalog::default();
    let manager = world.builder().extension_schemas(["extensions"]).catalog(catalog()).build()?;
    catalog().create_table(manager.shared()).await?;
    let files = Files::new(&[("0001_accounts.sql", ACCOUNTS)]);
    let seed = Seed::sql("s", "insert into accounts (email) values ('seed@s.s')");
    let provisioner = manager.provisioner().tenants(files.read()).seed(seed.clone());
    let create = async |of: &tenantry::provision::Provisioner, id: &str| {
        let created = of.create(id, CreateOptions::default()).await?;
        let db = manager.tenant(id).await?;
        assert_eq!(observe(&db, REACHES).await, ALL, "{id}");
        Ok::<_, tenantry::Error>(created.how)
    };
    assert_eq!(create(&provisioner, "once").await?, HowMade::AtOnce);
    provisioner.fill_spares(1).await?;
    assert_eq!(create(&provisioner, "spare").await?, HowMade::Spare);
    files.write("0002_x.sql", "-- no-transaction\ncreate index concurrently on accounts (email);");
    let provisioner = manager.provisioner().tenants(files.read()).seed(seed);
    assert_eq!(create(&provisioner, "steps").await?, HowMade::InSteps);
    assert_eq!(manager.unreachable_extensions().await?, []);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_extension_schema_holds_nothing_but_extensions() -> TestResult {
    for (kind, what) in [
        ("table", "create table extensions.users (id int)"),
        ("view", "create view extensions.users as select 1 as id"),
        ("sequence", "create sequence extensions.users"),
        ("function", "create function extensions.f(int) returns int language sql as 'select 1'"),
        ("procedure", "create procedure extensions.f() language sql as 'select 1'"),
        ("aggregate", "create aggregate extensions.a(int) (sfunc = int4pl, stype = int)"),
        ("type", "create type extensions.state as enum ('on')"),
        ("type", "create domain extensions.state as text"),
        (
            "operator",
            "create operator extensions.@@@ (leftarg = int, rightarg = int, function = int4pl)",
        ),
        (
            "operator class",
            "create operator class extensions.o for type int using btree as operator 1 <",
        ),
        ("collation", "create collation extensions.c (locale = 'C')"),
        (
            "text search configuration",
            "create text search configuration extensions.t (copy = simple)",
        ),
    ] {
        let world = with_extensions(&["acme"]).await;
        run(&mut world.admin().await, what).await;
        let manager = reaching(&world);
        let refused = manager.tenant("acme").await.expect_err(what);
        assert_eq!(cause_of(&refused).0, ErrorKind::Config, "{what}: {refused:?}");
        assert!(cause_of(&refused).1.contains(&format!("{kind} extensions.")), "{refused:?}");
        manager.close().await;
        // What is an extension's passes, as a member of one does.
        run(&mut world.admin().await, "drop schema extensions cascade").await;
        let manager = reaching(&world);
        let acme = manager.tenant("acme").await?;
        let missing = acme.acquire().await.expect_err("the schema is gone").into();
        assert!(cause_of(&missing).1.contains("extensions does not exist"), "{missing:?}");
        manager.close().await;
    }
    Ok(())
}

/// The kind and the words of the library's own error at the end of a chain.
fn cause_of(error: &tenantry::Error) -> (ErrorKind, String) {
    let mut found = (error.kind(), error.to_string());
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(own) = source.downcast_ref::<tenantry::Error>() {
            found = (own.kind(), own.to_string());
        }
        next = source.source();
    }
    found
}

#[tokio::test]
async fn nobody_else_may_create_in_an_extension_schema() -> TestResult {
    let world = with_extensions(&["acme"]).await;
    let role = format!("creator_{}", std::process::id());
    let mut admin = world.admin().await;
    run(&mut admin, &format!("create role {role}")).await;
    for (grantee, named) in [("public", "public"), (role.as_str(), role.as_str())] {
        run(&mut admin, &format!("grant create on schema extensions to {grantee}")).await;
        let manager = reaching(&world);
        let refused = manager.tenant("acme").await.expect_err("somebody may create");
        let words = cause_of(&refused).1;
        assert!(
            words.contains(&format!("revoke create on schema extensions from {named}")),
            "{words}"
        );
        manager.close().await;
        run(&mut admin, &format!("revoke create on schema extensions from {grantee}")).await;
    }
    // Its owner may, whoever that is.
    run(&mut admin, &format!("alter schema extensions owner to {role}")).await;
    let manager = reaching(&world);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    // What comes later is found by the next connection, and nothing was changed for those that are there.
    run(&mut admin, "create table extensions.planted (id int)").await;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    let another = reaching(&world);
    assert!(another.tenant("acme").await.is_err());
    manager.close().await;
    another.close().await;
    run(&mut admin, &format!("drop schema extensions cascade; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_schema_that_is_not_there_leads_to_no_other() -> TestResult {
    let world = with_extensions(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create extension pg_stat_statements schema extensions").await;
    // An extension that has a table of the tenant's name.
    run(
        &mut admin,
        "create table extensions.users (id int, name text); \
                     insert into extensions.users values (1, 'nobody'); \
                     alter extension citext add table extensions.users",
    )
    .await;
    let catalog = ["acme", "gone"].map(|id| TenantRecord::new(id.parse().expect("an id")));
    let catalog = FixedCatalog::new(catalog);
    let manager = world.builder().extension_schemas(["extensions"]).catalog(catalog).build()?;
    let acme = manager.tenant("acme").await?;
    assert_eq!(name_of(&acme).await?, "acme");
    let gone = match manager.tenant("gone").await {
        Ok(db) => name_of(&db).await.map_err(tenantry::Error::from).map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(gone.expect_err("it has no schema").kind(), ErrorKind::Placement);
    // The session is bound and was seen there just now.
    run(&mut admin, "drop schema tenant_acme cascade").await;
    let found = name_of(&acme).await.map_err(tenantry::Error::from);
    assert!(found.is_err(), "{found:?}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_is_never_what_holds_extensions() -> TestResult {
    let world = with_extensions(&[]).await;
    run(&mut world.admin().await, "create schema acme").await;
    let builder = world.builder().isolation(tenantry::Isolation::schema("{id}"));
    let builder = builder.catalog(SchemaDiscovery::default()).extension_schemas(["extensions"]);
    let manager = builder.build()?;
    let ids: Vec<_> =
        manager.tenants().await?.into_iter().map(|record| record.id.to_string()).collect();
    assert_eq!(ids, ["acme"]);
    assert_eq!(manager.tenant("extensions").await.unwrap_err().kind(), ErrorKind::Placement);
    manager.close().await;
    for name in ["pg_catalog", "pg_temp", "information_schema", ""] {
        assert!(world.builder().extension_schemas([name]).build().is_err(), "{name:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    run(
        &mut world.admin().await,
        "create extension citext; create extension pg_trgm; create extension hstore; \
         create domain public.email as citext; \
         alter table tenant_acme.users add mail public.citext; \
         alter table tenant_globex.users add mails public.citext[]",
    )
    .await;
    let manager = world.manager();
    let missing = manager.unreachable_extensions().await?;
    let names: Vec<_> = missing.iter().map(|of| (&*of.extension, of.schemas_in_use)).collect();
    assert_eq!(names, [("citext", 2), ("hstore", 0), ("pg_trgm", 0)]);
    assert_eq!(missing[0].column.as_deref(), Some("tenant_acme.users.mail"));
    assert_eq!(missing[0].reason, Unreachable::NotInSearchPath);
    assert!(missing[0].to_string().contains("the schema public is not in the search path"));
    manager.close().await;
    // A role that may not use the schema passes over it, as silently.
    let role = format!("reader_{}", std::process::id());
    let mut admin = world.admin().await;
    let install =
        format!("create role {role}; create schema ext; alter extension citext set schema ext");
    run(&mut admin, &install).await;
    let acme = TenantRecord::new("acme".parse()?).role(Ident::parse(&role)?);
    let builder = world.builder().catalog(FixedCatalog::new(vec![acme]));
    let manager = builder.extension_schemas(["ext"]).build()?;
    let missing = manager.unreachable_extensions().await?;
    let citext = missing.iter().find(|of| of.extension == "citext").expect("it is missing");
    assert_eq!(citext.reason, Unreachable::NoUsage { roles: vec![role.clone()] });
    // It is refused rather than served with the operators of `text`.
    let acme = manager.tenant("acme").await?;
    for _ in 0..2 {
        let refused = acme.acquire().await.expect_err("it may not use the schema");
        let words = cause_of(&refused.into()).1;
        assert!(words.contains("grant usage on schema ext"), "{words}");
    }
    run(&mut admin, &format!("grant usage on schema ext to {role}")).await;
    let missing = manager.unreachable_extensions().await?;
    assert!(missing.iter().all(|of| of.extension != "citext"), "{missing:?}");
    acme.ping().await?;
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_failure_says_where_the_name_is() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create extension citext; create extension pg_trgm; create extension \"uuid-ossp\"; \
         create table public.plans (id int); create schema tenant_other; \
         create table tenant_other.secrets (id int)",
    )
    .await;
    let manager = world.manager();
    for (sql, hint) in [
        (
            "create table t (email citext);",
            Some("the type citext belongs to an extension in the schema public"),
        ),
        ("create table t (id uuid default uuid_generate_v4());", Some("public.uuid_generate_v4")),
        (
            "create table t (n text); create index on t using gin (n gin_trgm_ops);",
            Some("the operator class gin_trgm_ops"),
        ),
        ("select 'a'::text % 'b'::text;", Some("the operator %")),
        ("insert into plans values (1);", Some("there is a table plans in the schema public")),
        ("insert into secrets values (1);", None),
        ("insert into nowhere values (1);", None),
    ] {
        let files = Files::new(&[("0001_it.sql", sql)]);
        let migrator = manager.migrator().tenants(files.read());
        let options = MigrateOptions::default().without_records(WithoutRecords::Migrate);
        let report = migrator.migrate_all(options).await?;
        let failure = report.tenants[0].error().expect(sql);
        let told = failure.to_string();
        match hint {
            Some(hint) => assert!(told.contains(hint), "{sql}: {told}"),
            None => assert_eq!(failure.hint(), None, "{sql}"),
        }
        assert!(!told.contains("tenant_other"), "{told}");
        let provisioner = manager.provisioner().tenants(files.read());
        let error = provisioner.create("new", CreateOptions::default()).await.expect_err(sql);
        let failure = error.source().and_then(|source| source.downcast_ref::<Failure>());
        assert_eq!(failure.expect("it is in a file").hint().is_some(), hint.is_some(), "{sql}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn functions_of_extensions_leave_nothing_behind_and_cost_no_reset() -> TestResult {
    let world = with_extensions(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let one = || {
        let builder = world.builder().extension_schemas(["extensions"]).max_connections(1);
        builder.build().expect("it is sound")
    };
    let manager = one();
    let acme = manager.tenant("acme").await?;
    let pid = pid_of(&acme).await?;
    let similar = "select similarity('a', name) from users where name % 'acme'";
    assert_eq!(observe(&acme, "select set_limit(0.9)").await, r#"Some("0.9")"#);
    for _ in 0..3 {
        sqlx::query(similar).fetch_all(&acme).await?;
    }
    at_rest(&manager).await;
    let last = format!("select query from pg_stat_activity where pid = {pid} and state = 'idle'");
    let text = observe(&mut admin, &last).await;
    assert!(text.contains("similarity"), "the session was reset: {text}");
    // What `set_limit` has set is gone, for the next statement and for the next tenant.
    for tenant in ["acme", "globex"] {
        let seen = observe(&manager.tenant(tenant).await?, "select show_limit()").await;
        assert_eq!(seen, r#"Some("0.3")"#, "{tenant}");
    }
    manager.close().await;
    // One that is written in PL/pgSQL may do anything.
    run(
        &mut admin,
        "create function extensions.turn() returns int language plpgsql as $f$ begin \
         perform set_config('search_path', 'tenant_globex', false); return 1; end $f$; \
         alter extension citext add function extensions.turn()",
    )
    .await;
    let manager = one();
    let acme = manager.tenant("acme").await?;
    for _ in 0..3 {
        assert_eq!(observe(&acme, "select turn()").await, r#"Some("1")"#);
        assert_eq!(name_of(&acme).await?, "acme");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_misses_an_extension_is_explained_in_the_log_alone() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create extension pg_trgm").await;
    let manager = world.manager();
    let acme = manager.tenant("acme").await?;
    let hint = "the function similarity belongs to an extension in the schema public";
    let told = logged(Format::Full, async {
        for _ in 0..3 {
            let failed = try_run(&acme, "select similarity('a', 'b')").await.expect_err("unseen");
            assert_eq!(code_of(&failed), "error 42883");
            assert!(!failed.to_string().contains("public"), "{failed}");
        }
        eventually("it is told", async || logged_so_far().contains(hint)).await;
        for _ in 0..20 {
            acme.ping().await?;
        }
        Ok(())
    });
    let told = told.await;
    assert_eq!(told.matches(hint).count(), 1, "{told}");
    manager.close().await;
    Ok(())
}
