//! The query of every handler: one row by its key, as JSON.

use serde::Serialize;
use sqlx::{FromRow, PgPool};
use tenantry::TenantDb;

use crate::{trusted::trusted, world::Tenant};

/// A row of a tenant's table.
#[derive(Debug, Serialize, FromRow)]
pub(super) struct Item {
    id: i32,
    name: String,
}

/// Reads an item of the handle's tenant.
pub(super) async fn of_tenant(db: &TenantDb, id: i32) -> sqlx::Result<Item> {
    sqlx::query_as("select id, name from items where id = $1").bind(id).fetch_one(db).await
}

/// A pool, and a statement that names the schema of the one tenant that it serves.
#[derive(Debug, Clone)]
pub(super) struct Bare {
    pool: PgPool,
    statement: sqlx::SqlStr,
}

impl Bare {
    pub(super) fn new(pool: PgPool, tenant: &Tenant) -> Self {
        let schema = tenant.schema();
        let statement = trusted(format!("select id, name from {schema}.items where id = $1"));
        Self { pool, statement }
    }

    pub(super) async fn item(&self, id: i32) -> sqlx::Result<Item> {
        sqlx::query_as(self.statement.clone()).bind(id).fetch_one(&self.pool).await
    }
}
