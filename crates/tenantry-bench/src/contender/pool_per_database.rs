use moka::{future::Cache, policy::EvictionPolicy};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::world::{NAME_OF_ITEM, Tenant};

/// One sqlx pool of one connection per database, of which the most recently used are kept.
///
/// An evicted pool is closed in the background as its last user drops it, as most caches of pools do it: for a moment
/// there are more sessions than pools.
#[derive(Debug)]
pub(crate) struct PoolPerDatabase {
    options: PgConnectOptions,
    pools: Cache<String, PgPool>,
}

impl PoolPerDatabase {
    pub(crate) fn new(options: PgConnectOptions, pools: u64) -> Self {
        let pools =
            Cache::builder().max_capacity(pools).eviction_policy(EvictionPolicy::lru()).build();
        Self { options, pools }
    }

    pub(super) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        let open = async {
            let options = self.options.clone().database(tenant.schema());
            PgPoolOptions::new().max_connections(1).connect_lazy_with(options)
        };
        let pool = self.pools.get_with_by_ref(tenant.id(), open).await;
        sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&pool).await
    }

    pub(super) async fn close(&self) {
        for (_, pool) in &self.pools {
            pool.close().await;
        }
        self.pools.invalidate_all();
    }
}
