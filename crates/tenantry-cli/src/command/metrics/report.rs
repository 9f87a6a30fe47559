use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    HealthReport,
    activity::{Activity, ActivityRates, ServiceFigures, ServiceRates, SlowStatement, TenantSizes},
};

use super::super::health::{all_answer, exit_of, servers_in};
use crate::{exit::Exit, output::Table};

/// What a service or the database says of the load.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsReport {
    /// The service that was asked; null where the database was.
    pub(super) url: Option<String>,
    /// What the service says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<ServiceFigures>,
    /// What it did per second since the look before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_rates: Option<ServiceRates>,
    /// What the database says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) database: Option<Activity>,
    /// What it did per second since the look before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) database_rates: Option<ActivityRates>,
    /// What each of several servers did per second since the look before, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) server_rates: BTreeMap<String, ActivityRates>,
    /// A health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<HealthReport>,
    /// How much room tenants take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sizes: Option<TenantSizes>,
}

/// The number of tenants listed in the text report.
const LISTED: usize = 20;

impl MetricsReport {
    pub(super) fn exit(&self) -> Exit {
        self.health.as_ref().map_or(Exit::Fine, exit_of)
    }

    pub(super) fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(figures) = &self.service {
            parts.push(service(figures));
            parts.extend(servers(figures));
            parts.extend(self.service_rates.as_ref().map(rates_of_service));
            parts.extend(tenants(figures, self.service_rates.as_ref()));
        }
        if let Some(activity) = &self.database {
            parts.push(activity.to_string());
            match self.server_rates.is_empty() {
                true => parts.extend(self.database_rates.as_ref().map(rates_of_database)),
                false => parts.push(rates_of_servers(&self.server_rates)),
            }
            parts.extend(slow(activity));
        }
        parts.extend(self.sizes.as_ref().map(sizes));
        if let Some(health) = &self.health {
            let is_well = health.healthy && all_answer(health);
            let word = if is_well { "healthy" } else { "unhealthy" };
            parts.push(format!(
                "health: {word}, {} degraded, {} unhealthy",
                health.degraded_pools, health.unhealthy_pools
            ));
            parts.extend(servers_in(health));
        }
        parts.join("\n\n")
    }
}

fn service(figures: &ServiceFigures) -> String {
    let ServiceFigures { connections_max, idle, leased, waiting, tenant_pools, .. } = figures;
    let acquires = figures.acquires.iter().map(|(how, count)| format!("{count} {how}"));
    let acquires = acquires.collect::<Vec<_>>().join(", ");
    let errors = figures.errors.values().sum::<f64>();
    format!(
        "{leased} of {connections_max} connections in use, {idle} idle; {waiting} requests wait; {tenant_pools} tenant pools\n\
         acquires so far: {acquires}; {errors} errors"
    )
}

/// Lists the servers, if there are several.
fn servers(figures: &ServiceFigures) -> Option<String> {
    let mut table = Table::new(["server", "in use", "idle", "budget", "waiting", "state"]);
    for (name, server) in &figures.servers {
        table.row([
            name.clone(),
            server.leased.to_string(),
            server.idle.to_string(),
            server.connections_max.to_string(),
            server.waiting.to_string(),
            if server.is_failing { "failing" } else { "ok" }.to_owned(),
        ]);
    }
    (!table.is_empty()).then(|| table.to_string())
}

fn rates_of_service(rates: &ServiceRates) -> String {
    let acquires = rates.acquires.values().sum::<f64>();
    format!(
        "per second: {:.1} queries, {acquires:.1} acquires, {:.1} errors; query p50 {}, p99 {}; wait p99 {}",
        rates.queries,
        rates.errors,
        seconds(rates.query_p50),
        seconds(rates.query_p99),
        seconds(rates.wait_p99)
    )
}

fn rates_of_servers(servers: &BTreeMap<String, ActivityRates>) -> String {
    let lines = servers.iter().map(|(name, rates)| format!("{name}: {}", rates_of_database(rates)));
    lines.collect::<Vec<_>>().join("\n")
}

fn rates_of_database(rates: &ActivityRates) -> String {
    let hits =
        rates.hit_ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
    format!(
        "per second: {:.1} commits, {:.1} rollbacks, {:.0} rows read, {:.0} rows changed; {hits} of blocks from cache",
        rates.commits, rates.rollbacks, rates.rows_returned, rates.rows_changed
    )
}

/// Formats a duration for people; `-` if there was nothing to measure.
pub(in crate::command) fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(time) if time < 1.0 => format!("{:.1} ms", time * 1e3),
        Some(time) => format!("{time:.2} s"),
    }
}

/// Formats a number of bytes for people.
pub(in crate::command) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
    let mut left = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if left < 1000.0 {
            return if unit == "B" {
                format!("{left:.0} {unit}")
            } else {
                format!("{left:.1} {unit}")
            };
        }
        left /= 1024.0;
    }
    format!("{left:.1} TB")
}

fn tenants(figures: &ServiceFigures, rates: Option<&ServiceRates>) -> Option<String> {
    let mut busiest: Vec<_> = figures.tenants.iter().collect();
    busiest.sort_by(|(_, one), (_, other)| other.acquires.total_cmp(&one.acquires));
    let mut table = Table::new(["tenant", "in use", "idle", "waiting", "acquires", "per second"]);
    for (id, tenant) in busiest.into_iter().take(LISTED) {
        let rate = rates.and_then(|rates| rates.tenants.get(id));
        table.row([
            id.clone(),
            tenant.leased.to_string(),
            tenant.idle.to_string(),
            tenant.waiting.to_string(),
            tenant.acquires.to_string(),
            rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}", rate.acquires)),
        ]);
    }
    (!table.is_empty()).then(|| table.to_string())
}

fn slow(activity: &Activity) -> Option<String> {
    let mut table = Table::new(["pid", "tenant", "running", "waits for", "statement"]);
    for slow in &activity.slow {
        table.row([
            slow.pid.to_string(),
            tenant_on(slow),
            seconds(Some(slow.running.as_secs_f64())),
            slow.wait.clone().unwrap_or_else(|| "-".to_owned()),
            slow.text.clone(),
        ]);
    }
    (!table.is_empty()).then(|| table.to_string())
}

/// Names the tenant of a statement, and its server if there are several.
fn tenant_on(slow: &SlowStatement) -> String {
    let tenant = slow.tenant_id.as_deref().unwrap_or("-");
    match &slow.server {
        Some(server) => format!("{tenant}@{server}"),
        None => tenant.to_owned(),
    }
}

fn sizes(sizes: &TenantSizes) -> String {
    let mut table = Table::new(["tenant", "size", "rows", "tables"]);
    for size in sizes.tenants.iter().take(LISTED) {
        let unknown = || if size.unread { "not read" } else { "-" }.to_owned();
        // Without a size, there are no other figures either.
        let figure = |count: u64| size.bytes.map_or_else(|| "-".to_owned(), |_| count.to_string());
        table.row([
            size.tenant_id.to_string(),
            size.bytes.map_or_else(unknown, bytes),
            figure(size.rows),
            figure(size.tables),
        ]);
    }
    let unseen = sizes.unseen.iter().map(|of| format!("\nnot seen: {of}: {}", of.why));
    std::iter::once(table.to_string()).chain(unseen).collect()
}
