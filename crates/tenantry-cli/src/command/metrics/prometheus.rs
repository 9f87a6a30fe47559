//! Metrics of the database in Prometheus' [text
//! format](https://prometheus.io/docs/instrumenting/exposition_formats/).

use std::{collections::BTreeMap, fmt::Display};

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

/// The figures of a server, with its name if there are several.
type OfServer<'a> = (Option<&'a str>, Connections, DatabaseTotals);

fn database(metrics: &mut Metrics, activity: &Activity) {
    let servers = &activity.servers;
    if !servers.is_empty() {
        metrics.begin("tenantry_db_up", "gauge", "1 if the server could be read");
        for of in servers {
            metrics.sample(&[("server", &of.server)], u8::from(of.reading.is_some()));
        }
    }
    let of_server = servers.iter().filter_map(|of| {
        let reading = of.reading.as_ref()?;
        Some((Some(&*of.server), reading.connections, reading.database))
    });
    let of_servers: Vec<OfServer<'_>> = match servers.is_empty() {
        true => vec![(None, activity.connections, activity.database)],
        false => of_server.collect(),
    };
    connections(metrics, &of_servers);
    sessions(metrics, activity);
    totals(metrics, &of_servers);
}

/// Writes a metric with a series for each server.
fn each_server(
    metrics: &mut Metrics,
    (name, kind, help): (&'static str, &str, &str),
    servers: &[OfServer<'_>],
    value: impl Fn(&OfServer<'_>) -> i64,
) {
    metrics.begin(name, kind, help);
    for of in servers {
        let label = of.0.map(|server| ("server", server));
        metrics.sample(label.as_slice(), value(of));
    }
}

/// Name and help of a metric, and where its value is.
type Figure<T> = (&'static str, &'static str, fn(&T) -> i64);

fn connections(metrics: &mut Metrics, servers: &[OfServer<'_>]) {
    let figures: [Figure<Connections>; 3] = [
        ("tenantry_db_connections_max", "The server's max_connections", |of| of.max.into()),
        (
            "tenantry_db_connections_reserved",
            "Connections that the server keeps for superusers",
            |of| of.reserved.into(),
        ),
        ("tenantry_db_connections", "Client connections to the server", |of| of.used.into()),
    ];
    for (name, help, value) in figures {
        each_server(metrics, (name, "gauge", help), servers, |of| value(&of.1));
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
    // Several databases of a server, and an id that may be truncated, are one series.
    let mut counts = BTreeMap::<_, usize>::new();
    for of in &activity.tenants {
        for (state, count) in states(of.sessions) {
            *counts.entry((&*of.tenant_id, of.server.as_deref(), state)).or_default() += count;
        }
    }
    for ((tenant, server, state), count) in counts {
        let labels = [Some(("tenant", tenant)), server.map(|server| ("server", server))];
        let labels: Vec<_> = labels.into_iter().flatten().chain([("state", state)]).collect();
        metrics.sample(&labels, count);
    }
}

fn totals(metrics: &mut Metrics, servers: &[OfServer<'_>]) {
    let figures: [Figure<DatabaseTotals>; 5] = [
        ("tenantry_db_commits_total", "Committed transactions", |of| of.commits),
        ("tenantry_db_rollbacks_total", "Rolled back transactions", |of| of.rollbacks),
        ("tenantry_db_blocks_read_total", "Blocks missing from the server's cache", |of| {
            of.blocks_read
        }),
        ("tenantry_db_blocks_hit_total", "Blocks found in the server's cache", |of| of.blocks_hit),
        ("tenantry_db_deadlocks_total", "Deadlocks", |of| of.deadlocks),
    ];
    for (name, help, value) in figures {
        each_server(metrics, (name, "counter", help), servers, |of| value(&of.2));
    }
}

fn sizes(metrics: &mut Metrics, sizes: &TenantSizes) {
    let help = "Size of a tenant's tables and indexes";
    metrics.begin("tenantry_db_tenant_bytes", "gauge", help);
    for size in &sizes.tenants {
        if let Some(bytes) = size.bytes {
            let server = size.server.as_deref().map(|server| ("server", server));
            let tenant = [("tenant", size.tenant_id.as_str())].into_iter();
            metrics.sample(&tenant.chain(server).collect::<Vec<_>>(), bytes);
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
