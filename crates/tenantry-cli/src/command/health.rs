use std::time::Duration;

use clap::Args;
use tenantry::{HealthOf, HealthOptions, HealthReport, HealthStatus, TenantId};

use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Style, Table, counted},
    selection::Selection,
    settings,
};

/// Arguments of `health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    selection: Selection,
    /// How long the database may take to answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = settings::duration)]
    timeout: Duration,
}

impl Health {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let manager = on.manager()?;
        let tenants = match self.selection.ids()? {
            Some(ids) => HealthOf::These(parse_all(&ids)?),
            None if self.selection.all => {
                let records =
                    on.interruptible("the tenants were not listed", manager.tenants()).await?;
                HealthOf::These(records.into_iter().map(|record| record.id).collect())
            }
            None => HealthOf::Bound,
        };
        let options = HealthOptions::default().tenants(tenants).ping_timeout(self.timeout);
        let report = on
            .interruptible("the check did not finish", async {
                Ok::<_, Failure>(manager.health(options).await)
            })
            .await?;
        on.output.styled_report(&report, || text(&report, on.output.style()))?;
        Ok(exit_of(&report))
    }
}

fn parse_all(ids: &[String]) -> Result<Vec<TenantId>, Failure> {
    ids.iter()
        .map(|id| TenantId::parse(id).map_err(|error| Failure::while_doing(id, &error)))
        .collect()
}

fn exit_of(report: &HealthReport) -> Exit {
    let degraded = report.pools.iter().any(|pool| pool.status != HealthStatus::Ok);
    match (report.healthy && report.unhealthy_pools == 0, degraded) {
        (false, _) => Exit::Problems,
        (true, true) => Exit::Warnings,
        (true, false) => Exit::Fine,
    }
}

fn text(report: &HealthReport, style: Style) -> String {
    let word = match (report.healthy, report.unhealthy_pools) {
        (true, 0) => style.good("healthy"),
        _ => style.error("unhealthy"),
    };
    let tenants = counted(report.total_pools, "tenant");
    let mut lines = vec![format!(
        "{word}: {tenants} checked, {} degraded, {} unhealthy",
        report.degraded_pools, report.unhealthy_pools
    )];
    if let Some(shared) = &report.shared_db {
        let took = shared.response_time.map_or_else(String::new, |took| format!(" ({took:.1?})"));
        let why = shared.reason.map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(format!("shared database: {}{took}{why}", shared.status.as_str()));
    }
    let mut table = Table::new(["tenant", "status", "connections", "waiting", "why"]);
    for pool in report.pools.iter().filter(|pool| pool.status != HealthStatus::Ok) {
        table.row([
            pool.tenant_id.to_string(),
            pool.status.as_str().to_owned(),
            pool.total_connections.to_string(),
            pool.waiting_requests.to_string(),
            pool.reason.unwrap_or_default().to_owned(),
        ]);
    }
    if !table.is_empty() {
        lines.push(format!("\n{table}"));
    }
    lines.join("\n")
}
