use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::Ping;
use crate::world::{NAME_OF_ITEM, Tenant};

/// sqlx's pool, all of whose sessions belong to one tenant.
#[derive(Debug)]
pub(crate) struct OnePool {
    pool: PgPool,
}

impl OnePool {
    pub(crate) fn new(
        options: PgConnectOptions,
        connections: u32,
        ping: Ping,
        tenant: &Tenant,
    ) -> Self {
        let options = options.options([("search_path", tenant.schema())]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(ping == Ping::BeforeAcquire)
            .connect_lazy_with(options);
        Self { pool }
    }

    pub(super) async fn name_of_item(&self, item: i32) -> sqlx::Result<String> {
        sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&self.pool).await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
