//! A database for each tenant: one budget over all, beside a pool for each.

use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use tenantry::{FixedCatalog, Ident, Isolation, TenantId, TenantManager, TenantRecord};

use crate::{
    contender::{Contender, PoolPerDatabase, Tenantry},
    failure::Failure,
    load::Work,
    race::Entrant,
    trusted,
    world::{ITEMS, Tenant, World},
};

/// Creates a database for each of this many tenants, unless it exists.
pub(super) async fn create(world: &mut World, count: usize) -> Result<Arc<[Tenant]>, Failure> {
    let tenants = world.tenants(count).await?;
    let mut conn = PgConnection::connect_with(&world.options("setup")).await?;
    let there: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database").fetch_all(&mut conn).await?;
    conn.close().await?;
    for tenant in &*tenants {
        if there.iter().any(|name| name == tenant.schema()) {
            continue;
        }
        let options = world.another_database(tenant.schema()).await?;
        let mut conn = PgConnection::connect_with(&options).await?;
        let items = format!(
            "create table items (id int primary key, name text not null); \
             insert into items select n, '{}' from generate_series(1, {ITEMS}) n; analyze items",
            tenant.id()
        );
        trusted::run(&mut conn, items).await?;
        conn.close().await?;
    }
    Ok(tenants)
}

/// A manager of the tenants' databases.
pub(super) fn manager(
    world: &World,
    tenants: &[Tenant],
    connections: u32,
) -> Result<TenantManager, Failure> {
    let records = tenants.iter().map(|tenant| {
        let record = TenantRecord::new(TenantId::parse(tenant.id())?);
        Ok(record.database(Ident::parse(tenant.schema())?))
    });
    let catalog: FixedCatalog = records.collect::<Result<_, Failure>>()?;
    let builder = TenantManager::builder_with(world.options("databases"))
        .isolation(Isolation::database("tenant_{id}"))
        .max_connections(usize::try_from(connections)?);
    Ok(builder.catalog(catalog).build()?)
}

/// The manager, and pools of one connection each.
pub(super) fn entrants(
    world: &World,
    work: &Work,
    connections: u32,
) -> Result<[Entrant; 2], Failure> {
    let manager = manager(world, &work.tenants, connections)?;
    let pools = PoolPerDatabase::new(world.options("pool_per_database"), u64::from(connections));
    let contenders = [
        ("databases", Contender::Tenantry(Tenantry::of(manager))),
        ("pool_per_database", Contender::PoolPerDatabase(Box::new(pools))),
    ];
    Ok(contenders.map(|(name, contender)| Entrant {
        name,
        contender: Arc::new(contender),
        work: work.clone(),
    }))
}
