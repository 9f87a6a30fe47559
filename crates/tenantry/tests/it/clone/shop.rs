//! A schema with one of each, and rows.

use sqlx::PgConnection;
use tenantry::{
    FixedCatalog, Ident, Isolation, TenantId, TenantManager, TenantRecord,
    schema::{compare, introspect},
};

use crate::{
    schema::judge::quote,
    support::{World, observe, run},
};

/// A database with a tenant `shop`.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) admin: PgConnection,
    pub(crate) schema: &'static str,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        Self::called("tenant_shop").await
    }

    pub(crate) async fn called(schema: &'static str) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        build(&mut admin, schema).await;
        Self { world, admin, schema }
    }

    pub(crate) fn manager(&self) -> TenantManager {
        manager(self.world.database.url(), self.schema)
    }

    /// The tenant `copy` is what the source is, and goes on where the source is.
    pub(crate) async fn expect_complete_copy(&mut self) {
        self.expect_equal_rows("tenant_copy").await;
        let [left, right] =
            ["tenant_shop", "tenant_copy"].map(|name| Ident::parse(name).expect("an identifier"));
        let left = introspect(&mut self.admin, &left, None).await.expect("the server runs");
        let right = introspect(&mut self.admin, &right, None).await.expect("the server runs");
        assert!(compare(&left, &right).is_empty());
        // What names objects names those of the clone, and so do functions and their settings.
        for (sql, expected) in [
            ("select distinct placed_in::text from tenant_copy.orders", "tenant_copy.users"),
            ("select distinct by::text from tenant_copy.orders", "tenant_copy.is_fine(text)"),
            ("select distinct home::text from tenant_copy.orders", "tenant_copy"),
            (
                "select array_to_string(proconfig, ' ') from pg_proc where oid = 'tenant_copy.note'::regproc",
                "search_path=tenant_copy, pg_temp",
            ),
            (
                "select (prosrc like '%tenant_copy.audit%')::text from pg_proc where oid = 'tenant_copy.note'::regproc",
                "true",
            ),
            (
                "select count(*)::text from pg_matviews where schemaname = 'tenant_copy' and ispopulated",
                "2",
            ),
            ("select obj_description('tenant_copy'::regnamespace)", "a shop"),
            // Sequences go on, and those of the source do not notice.
            ("select nextval('tenant_copy.loose')::text", "110"),
            (
                "insert into tenant_copy.users (email, name) values ('new@ex.com', 'New') returning id::text",
                "101",
            ),
            ("insert into tenant_copy.orders (user_id) values (1) returning id::text", "501"),
            ("insert into tenant_shop.orders (user_id) values (1) returning id::text", "501"),
            ("select count(*)::text from tenant_copy.audit", "101"),
            ("select count(*)::text from tenant_shop.audit", "100"),
            ("select count(*)::text from pg_namespace where nspname like 'tenantry%'", "0"),
        ] {
            assert_eq!(observe(&mut self.admin, sql).await, format!("Some({expected:?})"), "{sql}");
        }
    }

    /// Compares the rows of all relations but those whose values name their schema.
    pub(crate) async fn expect_equal_rows(&mut self, copy: &str) {
        for relation in RELATIONS {
            let [left, right] = [self.schema, copy].map(|schema| {
                let of = quote(schema);
                let from = match relation.starts_with('(') {
                    true => relation.replace("from ", &format!("from {of}.")),
                    false => format!("{of}.{relation}"),
                };
                format!("(select coalesce(string_agg(t::text, E'\\n' order by t::text), '') from {from} t)")
            });
            let sql = format!("select concat({left} = {right}, {left} <> '')");
            let compared = observe(&mut self.admin, &sql).await;
            let is_equal = compared.starts_with("Some(\"t");
            let is_there = compared.ends_with("t\")");
            assert!(is_equal, "{relation} of {copy}");
            assert!(is_there || *relation == "nothing", "{relation} of {copy}");
        }
    }
}

const RELATIONS: &[&str] = &[
    "_sqlx_migrations",
    "audit",
    "child",
    "eggs",
    "events_1",
    "events_2d",
    "events_2x",
    "folders",
    "hens",
    "nothing",
    "big_taken_rooms",
    "parent",
    "rooms",
    "spent",
    "spent_by_all",
    "users",
    "(select id, user_id, total, document, tags, picture, whole::text from orders)",
];

pub(crate) async fn build(admin: &mut PgConnection, schema: &str) {
    run(&mut *admin, &format!("create schema {}", quote(schema))).await;
    let sql = include_str!("shop.sql").replace("{s}", &quote(schema)).replace("{name}", schema);
    run(admin, &sql).await;
}

/// A manager that finds the tenant `shop` in this schema, and every other under its own id.
pub(crate) fn manager(url: &str, schema: &str) -> TenantManager {
    let shop = TenantRecord::new(TenantId::parse("shop").expect("an id"));
    let shop = shop.container(Ident::parse(schema).expect("an identifier"));
    TenantManager::builder(url)
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(FixedCatalog::new([shop]))
        .max_connections(6)
        .build()
        .expect("the configuration is sound")
}
