//! Work over all tenants: every tenant in the report, nothing left behind, no connection held in vain.

mod pages;
mod runs;
mod surveys;

use tenantry::{FixedCatalog, ManagerBuilder, TenantRecord, TenantState};

use crate::support::World;

/// A manager of the active tenants acme, globex and initech, and of one that is suspended.
pub(super) fn builder(world: &World) -> ManagerBuilder {
    let records = ["acme", "globex", "idle", "initech"].map(|name| {
        let mut record = TenantRecord::new(name.parse().expect("it is an id"));
        if name == "idle" {
            record.state = TenantState::Suspended;
        }
        record
    });
    world.builder().catalog(FixedCatalog::new(records)).max_connections(4)
}

pub(super) async fn world() -> World {
    World::with_tenants(&["acme", "globex", "initech", "idle"]).await
}
