use sqlx::postgres::PgConnectOptions;
use tenantry::{ManagerBuilder, TenantManager};

use super::{
    Acquires,
    telemetry::{Recording, Telemetry},
};
use crate::{
    failure::Failure,
    world::{NAME_OF_ITEM, Tenant},
};

/// A tenant manager with all its defaults but the budget.
///
/// The catalog is the default, too: it finds tenants by their schemas, through the pool, and caches them for a
/// minute. Every request looks up its tenant, as a web service would.
#[derive(Debug)]
pub(crate) struct Tenantry {
    manager: TenantManager,
    telemetry: Option<Telemetry>,
}

impl Tenantry {
    pub(crate) fn new(options: PgConnectOptions, connections: u32) -> Result<Self, Failure> {
        Ok(Self::of(Self::builder(options, connections)?.build()?))
    }

    pub(crate) fn of(manager: TenantManager) -> Self {
        Self { manager, telemetry: None }
    }

    /// Creates a contender that is observed while it runs.
    pub(crate) fn observed(manager: TenantManager) -> Result<Self, Failure> {
        let telemetry = Some(Telemetry::of(&manager)?);
        Ok(Self { manager, telemetry })
    }

    pub(crate) fn builder(
        options: PgConnectOptions,
        connections: u32,
    ) -> Result<ManagerBuilder, Failure> {
        let connections = usize::try_from(connections)?;
        Ok(TenantManager::builder_with(options).max_connections(connections))
    }

    pub(super) async fn name_of_item(&self, tenant: &Tenant, item: i32) -> sqlx::Result<String> {
        let db = self.manager.tenant(tenant.id()).await?;
        sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&db).await
    }

    pub(super) fn acquires(&self) -> Acquires {
        let acquires = self.manager.snapshot().acquires;
        Acquires { hit: acquires.hit, all: acquires.hit + acquires.rebind + acquires.open }
    }

    pub(super) fn record(&self) -> Option<Recording> {
        self.telemetry.as_ref().map(Telemetry::record)
    }

    pub(super) async fn close(&self) {
        self.manager.close().await;
    }
}
