//! The table of tenants is made where there is none, and a table that is something else is left alone.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{ErrorKind, TableCatalog, TenantManager, TenantState};

use crate::support::{TestResult, World, eventually, name_of, observe, run, try_run};

/// A table that will do, with room for what a test puts in other words.
const FITS: &str = "create table tenants (id text primary key, container text unique, \
                    state text not null default 'active', created_at timestamptz default now(), \
                    attributes jsonb not null default '{}')";

async fn create(manager: &TenantManager) -> Result<(), tenantry::Error> {
    TableCatalog::new().create_table(manager.shared()).await
}

/// What the library has made in the shared schema.
async fn made(admin: &mut PgConnection) -> String {
    let sql = "select (select count(*) from pg_trigger where tgname like 'tenantry%') \
               + (select count(*) from pg_proc where proname like 'tenantry%')";
    observe(admin, sql).await
}

#[tokio::test]
async fn a_table_that_is_something_else_is_refused_and_left_alone() -> TestResult {
    for (existing, named, write) in [
        (
            "create table tenants (id uuid primary key default gen_random_uuid(), name text)",
            "column id is uuid; expected text; column container is missing",
            "insert into tenants (name) values ('x'); update tenants set name = 'y'; \
             delete from tenants",
        ),
        (
            "create table tenants (id bigint primary key, container text, state text, \
             created_at timestamptz, attributes jsonb)",
            "column id is bigint; expected text",
            "insert into tenants (id) values (1); update tenants set id = 2; delete from tenants",
        ),
        (
            "create type state as enum ('active', 'suspended'); \
             create table tenants (id text primary key, container text, state state, \
             created_at timestamptz, attributes jsonb)",
            "column state is state; expected text",
            "insert into tenants (id) values ('x'); delete from tenants",
        ),
        (
            "create table tenants (id text, container text, state text, \
             created_at timestamptz, attributes jsonb)",
            "column id is not unique",
            "insert into tenants (id) values ('x'), ('x'); delete from tenants",
        ),
        (
            "create table tenants (id text, container text, state text, \
             created_at timestamptz, attributes jsonb); \
             create unique index on tenants (id) where state = 'active'; \
             create unique index on tenants (id, container); \
             create unique index on tenants (lower(id))",
            "column id is not unique",
            "insert into tenants (id, container) values ('x', 'a'); delete from tenants",
        ),
        ("create table tenants ()", "column id is missing; expected text", "select 1"),
        (
            "create table others (id text primary key); create view tenants as \
             select id, id as container, id as state, now() as created_at, \
             '{}'::jsonb as attributes from others",
            "it is a view",
            "insert into others values ('x'); delete from others",
        ),
        ("create sequence tenants", "it is not a table", "select nextval('tenants')"),
    ] {
        let world = World::new().await;
        let mut admin = world.admin().await;
        run(&mut admin, existing).await;
        let manager = world.manager();
        let error = create(&manager).await.expect_err(existing);
        let text = error.to_string();
        assert!(text.contains("public.tenants") && text.contains(named), "{existing}: {text}");
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Config, false), "{text}");
        assert_eq!(made(&mut admin).await, "Some(\"0\")", "{existing}");
        run(&mut admin, write).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_table_that_will_do_is_used() -> TestResult {
    for existing in [
        FITS,
        "create domain name_of_tenant as varchar(63); \
         create table tenants (id name_of_tenant unique, container varchar, state varchar(20), \
         created_at timestamp, attributes json, more int)",
        "create table tenants (id text primary key, container text, state text, \
         created_at timestamptz, attributes jsonb) partition by hash (id); \
         create table tenants_0 partition of tenants for values with (modulus 2, remainder 0); \
         create table tenants_1 partition of tenants for values with (modulus 2, remainder 1)",
    ] {
        let world = World::with_tenants(&["acme", "globex"]).await;
        let mut admin = world.admin().await;
        run(&mut admin, existing).await;
        let builder = world.builder().catalog(TableCatalog::new()).max_connections(4);
        let manager = builder.build()?;
        for _ in 0..2 {
            create(&manager).await?;
        }
        run(
            &mut admin,
            "insert into tenants (id, state, attributes) \
             values ('acme', 'active', '{}'), ('globex', 'active', '{}')",
        )
        .await;
        assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme", "{existing}");
        let listed = manager.tenants().await?;
        assert_eq!(listed.iter().map(|of| of.id.as_str()).collect::<Vec<_>>(), ["acme", "globex"]);
        run(&mut admin, "update tenants set state = 'suspended' where id = 'acme'").await;
        eventually("the change is heard", async || manager.tenant("acme").await.is_err()).await;
        run(&mut admin, "truncate tenants").await;
        eventually("all are gone", async || manager.tenant("globex").await.is_err()).await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_a_row_holds_makes_its_change_fail() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let builder = world.builder().catalog(TableCatalog::new()).max_connections(4);
    let manager = builder.build()?;
    create(&manager).await?;
    run(&mut admin, "insert into tenants (id) values ('acme')").await;
    manager.tenant("acme").await?;
    for change in [
        "insert into tenants (id) values ((select string_agg(md5(n::text), '') \
         from generate_series(1, 80) n))",
        "update tenants set id = id || 'x' where id <> 'acme'",
        "insert into tenants (id) values ('ümläut ''quoted'' \\ '), (''), (E'\\n')",
        "delete from tenants where id <> 'acme'",
        // Whoever has made it something else since.
        "alter table tenants drop constraint tenants_pkey, alter column id drop not null; \
         insert into tenants (id) values (null)",
        "update tenants set id = null where id is null",
        "delete from tenants where id is null",
    ] {
        run(&mut admin, change).await;
    }
    run(&mut admin, "alter table tenants alter column id type uuid using gen_random_uuid()").await;
    let write = "insert into tenants (id) values (gen_random_uuid()); delete from tenants";
    run(&mut world.admin().await, write).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_older_trigger_is_replaced_and_nothing_is_done_where_nothing_is_missing() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let manager = world.manager();
    create(&manager).await?;
    let mut identity = async || {
        let sql = "select string_agg(xmin::text, ' ' order by oid) from (select xmin, oid \
                   from pg_trigger where tgname like 'tenantry%' union all \
                   select xmin, oid from pg_proc where proname like 'tenantry%') of";
        observe(&mut admin, sql).await
    };
    let before = identity().await;
    create(&manager).await?;
    assert_eq!(identity().await, before, "nothing was missing");
    run(
        &mut world.admin().await,
        "create or replace function tenantry_announce() returns trigger language plpgsql \
         as 'begin raise exception ''old''; end'",
    )
    .await;
    let insert = "insert into tenants (id) values ('acme')";
    assert!(try_run(&mut world.admin().await, insert).await.is_err());
    create(&manager).await?;
    run(&mut world.admin().await, insert).await;
    run(&mut world.admin().await, "drop trigger tenantry_announce_all on tenants").await;
    create(&manager).await?;
    assert_eq!(made(&mut world.admin().await).await, "Some(\"3\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_table_may_be_somebody_elses_once_it_is_complete() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(&mut admin, FITS).await;
    run(
        &mut admin,
        "create role installer_app login; grant select on tenants to installer_app; \
         create role installer_owner; alter table tenants owner to installer_owner",
    )
    .await;
    let options: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
    let app = TenantManager::builder_with(options.username("installer_app")).build()?;
    let refused = create(&app).await.expect_err("it may not");
    let text = refused.to_string();
    assert!(text.contains("installer_owner") && refused.kind() == ErrorKind::Config, "{text}");
    assert_eq!(made(&mut admin).await, "Some(\"0\")");
    create(&world.manager()).await?;
    create(&app).await?;
    app.close().await;
    run(
        &mut admin,
        "drop table tenants; drop function tenantry_announce; drop owned by installer_app, \
         installer_owner; drop role installer_app, installer_owner",
    )
    .await;
    Ok(())
}

#[tokio::test]
async fn all_pages_of_a_long_list_are_read() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let builder = world.builder().catalog(TableCatalog::new()).max_connections(4);
    let manager = builder.build()?;
    create(&manager).await?;
    for (upto, all) in [(9_999, 9_999), (10_000, 10_000), (30_001, 30_001)] {
        run(
            &mut admin,
            &format!(
                "insert into tenants (id, state) select (case n % 3 when 0 then 'T' else 't' end) \
                 || n, case n % 2 when 0 then 'active' else 'suspended' end \
                 from generate_series(1, {upto}) n on conflict do nothing"
            ),
        )
        .await;
        let listed = manager.tenants().await?;
        assert_eq!(listed.len(), all);
        let mut ids: Vec<_> = listed.iter().map(|record| record.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "none is there twice");
        let active = listed.iter().filter(|record| record.state == TenantState::Active).count();
        assert_eq!(active, all / 2);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn all_pages_of_many_schemas_are_read() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for part in 0..11 {
        run(
            &mut admin,
            &format!(
                "do $$ begin for n in {part}001..{part}999 loop \
                 execute format('create schema tenant_t%s', n); end loop; \
                 execute 'create schema \"tenant_not an id {part}\"'; end $$"
            ),
        )
        .await;
    }
    let manager = world.manager();
    let listed = manager.tenants().await?;
    assert_eq!(listed.len(), 11 * 999);
    assert!(listed.is_sorted_by(|one, other| one.id.as_str() < other.id.as_str()));
    manager.close().await;
    Ok(())
}

/// A catalog in pages, each of which takes a while.
#[derive(Debug)]
struct Pages {
    pages: usize,
    each: Duration,
}

mod pages {
    use tenantry::{
        Catalog, TenantId, TenantRecord,
        catalog::{Answer, Ask, Page},
    };

    use super::Pages;

    impl Catalog for Pages {
        fn resolve<'a>(&'a self, _: Ask<'a>, _: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
            Box::pin(async { Ok(None) })
        }

        fn list<'a>(&'a self, _: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
            unreachable!("it is read in pages")
        }

        fn list_page<'a>(&'a self, _: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
            Box::pin(async move {
                tokio::time::sleep(self.each).await;
                let page: usize = from.unwrap_or("0").parse().map_err(tenantry::Error::catalog)?;
                let id = TenantId::parse(&format!("t{page}"))?;
                let tenants = vec![TenantRecord::new(id)];
                Ok(match page + 1 < self.pages {
                    // The last but one leads to itself where there are very many.
                    true => Page::with_next(tenants, (page + 1).min(7).to_string()),
                    false => Page::last(tenants),
                })
            })
        }
    }
}

#[tokio::test]
async fn each_page_has_its_own_time() -> TestResult {
    let world = World::new().await;
    let list = async |pages, each| {
        let mut options = tenantry::CatalogOptions::default();
        options.timeout = Duration::from_millis(500);
        let builder = world.builder().catalog(Pages { pages, each }).catalog_options(options);
        let manager = builder.build().expect("the configuration is sound");
        let listed = manager.tenants().await;
        listed.map(|all| all.len()).map_err(|error| error.kind())
    };
    let (short, long) = (Duration::from_millis(150), Duration::from_secs(30));
    assert_eq!(list(6, short).await, Ok(6), "the whole of it takes longer than a page may");
    assert_eq!(list(1, long).await, Err(ErrorKind::Catalog));
    assert_eq!(list(100, Duration::ZERO).await, Err(ErrorKind::Catalog), "it would never end");
    Ok(())
}
