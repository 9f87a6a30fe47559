use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter},
};

use super::list;
use crate::{
    error::{Error, ErrorKind},
    event::{Timings, UpkeepMeters},
    pool::{Detail, PoolSnapshot, Server},
};

/// Starts sending a pool's metrics to a meter, during the lifetime of the pool.
pub(crate) fn register(server: &Arc<Server>, meter: &Meter, pool: &str) -> Result<(), Error> {
    let pool = KeyValue::new("db.client.connection.pool.name", pool.to_owned());
    let times = Times::new(meter, pool.clone());
    if !server.observer.meters.send_to(Arc::new(times)) {
        let attempted = "registering with OpenTelemetry: already registered";
        return Err(Error::new(ErrorKind::Config, attempted));
    }
    let (idle, used) = (state("idle"), state("used"));
    let (weak, attributes) = (Arc::downgrade(server), pool.clone());
    meter
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("The number of connections in the state that the attribute names")
        .with_callback(move |observer| {
            let Some(server) = weak.upgrade() else { return };
            let snapshot = server.snapshot(Detail::Totals);
            observer.observe(signed(snapshot.idle), &[attributes.clone(), idle.clone()]);
            observer.observe(signed(snapshot.leased), &[attributes.clone(), used.clone()]);
        })
        .build();
    let idle_min = server.options().min_idle;
    for (name, description, unit, read) in levels() {
        let (weak, attributes) = (Arc::downgrade(server), [pool.clone()]);
        meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                let Some(server) = weak.upgrade() else { return };
                let value = read(&server.snapshot(Detail::Totals), idle_min);
                observer.observe(signed(value), &attributes);
            })
            .build();
    }
    observe_upkeep(server, meter, &pool);
    let (weak, attributes) = (Arc::downgrade(server), [pool]);
    meter
        .u64_observable_counter("db.client.connection.timeouts")
        .with_unit("{timeout}")
        .with_description("The number of requests that timed out waiting for a connection")
        .with_callback(move |observer| {
            let Some(server) = weak.upgrade() else { return };
            observer.observe(server.snapshot(Detail::Totals).acquires.timeout, &attributes);
        })
        .build();
    Ok(())
}

/// Starts sending the metrics of tenants, spares and drift.
fn observe_upkeep(server: &Arc<Server>, meter: &Meter, pool: &KeyValue) {
    let (weak, attribute) = (Arc::downgrade(server), pool.clone());
    meter
        .u64_observable_gauge("tenantry.tenants")
        .with_unit("{tenant}")
        .with_description(list::TENANTS.help)
        .with_callback(move |observer| {
            let tenants = weak.upgrade().and_then(|server| server.observer.meters.upkeep.tenants());
            for (state, count) in tenants.into_iter().flatten() {
                observer.observe(count, &[attribute.clone(), KeyValue::new("state", state)]);
            }
        })
        .build();
    for (name, unit, description, read) in upkeep_gauges() {
        let (weak, attributes) = (Arc::downgrade(server), [pool.clone()]);
        meter
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                let Some(server) = weak.upgrade() else { return };
                observer.observe(read(&server.observer.meters.upkeep) as u64, &attributes);
            })
            .build();
    }
}

/// Name, unit and description of a maintenance gauge, and how it is read.
type UpkeepGauge = (&'static str, &'static str, &'static str, fn(&UpkeepMeters) -> usize);

fn upkeep_gauges() -> [UpkeepGauge; 2] {
    [
        ("tenantry.spares", "{schema}", list::SPARES_READY.help, UpkeepMeters::spares),
        ("tenantry.drifted_tenants", "{tenant}", list::DRIFTED_TENANTS.help, UpkeepMeters::drifted),
    ]
}

/// Name, description and unit of a gauge, and how it is read.
type Level = (&'static str, &'static str, &'static str, fn(&PoolSnapshot, usize) -> usize);

fn levels() -> [Level; 4] {
    let unit = "{connection}";
    [
        (
            "db.client.connection.idle.max",
            "The maximum number of idle connections",
            unit,
            |pool, _| pool.max,
        ),
        (
            "db.client.connection.idle.min",
            "The number of idle connections that are kept open",
            unit,
            |_, idle_min| idle_min,
        ),
        ("db.client.connection.max", "The maximum number of connections", unit, |pool, _| pool.max),
        (
            "db.client.connection.pending_requests",
            "The number of requests that wait for a connection",
            "{request}",
            |pool, _| pool.waiting,
        ),
    ]
}

fn state(name: &'static str) -> KeyValue {
    KeyValue::new("db.client.connection.state", name)
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The histograms, which are updated as events happen.
struct Times {
    create: Histogram<f64>,
    wait: Histogram<f64>,
    hold: Histogram<f64>,
    operation: Histogram<f64>,
    migration: Histogram<f64>,
    creation: Histogram<f64>,
    pool: [KeyValue; 1],
    system: [KeyValue; 1],
}

impl Times {
    fn new(meter: &Meter, pool: KeyValue) -> Self {
        let histogram = |name: &'static str, description: &'static str| {
            meter.f64_histogram(name).with_unit("s").with_description(description).build()
        };
        Self {
            create: histogram(
                "db.client.connection.create_time",
                "The time it took to open a connection",
            ),
            wait: histogram(
                "db.client.connection.wait_time",
                "The time it took to obtain a connection",
            ),
            hold: histogram(
                "db.client.connection.use_time",
                "The time between obtaining a connection and returning it",
            ),
            operation: histogram("db.client.operation.duration", list::QUERY_DURATION.help),
            migration: histogram("tenantry.migration.duration", list::MIGRATION.help),
            creation: histogram("tenantry.creation.duration", list::CREATION.help),
            pool: [pool],
            system: [KeyValue::new("db.system.name", "postgresql")],
        }
    }
}

impl Timings for Times {
    fn wait(&self, took: Duration) {
        self.wait.record(took.as_secs_f64(), &self.pool);
    }

    fn hold(&self, took: Duration) {
        self.hold.record(took.as_secs_f64(), &self.pool);
    }

    fn connect(&self, took: Duration) {
        self.create.record(took.as_secs_f64(), &self.pool);
    }

    fn query(&self, took: Duration) {
        self.operation.record(took.as_secs_f64(), &self.system);
    }
    fn migration(&self, outcome: &'static str, took: Duration) {
        self.migration.record(took.as_secs_f64(), &self.with(outcome));
    }

    fn creation(&self, outcome: &'static str, took: Duration) {
        self.creation.record(took.as_secs_f64(), &self.with(outcome));
    }
}

impl Times {
    fn with(&self, outcome: &'static str) -> [KeyValue; 2] {
        let [pool] = &self.pool;
        [pool.clone(), KeyValue::new("outcome", outcome)]
    }
}
