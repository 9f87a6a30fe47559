use std::time::Duration;

use clap::Args;
use tenantry::{
    Error, ErrorClass, HealthOf, HealthOptions, HealthReport, HealthStatus, TenantId, TenantManager,
};

use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, chain},
    output::{Style, Table, counted},
    selection::Selection,
    settings,
};

/// Arguments of `health`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every server is pinged, whatever is selected; the exit code is 1 if one of them does not answer.\n\n\
                        Tenants are checked only if they are selected with --all, --tenant or --tenants: whether their \
                        schema or database exists and their role may use it, and whether connections to them are in use. \
                        One that cannot be reached makes the exit code 1, too. In a service's own binary, tenants that \
                        have connections in the process are checked by default."
)]
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
        let (tenants, unlisted) = match self.selection.ids()? {
            Some(ids) => (HealthOf::These(parse_all(&ids)?), None),
            None if self.selection.all => listed(on, manager).await?,
            None => (HealthOf::Bound, None),
        };
        let options = HealthOptions::default().tenants(tenants).ping_timeout(self.timeout);
        let report = on
            .interruptible("the check did not finish", async {
                Ok::<_, Failure>(manager.health(options).await)
            })
            .await?;
        on.output.styled_report(&report, || text(&report, on.output.style()))?;
        if let Some(error) = unlisted {
            on.output.warn(format_args!(
                "no tenant was checked, because they could not be listed: {}",
                chain(&error)
            ));
            return Ok(Exit::Problems);
        }
        Ok(exit_of(&report))
    }
}

/// Returns all tenants. If the list could not be read because its server does not answer, the servers are checked all
/// the same.
async fn listed(
    on: &Context,
    manager: &TenantManager,
) -> Result<(HealthOf, Option<Error>), Failure> {
    let list = async { Ok::<_, Failure>(manager.tenants().await) };
    match on.interruptible("the tenants were not listed", list).await? {
        Ok(records) => {
            let ids = records.into_iter().map(|record| record.id).collect();
            Ok((HealthOf::These(ids), None))
        }
        Err(error) if is_about_connections(&error) => Ok((HealthOf::Bound, Some(error))),
        Err(error) => Err(error.into()),
    }
}

fn is_about_connections(error: &Error) -> bool {
    use ErrorClass as C;
    matches!(
        error.class(),
        C::Connection | C::TooManyConnections | C::Shutdown | C::Authentication | C::Tls | C::Pool
    )
}

fn parse_all(ids: &[String]) -> Result<Vec<TenantId>, Failure> {
    ids.iter()
        .map(|id| TenantId::parse(id).map_err(|error| Failure::while_doing(id, &error)))
        .collect()
}

/// Judges a report: a server that does not answer is a problem, and so is a tenant that cannot be reached.
pub(super) fn exit_of(report: &HealthReport) -> Exit {
    let degraded = report.pools.iter().any(|pool| pool.status != HealthStatus::Ok);
    match (report.healthy && report.unhealthy_pools == 0 && all_answer(report), degraded) {
        (false, _) => Exit::Problems,
        (true, true) => Exit::Warnings,
        (true, false) => Exit::Fine,
    }
}

/// Returns `true` unless one of several servers does not answer: its tenants are not served, although the program is
/// healthy.
pub(super) fn all_answer(report: &HealthReport) -> bool {
    report.servers.iter().all(|server| server.status != HealthStatus::Unhealthy)
}

fn text(report: &HealthReport, style: Style) -> String {
    let word = match (report.healthy && all_answer(report), report.unhealthy_pools) {
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
    lines.extend(servers_in(report).map(|table| format!("\n{table}")));
    lines.extend(tenants_in(report).map(|table| format!("\n{table}")));
    lines.join("\n")
}

/// Lists the servers, if there are several.
pub(super) fn servers_in(report: &HealthReport) -> Option<String> {
    let mut table =
        Table::new(["server", "status", "PostgreSQL", "answered in", "breaker", "pooling", "why"]);
    for server in &report.servers {
        table.row([
            server.server.to_string(),
            server.status.as_str().to_owned(),
            server.server_version.clone().unwrap_or_else(|| "-".to_owned()),
            server.response_time.map_or_else(|| "-".to_owned(), |took| format!("{took:.1?}")),
            server.breaker.as_str().to_owned(),
            server.pooling.as_str().to_owned(),
            server.reason.unwrap_or_default().to_owned(),
        ]);
    }
    (!table.is_empty()).then(|| table.to_string())
}

/// Lists the tenants that are not well; their servers, too, if there are several.
fn tenants_in(report: &HealthReport) -> Option<String> {
    let are_several = !report.servers.is_empty();
    let mut headings = vec!["tenant", "status", "connections", "waiting", "why"];
    if are_several {
        headings.insert(1, "server");
    }
    let mut table = Table::of(&headings);
    for pool in report.pools.iter().filter(|pool| pool.status != HealthStatus::Ok) {
        let mut cells = vec![
            pool.tenant_id.to_string(),
            pool.status.as_str().to_owned(),
            pool.total_connections.to_string(),
            pool.waiting_requests.to_string(),
            pool.reason.unwrap_or_default().to_owned(),
        ];
        if are_several {
            cells.insert(1, pool.server.as_deref().unwrap_or("-").to_owned());
        }
        table.cells(&cells);
    }
    (!table.is_empty()).then(|| table.to_string())
}
