//! Schemas that change while they are compared: what is found was true at some moment.

use std::sync::atomic::{AtomicBool, Ordering};

use tenantry::drift::DriftReport;

use super::clusters::fleet;
use crate::support::{TestResult, run};

/// What comes and goes, in one transaction each.
const COMES: &str = "
    create table extra (id bigint primary key, of bigint references users);
    create index extra_of on extra (of);
    create view extra_view as select e.id, u.email from extra e join users u on u.id = e.of;
    create function extra_check(extra) returns boolean language sql stable as 'select $1.id > 0';
    alter table extra add check (id > 0), alter column of set default 1;
    create trigger extra_touch before update on extra for each row execute function suppress_redundant_updates_trigger()";
/// What is there too many then, without what follows from the table.
const FOUND: &[&str] = &[
    "function extra_check(extra) is not expected",
    "table extra is not expected",
    "view extra_view is not expected",
];
const GOES: &str = "drop table extra cascade";

#[tokio::test]
async fn what_is_found_while_schemas_change_was_true() -> TestResult {
    let world = fleet(8).await;
    let manager = world.manager();
    let is_done = AtomicBool::new(false);
    let change = async |tenant: usize| {
        let mut admin = world.admin().await;
        let path = format!("begin; set local search_path = tenant_t{tenant}");
        while !is_done.load(Ordering::Relaxed) {
            run(&mut admin, &format!("{path}; {COMES}; commit")).await;
            run(&mut admin, &format!("{path}; {GOES}; commit")).await;
        }
    };
    let compare = async {
        let mut problems = Vec::new();
        for _ in 0..5 {
            let report = manager.drift().against_tenant("t0").run().await;
            is_true(&report.expect("it is compared")).unwrap_or_else(|what| problems.push(what));
        }
        is_done.store(true, Ordering::Relaxed);
        problems
    };
    let ((), (), problems) = tokio::join!(change(3), change(6), compare);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    manager.close().await;
    Ok(())
}

/// Says what the report has found that never was: the tenants that change have all of it or nothing.
fn is_true(report: &DriftReport) -> Result<(), String> {
    for cluster in &report.clusters {
        let found: Vec<_> = cluster.findings.iter().map(ToString::to_string).collect();
        if found != FOUND {
            return Err(format!("found in {:?}: {found:?}", cluster.tenants));
        }
    }
    // That one keeps changing is no drift.
    let errors = report.details.iter().filter_map(|tenant| tenant.error.as_deref());
    let mut others = errors.filter(|error| !error.contains("it is being changed"));
    others.next().map_or(Ok(()), |error| Err(error.to_owned()))
}
