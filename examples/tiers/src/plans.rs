//! What a tenant gets for its plan.

use serde_json::Value;
use tenantry::{
    Isolation, IsolationKind, PoolOptions, Rows, ServerOptions, TableCatalog, TenantLimits,
    TenantManager, TenantRecord, Tier,
};

/// The role that sessions of tenants with rows take on: policies apply to it.
pub(crate) const ROLE: &str = "notes_app";

/// The name of the other server.
pub(crate) const LARGE: &str = "large";

/// Serves tenants of all plans, with a budget for each server.
pub(crate) fn manager(main: &str, large: &str) -> anyhow::Result<TenantManager> {
    let large = ServerOptions::new(large).pool_options(PoolOptions::default().max_connections(5));
    let manager = TenantManager::builder(main)
        .isolation(Isolation::rows(Rows::new().role(ROLE)?))
        .or_isolation(Isolation::schema("notes_{id}"))
        .or_isolation(Isolation::database("notes_{id}"))
        .server(LARGE, large)
        .catalog(TableCatalog::new())
        .tier(|record: &TenantRecord| tier(&record.attributes["plan"]))
        .max_connections(10)
        .build()?;
    Ok(manager)
}

/// Where a new tenant of a plan is created, and its limits.
fn tier(plan: &Value) -> Tier {
    match plan.as_str() {
        Some("pro") => {
            Tier::new().isolation(IsolationKind::Schema).limits(TenantLimits::new().weight(2.0))
        }
        Some("business") => Tier::new()
            .isolation(IsolationKind::Database)
            .limits(TenantLimits::new().weight(4.0).max_connections(4)),
        Some("enterprise") => Tier::new().isolation(IsolationKind::Schema).server(LARGE),
        _ => Tier::new()
            .limits(TenantLimits::new().weight(0.5).max_connections(2).requests_per_second(50.0)),
    }
}
