//! A schema with one of each, and rows.

use sqlx::PgConnection;
use tenantry::{FixedCatalog, Ident, Isolation, TenantId, TenantManager, TenantRecord};

use crate::{
    schema::judge::quote,
    support::{World, run},
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
            let sql = format!("select {left} = {right}, {left} <> ''");
            let (is_equal, is_there): (bool, bool) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut self.admin)
                .await
                .expect("they are there");
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
