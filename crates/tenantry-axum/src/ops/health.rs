//! What load balancers and orchestrators ask.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::{Value, json};
use tenantry::{HealthOf, HealthOptions, HealthReport, TenantManager};

/// How the manager is asked how it fares.
#[derive(Debug, Clone)]
pub(super) struct Checks {
    pub(super) manager: TenantManager,
    pub(super) ping_timeout: Duration,
    pub(super) tenant_details: bool,
}

/// Answers with the report.
pub(super) async fn health(State(checks): State<Checks>) -> (StatusCode, Json<HealthReport>) {
    let report = checks.ask(HealthOf::Bound).await;
    let status = status(&report);
    let told = if checks.tenant_details { report } else { report.without_tenants() };
    (status, Json(told))
}

/// Says that the process runs, and no more: who restarts it when the database is away has two
/// problems.
pub(super) async fn livez() -> &'static str {
    "ok"
}

/// Says whether requests can be served.
pub(super) async fn readyz(State(checks): State<Checks>) -> (StatusCode, Json<Value>) {
    let report = checks.ask(HealthOf::Nobody).await;
    (status(&report), Json(json!({ "status": report.status })))
}

impl Checks {
    async fn ask(&self, tenants: HealthOf) -> HealthReport {
        let options = HealthOptions::default().tenants(tenants).ping_timeout(self.ping_timeout);
        self.manager.health(options).await
    }
}

fn status(report: &HealthReport) -> StatusCode {
    if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
