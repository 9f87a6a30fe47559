//! The catalog says where each tenant is, and its handles follow it when it moves.

mod cutover;
mod follow;
mod questions;
mod records;
mod upgrade;

use sqlx::PgConnection;
use tenantry::{CatalogColumns, ManagerBuilder, TableCatalog, TenantManager};

use crate::support::{World, run};

/// A database with these tenants, listed in the library's own table.
async fn listed(tenants: &[&str]) -> World {
    list(World::with_tenants(tenants).await).await
}

/// Lists the tenants of a database in the library's own table.
async fn list(world: World) -> World {
    let manager = world.manager();
    TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
    manager.close().await;
    run(
        &mut world.admin().await,
        "insert into tenants (id) select substr(nspname, 8) from pg_namespace \
         where nspname like 'tenant\\_%'",
    )
    .await;
    world
}

/// A process that is told of changes at once.
fn told(world: &World) -> TenantManager {
    build(world.builder().catalog(TableCatalog::new()))
}

/// A process that hears nothing of changes until it asks.
fn stale(world: &World) -> TenantManager {
    build(world.builder().catalog(stale_catalog()))
}

fn stale_catalog() -> TableCatalog {
    let columns = CatalogColumns::new().container("container").epoch("epoch").state("state");
    TableCatalog::new().columns(columns.created_at("created_at"))
}

fn build(builder: ManagerBuilder) -> TenantManager {
    builder.max_connections(6).build().expect("the configuration is sound")
}

/// Copies a tenant into another schema, keeps everybody out of the old one, and switches, as one
/// transaction.
async fn move_to(admin: &mut PgConnection, tenant: &str, from: &str, to: &str) {
    let sql = format!(
        "begin; \
         lock table {from}.users in access exclusive mode; \
         create schema {to}; \
         create table {to}.users (id int primary key, name text not null); \
         insert into {to}.users select * from {from}.users; \
         alter schema {from} rename to {from}_moved; \
         update tenants set container = '{to}', epoch = epoch + 1, state = 'active' \
         where id = '{tenant}'; \
         commit"
    );
    run(admin, &sql).await;
}
