//! The implementations under comparison.

mod in_order;
mod one_pool;
mod pool_per_database;
mod pool_per_tenant;
mod set_each;
mod telemetry;
mod tenantry;

pub(crate) use self::{
    in_order::InOrder, one_pool::OnePool, pool_per_database::PoolPerDatabase,
    pool_per_tenant::PoolPerTenant, set_each::SetEach, telemetry::Recording, tenantry::Tenantry,
};
use crate::world::Tenant;

/// A way to run a tenant's statement.
#[derive(Debug)]
pub(crate) enum Contender {
    /// A tenant manager.
    Tenantry(Tenantry),
    /// A contender that does not choose the order.
    InOrder(InOrder),
    /// One pool of one tenant.
    OnePool(OnePool),
    /// A pool for every tenant, the least recently used of them dropped.
    PoolPerTenant(Box<PoolPerTenant>),
    /// A pool for every tenant's database, the least recently used of them dropped.
    PoolPerDatabase(Box<PoolPerDatabase>),
    /// One pool whose sessions are switched before every statement.
    SetEach(SetEach),
}

/// Whether sqlx's pool asks a connection for a sign of life before it hands it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ping {
    /// sqlx's default.
    BeforeAcquire,
    /// `test_before_acquire(false)`.
    Never,
}

impl Contender {
    /// Reads the name of one of the tenant's items, which is the tenant's own id.
    pub(crate) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        match self {
            Self::Tenantry(tenantry) => tenantry.name_of_item(tenant, item).await,
            Self::InOrder(tenantry) => tenantry.name_of_item(tenant, item).await,
            Self::OnePool(pool) => pool.name_of_item(item).await,
            Self::PoolPerTenant(pools) => pools.name_of_item(tenant, item).await,
            Self::PoolPerDatabase(pools) => pools.name_of_item(tenant, item).await,
            Self::SetEach(pool) => pool.name_of_item(tenant, item).await,
        }
    }

    /// Returns the results of acquires so far, if the contender reports them.
    pub(crate) fn acquires(&self) -> Option<Acquires> {
        match self {
            Self::Tenantry(tenantry) => Some(tenantry.acquires()),
            _ => None,
        }
    }

    /// Starts recording telemetry, if the contender supports it.
    pub(crate) fn record(&self) -> Option<Recording> {
        match self {
            Self::Tenantry(tenantry) => tenantry.record(),
            _ => None,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Tenantry(tenantry) => tenantry.close().await,
            Self::InOrder(tenantry) => tenantry.close().await,
            Self::OnePool(pool) => pool.close().await,
            Self::PoolPerTenant(pools) => pools.close().await,
            Self::PoolPerDatabase(pools) => pools.close().await,
            Self::SetEach(pool) => pool.close().await,
        }
    }
}

/// The results of acquires.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acquires {
    pub(crate) hit: u64,
    pub(crate) all: u64,
}

impl Acquires {
    /// Returns the share of hits since then.
    pub(crate) fn hit_ratio_since(self, before: Self) -> f64 {
        (self.hit - before.hit) as f64 / (self.all - before.all) as f64
    }
}
