//! Chosen rows of one tenant in another: what arrives, what is refused, and what others notice meanwhile.

mod choices;
mod faults;
mod hostile;
mod limits;
mod others;
mod references;
mod servers;

use tenantry::archive::{MergeReport, TableMerge};

use crate::support::{World, observe, run};

/// Two tenants, `old` and `new`, whose schemas were made by the same statements.
async fn twins(sql: &str) -> World {
    let world = World::new().await;
    let mut admin = world.admin().await;
    for tenant in ["old", "new"] {
        let sql =
            format!("create schema tenant_{tenant}; set search_path to tenant_{tenant}; {sql}");
        run(&mut admin, &sql).await;
    }
    world
}

/// Changes the schema of a tenant.
async fn in_tenant(world: &World, tenant: &str, sql: &str) {
    let sql = format!("set search_path to tenant_{tenant}; {sql}");
    run(&mut world.admin().await, &sql).await;
}

/// The one value that a query of the target returns.
async fn now(world: &World, sql: &str) -> String {
    let mut admin = world.admin().await;
    run(&mut admin, "set search_path to tenant_new").await;
    observe(&mut admin, sql).await.replace("Some(\"", "").replace("\")", "")
}

fn of<'a>(report: &'a MergeReport, table: &str) -> &'a TableMerge {
    let found = report.tables.iter().find(|it| it.table == table);
    found.unwrap_or_else(|| panic!("{table} is not in {report}"))
}

/// What was inserted, updated and deleted.
fn counts(report: &MergeReport, table: &str) -> (u64, u64, u64) {
    let table = of(report, table);
    (table.inserted, table.updated, table.deleted)
}
