//! Metrics of the database in Prometheus' [text
//! format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::fmt::Display;

use tenantry::activity::{Activity, SessionCounts};

use super::report::MetricsReport;

/// Writes metrics under separate names, so that they are not confused with those of a service.
pub(super) fn text(report: &MetricsReport) -> String {
    let mut metrics = Metrics::default();
    if let Some(activity) = &report.database {
        database(&mut metrics, activity);
    }
    if let Some(sizes) = &report.sizes {
        metrics.begin(
            "tenantry_db_tenant_bytes",
            "gauge",
            "Room that a tenant's tables and indexes take",
        );
        for size in &sizes.tenants {
            if let Some(bytes) = size.bytes {
                metrics.sample(&[("tenant", size.tenant_id.as_str())], bytes);
            }
        }
    }
    if let Some(health) = &report.health {
        metrics.begin("tenantry_db_healthy", "gauge", "Whether requests can be served");
        metrics.sample(&[], u8::from(health.healthy));
    }
    metrics.text
}

fn database(metrics: &mut Metrics, activity: &Activity) {
    metrics.begin("tenantry_db_connections_max", "gauge", "The server's max_connections");
    metrics.sample(&[], activity.connections.max);
    metrics.begin(
        "tenantry_db_connections_reserved",
        "gauge",
        "Connections that the server keeps for superusers",
    );
    metrics.sample(&[], activity.connections.reserved);
    metrics.begin("tenantry_db_connections", "gauge", "Connections of clients to the server");
    metrics.sample(&[], activity.connections.used);
    metrics.begin(
        "tenantry_db_sessions",
        "gauge",
        "Sessions in the database by application and state",
    );
    for of in &activity.applications {
        for (state, count) in states(of.sessions) {
            metrics.sample(&[("application", &of.application), ("state", state)], count);
        }
    }
    metrics.begin(
        "tenantry_db_tenant_sessions",
        "gauge",
        "Sessions that are bound to a tenant by state",
    );
    for of in &activity.tenants {
        for (state, count) in states(of.sessions) {
            metrics.sample(&[("tenant", &of.tenant_id), ("state", state)], count);
        }
    }
    let totals = activity.database;
    for (name, help, value) in [
        ("tenantry_db_commits_total", "Transactions that were committed", totals.commits),
        ("tenantry_db_rollbacks_total", "Transactions that were rolled back", totals.rollbacks),
        (
            "tenantry_db_blocks_read_total",
            "Blocks that were read from outside the server's cache",
            totals.blocks_read,
        ),
        (
            "tenantry_db_blocks_hit_total",
            "Blocks that were found in the server's cache",
            totals.blocks_hit,
        ),
        ("tenantry_db_deadlocks_total", "Deadlocks", totals.deadlocks),
    ] {
        metrics.begin(name, "counter", help);
        metrics.sample(&[], value);
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
