//! A service's pool metrics, and their rates.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Exposition, Histogram};
use crate::event::serialize_millis;

/// Pool metrics of a service, from Tenantry's [collector](crate::MetricsCollector).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceFigures {
    /// The connection budget.
    pub connections_max: f64,
    /// Number of idle connections.
    pub idle: f64,
    /// Number of connections in use.
    pub leased: f64,
    /// Number of requests that wait for a connection.
    pub waiting: f64,
    /// Number of tenant pools.
    pub tenant_pools: f64,
    /// Acquires so far, by outcome: `hit`, `rebind`, `open`, `timeout`, `refused`, `failed`.
    pub acquires: BTreeMap<String, f64>,
    /// Errors so far, by class.
    pub errors: BTreeMap<String, f64>,
    /// The busiest tenants by id, and `_other` for the rest, if the service
    /// [reports them](crate::MetricsOptions::tenant_labels).
    pub tenants: BTreeMap<String, ServiceTenant>,
    /// The servers by name, if the service has [several](crate::ManagerBuilder::server); the other figures are
    /// sums over all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServiceServer>,
    /// Durations of statements on handles so far.
    #[serde(skip)]
    pub queries: Histogram,
    /// Durations of acquires so far.
    #[serde(skip)]
    pub waits: Histogram,
}

/// Metrics of one of several servers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceServer {
    /// Its connection budget.
    pub connections_max: f64,
    /// Number of its idle connections.
    pub idle: f64,
    /// Number of its connections in use.
    pub leased: f64,
    /// Number of requests that wait for one of its connections.
    pub waiting: f64,
    /// `true` if its circuit breaker is not closed.
    pub is_failing: bool,
}

/// A tenant's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceTenant {
    /// Number of idle connections bound to it.
    pub idle: f64,
    /// Number of its connections in use.
    pub leased: f64,
    /// Number of its requests that wait for a connection.
    pub waiting: f64,
    /// Number of connections granted so far: one for each statement on a handle, transaction or
    /// lease.
    pub acquires: f64,
}

/// Activity of a service per second between two scrapes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceRates {
    /// The time between the scrapes.
    #[serde(rename = "elapsedMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub elapsed: Duration,
    /// Statements on handles per second.
    pub queries: f64,
    /// Median duration of these statements, in seconds; `None` if there was none.
    pub query_p50: Option<f64>,
    /// 99th percentile of their duration, in seconds.
    pub query_p99: Option<f64>,
    /// 99th percentile of the duration of acquires, in seconds.
    pub wait_p99: Option<f64>,
    /// Acquires per second, by outcome.
    pub acquires: BTreeMap<String, f64>,
    /// Errors per second, over all classes.
    pub errors: f64,
    /// The busiest tenants by id.
    pub tenants: BTreeMap<String, ServiceTenantRates>,
}

/// A tenant's rates and current values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceTenantRates {
    /// Connections granted per second: one for each statement on a handle, transaction or lease.
    pub acquires: f64,
    /// Number of its connections currently in use.
    pub leased: f64,
    /// Number of its requests that currently wait for a connection.
    pub waiting: f64,
}

impl ServiceFigures {
    /// Extracts a pool's metrics. `None` if the text contains no metrics of Tenantry.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::activity::{Exposition, ServiceFigures};
    ///
    /// let text = "tenantry_connections_max 20\ntenantry_connections{state=\"leased\"} 3\n";
    /// let figures = ServiceFigures::read(&text.parse::<Exposition>()?).expect("they are Tenantry's");
    /// assert_eq!((figures.connections_max, figures.leased), (20.0, 3.0));
    /// # Ok::<(), tenantry::activity::ExpositionError>(())
    /// ```
    #[must_use]
    pub fn read(metrics: &Exposition) -> Option<Self> {
        metrics.named("tenantry_connections_max").next()?;
        let sum = |name| metrics.named(name).map(|sample| sample.value).sum();
        let connections = by_label(metrics, "tenantry_connections", "state");
        let in_state = |state: &str| connections.get(state).copied().unwrap_or_default();
        Some(Self {
            connections_max: sum("tenantry_connections_max"),
            idle: in_state("idle"),
            leased: in_state("leased"),
            waiting: sum("tenantry_waiting_requests"),
            tenant_pools: sum("tenantry_tenant_pools"),
            acquires: by_label(metrics, "tenantry_acquires_total", "outcome"),
            errors: by_label(metrics, "tenantry_errors_total", "class"),
            tenants: tenants(metrics),
            servers: servers(metrics),
            queries: Histogram::read(metrics, "tenantry_query_duration_seconds_bucket"),
            waits: Histogram::read(metrics, "tenantry_acquire_wait_seconds_bucket"),
        })
    }
}

fn by_label(metrics: &Exposition, name: &str, label: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for sample in metrics.named(name) {
        if let Some(value) = sample.label(label) {
            *sums.entry(value.to_owned()).or_default() += sample.value;
        }
    }
    sums
}

fn servers(metrics: &Exposition) -> BTreeMap<String, ServiceServer> {
    let mut servers = BTreeMap::<String, ServiceServer>::new();
    for sample in metrics.samples() {
        let Some(server) = sample.label("server") else { continue };
        let (name, state) = (sample.name.as_str(), sample.label("state"));
        if name == "tenantry_breaker_state" && state != Some("closed") && sample.value > 0.0 {
            servers.entry(server.to_owned()).or_default().is_failing = true;
            continue;
        }
        let of: fn(&mut ServiceServer) -> &mut f64 = match (name, state) {
            ("tenantry_connections_max", _) => |of| &mut of.connections_max,
            ("tenantry_connections", Some("idle")) => |of| &mut of.idle,
            ("tenantry_connections", Some("leased")) => |of| &mut of.leased,
            ("tenantry_waiting_requests", _) => |of| &mut of.waiting,
            _ => continue,
        };
        *of(servers.entry(server.to_owned()).or_default()) += sample.value;
    }
    servers
}

fn tenants(metrics: &Exposition) -> BTreeMap<String, ServiceTenant> {
    let mut tenants = BTreeMap::<String, ServiceTenant>::new();
    for sample in metrics.samples() {
        let Some(tenant) = sample.label("tenant") else { continue };
        let of: fn(&mut ServiceTenant) -> &mut f64 =
            match (sample.name.as_str(), sample.label("state")) {
                ("tenantry_tenant_connections", Some("idle")) => |of| &mut of.idle,
                ("tenantry_tenant_connections", Some("leased")) => |of| &mut of.leased,
                ("tenantry_tenant_waiting_requests", _) => |of| &mut of.waiting,
                ("tenantry_tenant_acquires_total", _) => |of| &mut of.acquires,
                _ => continue,
            };
        *of(tenants.entry(tenant.to_owned()).or_default()) += sample.value;
    }
    tenants
}

impl ServiceRates {
    /// Compares two scrapes of one service.
    ///
    /// A counter that has decreased was reset by a restart, and counts from zero. Returns `None` if
    /// no time has passed.
    #[must_use]
    pub fn between(
        before: &ServiceFigures,
        after: &ServiceFigures,
        elapsed: Duration,
    ) -> Option<Self> {
        let seconds = elapsed.as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let tenant = |(id, now): (&String, &ServiceTenant)| {
            let then = before.tenants.get(id).map_or(0.0, |then| then.acquires);
            let acquires = increase(then, now.acquires) / seconds;
            (id.clone(), ServiceTenantRates { acquires, leased: now.leased, waiting: now.waiting })
        };
        let queries = after.queries.since(&before.queries);
        Some(Self {
            elapsed,
            queries: queries.count() / seconds,
            query_p50: queries.quantile(0.5),
            query_p99: queries.quantile(0.99),
            wait_p99: after.waits.since(&before.waits).quantile(0.99),
            acquires: rates(&before.acquires, &after.acquires, seconds),
            errors: rates(&before.errors, &after.errors, seconds).into_values().sum(),
            tenants: after.tenants.iter().map(tenant).collect(),
        })
    }
}

/// Returns how much a counter has increased; one that has decreased was reset to zero.
fn increase(then: f64, now: f64) -> f64 {
    if now >= then { now - then } else { now }
}

/// Returns the increase of each counter per second.
fn rates(
    then: &BTreeMap<String, f64>,
    now: &BTreeMap<String, f64>,
    seconds: f64,
) -> BTreeMap<String, f64> {
    let rate = |(key, now): (&String, &f64)| {
        let then = then.get(key).copied().unwrap_or_default();
        (key.clone(), increase(then, *now) / seconds)
    };
    now.iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> ServiceFigures {
        let all = format!("tenantry_connections_max 20\n{text}");
        ServiceFigures::read(&all.parse().unwrap()).unwrap()
    }

    fn queries(counts: [u32; 3]) -> ServiceFigures {
        let bounds = ["0.001", "0.01", "+Inf"];
        let line = |(bound, count)| {
            format!("tenantry_query_duration_seconds_bucket{{le=\"{bound}\"}} {count}\n")
        };
        figures(&bounds.into_iter().zip(counts).map(line).collect::<String>())
    }

    #[test]
    fn quantiles_are_interpolated_between_two_scrapes() {
        let (before, after) = (queries([100, 100, 100]), queries([150, 200, 200]));
        let rates = ServiceRates::between(&before, &after, Duration::from_secs(2)).unwrap();
        assert_eq!((rates.queries, rates.query_p50), (50.0, Some(0.001)));
        let p99 = rates.query_p99.unwrap();
        assert!((p99 - 0.00982).abs() < 1e-9, "{p99}");
        // Above the last bound; empty; and after a restart.
        let above =
            ServiceRates::between(&after, &queries([150, 200, 300]), Duration::from_secs(1));
        assert_eq!(above.unwrap().query_p50, Some(0.01));
        let still = ServiceRates::between(&after, &after, Duration::from_secs(1)).unwrap();
        assert_eq!((still.queries, still.query_p99), (0.0, None));
        let again = ServiceRates::between(&after, &queries([7, 7, 7]), Duration::from_secs(1));
        assert_eq!(again.unwrap().queries, 7.0);
        assert_eq!(ServiceRates::between(&before, &after, Duration::ZERO), None);
    }

    #[test]
    fn several_servers_are_told_apart() {
        let text = "tenantry_connections_max{server=\"main\"} 20\n\
            tenantry_connections_max{server=\"eu-1\"} 5\n\
            tenantry_connections{server=\"eu-1\",state=\"leased\"} 3\n\
            tenantry_breaker_state{server=\"eu-1\",state=\"closed\"} 0\n\
            tenantry_breaker_state{server=\"eu-1\",state=\"open\"} 1\n\
            tenantry_breaker_state{server=\"main\",state=\"closed\"} 1\n\
            tenantry_breaker_state{server=\"main\",state=\"open\"} 0\n";
        let figures = ServiceFigures::read(&text.parse().unwrap()).unwrap();
        assert_eq!((figures.connections_max, figures.leased), (25.0, 3.0), "sums");
        let eu = ServiceServer {
            connections_max: 5.0,
            leased: 3.0,
            is_failing: true,
            ..ServiceServer::default()
        };
        let main = ServiceServer { connections_max: 20.0, ..ServiceServer::default() };
        assert_eq!(figures.servers, [("eu-1".to_owned(), eu), ("main".to_owned(), main)].into());
        assert!(super::tests::figures("").servers.is_empty());
    }

    #[test]
    fn tenants_have_their_rates_and_what_they_have_now() {
        let scrape = |acquires: u32| {
            figures(&format!(
                "tenantry_tenant_acquires_total{{tenant=\"acme\"}} {acquires}\n\
                 tenantry_tenant_connections{{tenant=\"acme\",state=\"leased\"}} 3\n\
                 tenantry_tenant_waiting_requests{{tenant=\"acme\"}} 5\n\
                 tenantry_acquires_total{{outcome=\"hit\"}} {acquires}\n\
                 tenantry_errors_total{{class=\"pool\"}} 2\n"
            ))
        };
        let rates =
            ServiceRates::between(&scrape(10), &scrape(30), Duration::from_secs(10)).unwrap();
        let acme = ServiceTenantRates { acquires: 2.0, leased: 3.0, waiting: 5.0 };
        assert_eq!(rates.tenants["acme"], acme);
        assert_eq!((rates.acquires["hit"], rates.errors), (2.0, 0.0));
        assert_eq!(ServiceFigures::read(&"up 1".parse().unwrap()), None);
    }
}
