//! Tenants that have both a schema and rows in a table of all tenants, with the same content.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::{FixedCatalog, Isolation, Rows, TenantId, TenantManager, TenantRecord};

use crate::{
    failure::Failure,
    trusted,
    world::{ITEMS, Tenant, World},
};

/// The role of the sessions of rows, to which the policies apply.
pub(super) const ROLE: &str = "bench_rows";

/// Creates the table of all tenants if it is missing, and adds the rows of these tenants.
pub(super) async fn fill(world: &World, tenants: &[Tenant]) -> Result<(), Failure> {
    let mut conn = PgConnection::connect_with(&world.options("setup")).await?;
    let setting = "nullif(current_setting('tenantry.tenant', true), '')";
    let table = format!(
        "do $$ begin create role {ROLE}; exception when duplicate_object then null; end $$; \
         create schema if not exists all_tenants; grant usage on schema all_tenants to {ROLE}; \
         create table if not exists all_tenants.items (tenant_id text not null default {setting}, id int not null, \
           name text not null, primary key (tenant_id, id)); \
         alter table all_tenants.items enable row level security; \
         alter table all_tenants.items force row level security; \
         drop policy if exists tenantry_all on all_tenants.items; \
         drop policy if exists tenantry_tenant on all_tenants.items; \
         create policy tenantry_all on all_tenants.items using (true) with check (true); \
         create policy tenantry_tenant on all_tenants.items as restrictive \
           using (tenant_id = (select {setting})) with check (tenant_id = {setting}); \
         grant select on all_tenants.items to {ROLE}"
    );
    trusted::run(&mut conn, table).await?;
    for tenants in tenants.chunks(100) {
        let ids: Vec<_> = tenants.iter().map(|tenant| format!("'{}'", tenant.id())).collect();
        let rows = format!(
            "insert into all_tenants.items select of, n, of from unnest(array[{}]) of, generate_series(1, {ITEMS}) n \
             on conflict do nothing",
            ids.join(", ")
        );
        trusted::run(&mut conn, rows).await?;
    }
    trusted::run(&mut conn, "vacuum analyze all_tenants.items".to_owned()).await?;
    conn.close().await?;
    Ok(())
}

fn catalog(tenants: &[Tenant]) -> Result<FixedCatalog, Failure> {
    let records = tenants.iter().map(|tenant| Ok(TenantRecord::new(TenantId::parse(tenant.id())?)));
    records.collect::<Result<_, Failure>>()
}

/// A manager of the tenants' rows.
pub(super) fn manager(
    options: PgConnectOptions,
    connections: u32,
    tenants: &[Tenant],
) -> Result<TenantManager, Failure> {
    let rows = Rows::new().schema("all_tenants")?.role(ROLE)?;
    let builder = TenantManager::builder_with(options).isolation(Isolation::rows(rows));
    let builder = builder.max_connections(usize::try_from(connections)?);
    Ok(builder.catalog(catalog(tenants)?).build()?)
}

/// A manager of the tenants' schemas that differs in nothing else.
pub(super) fn beside(
    options: PgConnectOptions,
    connections: u32,
    tenants: &[Tenant],
) -> Result<TenantManager, Failure> {
    let builder = TenantManager::builder_with(options).catalog(catalog(tenants)?);
    Ok(builder.max_connections(usize::try_from(connections)?).build()?)
}
