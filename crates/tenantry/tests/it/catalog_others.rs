//! Tenants are read from another application's table, view or query, and nothing is ever changed there.

use std::time::Duration;

use sqlx::{PgConnection, postgres::PgConnectOptions};
use tenantry::{
    CatalogColumns, CatalogOptions, ErrorKind, Ident, TableCatalog, TenantManager, TenantState,
    provision::CreateOptions,
};

use crate::support::{TestResult, World, eventually, name_of, observe, run, try_run};

const UUID: &str = "550e8400-e29b-41d4-a716-446655440000";

/// A database with the tenants `acme` and `globex` in a table that belongs to another application, which the role of the
/// manager may read, and nothing else.
struct Others {
    world: World,
    role: String,
}

impl Others {
    async fn new(role: &str) -> Self {
        let world = World::with_tenants(&["acme", "globex", "7", UUID]).await;
        let setup = format!(
            r#"create schema crm;
               create table crm.tenants (id uuid primary key default gen_random_uuid(), number bigint unique,
                 slug text unique, plan text not null, active boolean not null default true,
                 settings jsonb, options text[], joined date not null default '2026-01-15');
               insert into crm.tenants (id, number, slug, plan) values ('{UUID}', 7, 'acme', 'gold');
               insert into crm.tenants (slug, plan, active) values ('globex', 'free', false);
               create view public.customers as select * from crm.tenants;
               create role {role} login; create role {role}_owner;
               alter table crm.tenants owner to {role}_owner;
               grant usage on schema crm to {role}_owner; grant usage on schema crm, public to {role};
               alter view public.customers owner to {role}_owner;
               grant select on crm.tenants, public.customers to {role};
               grant usage on schema tenant_acme, tenant_globex, tenant_7, "tenant_{UUID}" to {role};
               grant select on tenant_acme.users, tenant_globex.users, tenant_7.users, "tenant_{UUID}".users to {role}"#
        );
        run(&mut world.admin().await, &setup).await;
        Self { world, role: role.to_owned() }
    }

    fn manager(&self, catalog: TableCatalog) -> TenantManager {
        let options: PgConnectOptions = self.world.database.url().parse().expect("a URL");
        let builder = TenantManager::builder_with(options.username(&self.role));
        let mut remembered = CatalogOptions::default();
        remembered.negative_ttl = Duration::ZERO;
        builder.catalog(catalog).catalog_options(remembered).build().expect("it is sound")
    }

    /// Everything that a table of tenants could have been given.
    async fn made(&self) -> String {
        let sql = "select (select count(*) from pg_trigger where not tgisinternal) || ' triggers, ' || \
                   (select count(*) from pg_proc where proname like 'tenantry%') || ' functions, ' || \
                   (select string_agg(attname, ',' order by attnum) from pg_attribute \
                     where attrelid = 'crm.tenants'::regclass and attnum > 0) || ', ' || \
                   (select md5(string_agg(t::text, ';' order by slug)) from crm.tenants t)";
        observe(&mut self.world.admin().await, sql).await
    }

    async fn end(self) {
        let Self { world, role } = self;
        let sql =
            format!("drop owned by {role}, {role}_owner cascade; drop role {role}, {role}_owner");
        run(&mut world.admin().await, &sql).await;
    }
}

async fn kind(manager: &TenantManager, id: &str) -> Option<ErrorKind> {
    manager.tenant(id).await.err().map(|error| error.kind())
}

#[tokio::test]
async fn ids_of_any_type_are_read_from_a_view_and_from_a_query() -> TestResult {
    let others = Others::new("catalog_reads").await;
    let made = others.made().await;
    let view = || TableCatalog::new().table("customers").expect("a name");
    let query = "select slug as id, 'tenant_' || slug as container, \
                   case when active then 'active' else 'suspended' end as state, joined as created_at, \
                   jsonb_build_object('plan', plan) as attributes from crm.tenants; -- ours";
    let mixed = "select coalesce(slug, 'x')::varchar(40) as id from crm.tenants where active";
    for (catalog, id, others_id) in [
        (view().columns(CatalogColumns::new()), UUID, "acme"),
        (view().columns(CatalogColumns::new().id("number")), "7", "07"),
        (view().columns(CatalogColumns::new().id("slug").state("active")), "acme", "ACME"),
        (
            TableCatalog::query("select number::int as id from crm.tenants where number > 0"),
            "7",
            UUID,
        ),
        (
            TableCatalog::query("table crm.tenants").columns(CatalogColumns::new().id("slug")),
            "acme",
            "7",
        ),
        (TableCatalog::query(mixed), "acme", "globex"),
        (TableCatalog::query(query), "acme", UUID),
    ] {
        let what = format!("{catalog:?}");
        let manager = others.manager(catalog);
        let name = name_of(&manager.tenant(id).await?).await?;
        assert_eq!(name, id, "{what}");
        for unknown in
            [others_id, "unknown", "550E8400-E29B-41D4-A716-446655440000", "99999999999999999999"]
        {
            assert_eq!(
                kind(&manager, unknown).await,
                Some(ErrorKind::UnknownTenant),
                "{unknown}: {what}"
            );
        }
        manager.close().await;
    }
    let manager = others.manager(TableCatalog::query(query));
    let tenants = manager.tenants().await?;
    let told: Vec<_> = tenants.iter().map(|tenant| (tenant.id.as_str(), tenant.state)).collect();
    assert_eq!(told, [("acme", TenantState::Active), ("globex", TenantState::Suspended)]);
    assert_eq!(tenants[0].attributes["plan"], "gold");
    assert!(tenants[0].created_at.is_some());
    assert_eq!(kind(&manager, "globex").await, Some(ErrorKind::Suspended));

    // It is only read.
    let refused = manager.provisioner().suspend("acme").await.expect_err("it is only read");
    assert!(refused.to_string().contains("is read-only"), "{refused}");
    let catalog = view().columns(CatalogColumns::new());
    let refused = catalog.create_table(manager.shared()).await.expect_err("it is only read");
    assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    assert!(TableCatalog::new().table("customers")?.create_table(manager.shared()).await.is_err());
    let created = others.world.builder().catalog(TableCatalog::query(query)).build()?;
    created.provisioner().create("initech", CreateOptions::default()).await?;
    created.close().await;
    assert_eq!(others.made().await, made);
    manager.close().await;
    others.end().await;
    Ok(())
}

#[tokio::test]
async fn roles_and_settings_come_from_columns() -> TestResult {
    let others = Others::new("catalog_roles").await;
    let mut admin = others.world.admin().await;
    let setup = r#"create role catalog_gold; grant catalog_gold to catalog_roles;
                   grant usage on schema tenant_acme to catalog_gold; grant select on tenant_acme.users to catalog_gold;
                   update crm.tenants set settings = '{"statement_timeout": "1234ms", "jit": false}',
                     options = '{statement_timeout=1234ms,jit=off}', plan = 'catalog_gold' where slug = 'acme'"#;
    run(&mut admin, setup).await;
    let columns = || CatalogColumns::new().id("slug").role("plan");
    for columns in [columns().settings("settings"), columns().settings("options")] {
        let manager = others.manager(TableCatalog::new().table("customers")?.columns(columns));
        let acme = manager.tenant("acme").await?;
        assert_eq!(name_of(&acme).await?, "acme");
        let seen = "select current_user || ' ' || current_setting('statement_timeout') || ' ' || current_setting('jit')";
        assert_eq!(observe(&acme, seen).await, "Some(\"catalog_gold 1234ms off\")");
        let record = manager.tenants().await?.swap_remove(0);
        assert_eq!(record.role.as_ref().map(Ident::as_str), Some("catalog_gold"));
        manager.close().await;
    }
    run(&mut admin, "drop owned by catalog_gold; drop role catalog_gold").await;
    others.end().await;
    Ok(())
}

#[tokio::test]
async fn a_trigger_of_the_applications_own_is_heard() -> TestResult {
    let others = Others::new("catalog_hears").await;
    let mut admin = others.world.admin().await;
    // As the documentation has it.
    let trigger = "create function announce_customer() returns trigger language plpgsql as $$ \
                   begin perform pg_notify('customers', coalesce(new.slug, old.slug)); return null; end $$; \
                   create trigger announce_customer after insert or update or delete on crm.tenants \
                   for each row execute function announce_customer()";
    run(&mut admin, trigger).await;
    let columns = CatalogColumns::new().id("slug").state("active");
    let catalog = TableCatalog::new().table("customers")?.columns(columns).notify("customers");
    let manager = others.manager(catalog);
    manager.tenant("acme").await?;
    eventually("the manager listens", async || {
        let sql = "select count(*)::text from pg_stat_activity where datname = current_database() \
                   and query ilike 'listen%'";
        observe(&mut admin, sql).await == "Some(\"1\")"
    })
    .await;
    for (active, expected) in [(false, Some(ErrorKind::Suspended)), (true, None)] {
        let update = format!("update crm.tenants set active = {active} where slug = 'acme'");
        run(&mut admin, &update).await;
        eventually("it is heard", async || kind(&manager, "acme").await == expected).await;
    }
    run(&mut admin, "delete from crm.tenants where slug = 'acme'").await;
    eventually("it is heard", async || {
        kind(&manager, "acme").await == Some(ErrorKind::UnknownTenant)
    })
    .await;
    manager.close().await;
    others.end().await;
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_altered_is_read_on() -> TestResult {
    let others = Others::new("catalog_alters").await;
    let mut admin = others.world.admin().await;
    run(&mut admin, "create table slugs (slug text); insert into slugs values ('acme'), ('7'); grant select on slugs to public").await;
    let columns = CatalogColumns::new().id("slug");
    let manager = others.manager(TableCatalog::new().table("slugs")?.columns(columns));
    assert_eq!(manager.tenants().await?.len(), 2);
    run(&mut admin, "delete from slugs where slug = 'acme'; alter table slugs alter slug type int using slug::int").await;
    assert_eq!(manager.tenants().await?.len(), 1);
    assert_eq!(name_of(&manager.tenant("7").await?).await?, "7");
    run(&mut admin, "alter table slugs rename slug to name").await;
    let gone = manager.tenants().await.expect_err("the column has another name").to_string();
    assert!(
        gone.contains("has no column \"slug\" for the tenant's id")
            && gone.contains("its columns are name"),
        "{gone}"
    );
    run(&mut admin, "alter table slugs rename name to slug").await;
    assert_eq!(manager.tenants().await?.len(), 1);
    manager.close().await;
    others.end().await;
    Ok(())
}

/// What a manager says that reads this table or query.
async fn told(world: &World, catalog: TableCatalog) -> String {
    let manager = match world.builder().catalog(catalog).build() {
        Ok(manager) => manager,
        Err(error) => return error.to_string(),
    };
    let listed = manager.tenants().await.map(|tenants| tenants.len());
    manager.close().await;
    listed.map_or_else(|error| error.to_string(), |tenants| format!("{tenants} tenants"))
}

async fn put(admin: &mut PgConnection, columns: &str, rows: &str) {
    let sql = format!(
        "drop table if exists tenants; create table tenants ({columns}); insert into tenants values {rows}"
    );
    run(admin, &sql).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_a_sentence_that_says_what_to_do() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let ours = TableCatalog::new;
    let named = || TableCatalog::new().columns(CatalogColumns::new());
    assert!(told(&world, ours()).await.contains("create it with TableCatalog::create_table"));
    assert!(told(&world, named()).await.contains("the table public.tenants does not exist"));
    for (columns, rows, catalog, part) in [
        (
            "id uuid, slug text",
            "(null, 'acme')",
            ours(),
            "has no column \"container\" for the name of the tenant's schema",
        ),
        ("slug text", "('acme')", ours(), "has no column \"id\" for the tenant's id: name its"),
        (
            "id uuid, container text, state text, created_at date, attributes json",
            "(gen_random_uuid())",
            ours(),
            "have different types",
        ),
        ("slug text", "('acme')", named(), "new().id(\"…\")); its columns are slug"),
        ("id text", "('acme'), (null)", named(), "a row has no id"),
        ("id text", "('acme'), ('Müller GmbH')", named(), "\"Müller GmbH\" is not a tenant id"),
        ("id text", "('acme'), ('acme')", named(), "lists the tenant twice"),
        ("id text", "('acme'), ('public')", named(), "\"public\" is not a tenant id"),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id from nowhere"),
            "the catalog's query cannot be read",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id frm tenants"),
            "the catalog's query cannot be read",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id, id from tenants"),
            "two columns \"id\"",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id, 1 as state from tenants"),
            "state must be text",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id, 'x' as state from tenants"),
            "unknown state \"x\"",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id, null::text as state from tenants"),
            "unknown state null",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("delete from tenants"),
            "it must be a single select",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("select id from tenants; drop table tenants"),
            "contains several",
        ),
        (
            "id text",
            "('acme')",
            TableCatalog::query("with t as (delete from tenants returning id) select id from t"),
            "query cannot be read",
        ),
        ("id text", "('acme')", TableCatalog::query("select id from tenants -- end"), "1 tenants"),
        ("id text", "('acme')", named().notify(""), "channel of the catalog is not a valid name"),
    ] {
        put(&mut admin, columns, rows).await;
        let what = format!("{catalog:?}");
        let told = told(&world, catalog).await;
        assert!(told.contains(part), "{told}: {what}");
        let rows = observe(&mut admin, "select (count(*) > 0)::text from tenants").await;
        assert_eq!(rows, "Some(\"true\")", "nothing is written");
    }
    Ok(())
}

#[tokio::test]
async fn a_row_that_is_wrong_costs_its_own_tenant_alone() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    put(
        &mut admin,
        "slug text, schema text, options jsonb, role text",
        r#"('acme', null, '{}', null), ('twice', null, null, null), ('twice', 'tenant_acme', null, null),
           ('system', 'pg_catalog', null, null), ('shared', 'public', null, null), ('empty', '', null, null),
           ('odd', null, '{"work_mem": {}}', null), ('path', null, '{"search_path": "tenant_acme"}', null),
           ('same', 'tenant_acme', null, null), ('Müller', null, null, null), (null, null, null, null)"#,
    )
    .await;
    let columns =
        CatalogColumns::new().id("slug").container("schema").settings("options").role("role");
    let manager = world.builder().catalog(TableCatalog::new().columns(columns)).build()?;
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    for (id, expected) in [
        ("twice", ErrorKind::Catalog),
        ("system", ErrorKind::Placement),
        ("shared", ErrorKind::Placement),
        ("empty", ErrorKind::Catalog),
        ("odd", ErrorKind::Catalog),
        ("path", ErrorKind::Placement),
        ("same", ErrorKind::Placement),
    ] {
        let refused = manager.tenant(id).await.expect_err("it is wrong");
        assert_eq!(refused.kind(), expected, "{id}: {refused}");
        assert_eq!(refused.tenant().map(tenantry::TenantId::as_str), Some(id));
    }
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    // A row without an id is told, however many tenants are listed before it.
    let many = "insert into tenants (slug) select 'x' || n from generate_series(1, 10001) as n; \
                delete from tenants where slug in ('twice', 'Müller', 'system', 'empty', 'odd')";
    run(&mut admin, many).await;
    let many = TableCatalog::new().columns(CatalogColumns::new().id("slug"));
    assert!(told(&world, many.clone()).await.contains("a row has no id"));
    run(&mut admin, "delete from tenants where slug is null").await;
    assert_eq!(told(&world, many).await, "10005 tenants");
    // A query that takes too long is given up, and what the role may not read is told.
    let mut options = CatalogOptions::default();
    options.timeout = Duration::from_millis(200);
    let slow = TableCatalog::query(
        "select slug as id from tenants, pg_sleep(60) as s where slug is not null",
    );
    let manager = world.builder().catalog(slow).catalog_options(options).build()?;
    assert!(manager.tenant("acme").await.is_err());
    manager.close().await;
    assert!(try_run(&mut admin, "select 1").await.is_ok());
    Ok(())
}

#[tokio::test]
async fn ids_that_are_equal_are_on_one_page() -> TestResult {
    let others = Others::new("catalog_pages").await;
    let mut admin = others.world.admin().await;
    let list = "create collation public.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
                create table public.many (slug text collate any_case);
                insert into many select 't' || lpad(i::text, 6, '0') from generate_series(1, 10000) i;
                insert into many values ('T010000'), ('t010001'); grant select on many to public";
    run(&mut admin, list).await;
    let many = TableCatalog::new().table("many")?.columns(CatalogColumns::new().id("slug"));
    let manager = others.manager(many);
    assert_eq!(manager.tenants().await?.len(), 10_002, "a page ends between T010000 and t010000");

    run(
        &mut admin,
        "alter table many alter slug type text collate \"C\"; update many set slug = lower(slug)",
    )
    .await;
    let error = manager.tenants().await.expect_err("t010000 is there twice");
    assert!(error.to_string().contains("lists the tenant twice"), "{error}");
    manager.close().await;
    others.end().await;
    Ok(())
}
