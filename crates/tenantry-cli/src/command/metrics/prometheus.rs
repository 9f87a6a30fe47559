//! Metrics of the database in Prometheus' [text
//! format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::fmt::Display;

use tenantry::activity::{Activity, Connections, DatabaseTotals, SessionCounts, TenantSizes};

use super::report::MetricsReport;

/// Writes metrics under separate names, so that they are not confused with those of a service.
pub(super) fn text(report: &MetricsReport) -> String {
    let mut metrics = Metrics::default();
    if let Some(activity) = &report.database {
        database(&mut metrics, activity);
    }
    if let Some(report) = &report.sizes {
        sizes(&mut metrics, report);
    }
    if let Some(health) = &report.health {
        metrics.begin("tenantry_db_healthy", "gauge", "Whether requests can be served");
        metrics.sample(&[], u8::from(health.healthy));
    }
    metrics.text
}

fn database(metrics: &mut Metrics, activity: &Activity) {
    connections(metrics, activity.connections);
    sessions(metrics, activity);
    totals(metrics, activity.database);
}

fn connections(metrics: &mut Metrics, of: Connections) {
    for (name, help, value) in [
        ("tenantry_db_connections_max", "The server's max_connections", of.max),
        (
            "tenantry_db_connections_reserved",
            "Connections that the server keeps for superusers",
            of.reserved,
        ),
        ("tenantry_db_connections", "Client connections to the server", of.used),
    ] {
        metrics.begin(name, "gauge", help);
        metrics.sample(&[], value);
    }
}

fn sessions(metrics: &mut Metrics, activity: &Activity) {
    let help = "Sessions in the database, by application and state";
    metrics.begin("tenantry_db_sessions", "gauge", help);
    for of in &activity.applications {
        for (state, count) in states(of.sessions) {
            metrics.sample(&[("application", &of.application), ("state", state)], count);
        }
    }
    let help = "Sessions bound to a tenant, by state";
    metrics.begin("tenantry_db_tenant_sessions", "gauge", help);
    for of in &activity.tenants {
        for (state, count) in states(of.sessions) {
            metrics.sample(&[("tenant", &of.tenant_id), ("state", state)], count);
        }
    }
}

fn totals(metrics: &mut Metrics, totals: DatabaseTotals) {
    for (name, help, value) in [
        ("tenantry_db_commits_total", "Committed transactions", totals.commits),
        ("tenantry_db_rollbacks_total", "Rolled back transactions", totals.rollbacks),
        (
            "tenantry_db_blocks_read_total",
            "Blocks missing from the server's cache",
            totals.blocks_read,
        ),
        ("tenantry_db_blocks_hit_total", "Blocks found in the server's cache", totals.blocks_hit),
        ("tenantry_db_deadlocks_total", "Deadlocks", totals.deadlocks),
    ] {
        metrics.begin(name, "counter", help);
        metrics.sample(&[], value);
    }
}

fn sizes(metrics: &mut Metrics, sizes: &TenantSizes) {
    let help = "Size of a tenant's tables and indexes";
    metrics.begin("tenantry_db_tenant_bytes", "gauge", help);
    for size in &sizes.tenants {
        if let Some(bytes) = size.bytes {
            metrics.sample(&[("tenant", size.tenant_id.as_str())], bytes);
        }
    }
}

fn states(counts: SessionCounts) -> [(&'static str, usize); 4] {
    [
        ("active", counts.active),
        ("idle", counts.idle),
        ("idle_in_transaction", counts.idle_in_transaction),
        ("unknown", counts.unknown),
    ]
}

#[derive(Default)]
struct Metrics {
    text: String,
    name: &'static str,
}

impl Metrics {
    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        self.text.push_str(&format!("{}{labels} {value}\n", self.name));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
