//! One statement over many tenants: text of anything, nothing left behind, every tenant in the report.

mod reads;
mod runs;
mod writes;

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use tenantry::{
    FixedCatalog, TenantManager, TenantRecord, TenantState,
    fan_out::{FanOutFailure, FanOutOptions, FanOutOutcome, FanOutReport, TenantRows},
    migrate::Schemas,
};

use crate::support::World;

/// Tenants with schemas, one of them suspended, and one without a schema.
pub(super) async fn scene() -> (World, TenantManager) {
    let world = World::with_tenants(&["acme", "globex", "initech", "idle"]).await;
    let manager = manager(&world);
    (world, manager)
}

pub(super) fn manager(world: &World) -> TenantManager {
    let named = ["acme", "globex", "idle", "initech"];
    let records = named.map(|name| TenantRecord::new(name.parse().expect("it is an id")));
    let records = records.map(|mut record| {
        if record.id.as_str() == "idle" {
            record.state = TenantState::Suspended;
        }
        record
    });
    let builder = world.builder().catalog(FixedCatalog::new(records)).max_connections(4);
    builder.build().expect("the configuration is sound")
}

/// Rows with their tenants, sorted.
pub(super) type Rows = Vec<(String, Vec<Option<String>>)>;

/// Runs a statement over all tenants and collects everything.
pub(super) async fn run(
    manager: &TenantManager,
    schemas: Schemas,
    sql: &str,
    options: FanOutOptions,
) -> (FanOutReport, Rows, Vec<TenantRows>) {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&batches);
    let collect = move |batch: TenantRows| {
        into.lock().expect("nothing panics").push(batch);
        std::future::ready(ControlFlow::Continue(()))
    };
    let report = manager.fan_out().run(schemas, sql, options, collect).await;
    let report = report.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let batches = std::mem::take(&mut *batches.lock().expect("nothing panics"));
    let mut rows: Rows = Vec::new();
    for batch in &batches {
        let tenant = batch.tenant_id.as_deref().unwrap_or("(shared)");
        rows.extend(batch.rows.iter().map(|row| (tenant.to_owned(), row.clone())));
    }
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    (report, rows, batches)
}

/// Runs a statement on all tenants and says how it ended on one of them.
pub(super) async fn outcome_of(
    manager: &TenantManager,
    tenant: &str,
    sql: &str,
    options: FanOutOptions,
) -> FanOutOutcome {
    let (report, _, _) = run(manager, Schemas::tenants([tenant]), sql, options).await;
    report.tenants[0].outcome.clone()
}

/// Returns the SQLSTATE of a failure.
pub(super) fn failure(outcome: &FanOutOutcome) -> &FanOutFailure {
    match outcome {
        FanOutOutcome::Failed { error, .. } => error,
        other => panic!("it has not failed: {other:?}"),
    }
}
