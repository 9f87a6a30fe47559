use moka::{future::Cache, policy::EvictionPolicy};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::world::{NAME_OF_ITEM, Tenant};

/// The maximum number of pools.
const POOLS: u64 = 50;

/// Connections of each.
const CONNECTIONS: u32 = 10;

/// One sqlx pool per tenant, of which the most recently used are kept.
///
/// An evicted pool is dropped and not closed: a request that has it can finish. If it were closed, such requests
/// would fail, and the comparison would include errors.
#[derive(Debug)]
pub(crate) struct PoolPerTenant {
    options: PgConnectOptions,
    pools: Cache<String, PgPool>,
}

impl PoolPerTenant {
    pub(crate) fn new(options: PgConnectOptions) -> Self {
        let pools =
            Cache::builder().max_capacity(POOLS).eviction_policy(EvictionPolicy::lru()).build();
        Self { options, pools }
    }

    pub(super) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        let pool = self.pool_of(tenant).await;
        sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&pool).await
    }

    async fn pool_of(&self, tenant: &Tenant) -> PgPool {
        let open = async {
            let options = self.options.clone();
            PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .connect_lazy_with(options.options([("search_path", tenant.schema())]))
        };
        self.pools.get_with_by_ref(tenant.id(), open).await
    }

    pub(super) async fn close(&self) {
        for (_, pool) in &self.pools {
            pool.close().await;
        }
        self.pools.invalidate_all();
    }
}
