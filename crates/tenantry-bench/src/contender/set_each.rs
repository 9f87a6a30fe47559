use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};

use super::Ping;
use crate::world::{NAME_OF_ITEM, Tenant};

/// One sqlx pool for all tenants, with a `SET search_path` before every statement.
///
/// This is common practice, and it is not safe: no other state of the session is reset, and a statement that runs
/// without the `SET` reads the previous tenant. It is included because it is the fastest possible switch: a single
/// round trip.
#[derive(Debug)]
pub(crate) struct SetEach {
    pool: PgPool,
}

impl SetEach {
    pub(crate) fn new(options: PgConnectOptions, connections: u32, ping: Ping) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(ping == Ping::BeforeAcquire)
            .connect_lazy_with(options);
        Self { pool }
    }

    pub(super) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        let mut conn = self.pool.acquire().await?;
        conn.execute(raw_sql(tenant.set_search_path())).await?;
        sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&mut *conn).await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
