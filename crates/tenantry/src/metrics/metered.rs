//! Recorded counters and durations in Prometheus' format.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::event::{Meters, Times};

/// Returns the families of the meters. One without metrics is omitted, because it cannot be
/// encoded.
pub(super) fn families(meters: &Meters) -> Vec<MetricFamily> {
    let upkeep = &meters.upkeep;
    let mut all = Vec::with_capacity(HISTOGRAMS.len() + COUNTERS.len() + 5);
    all.extend(HISTOGRAMS.map(|(name, help, of)| histogram(name, help, of(meters))));
    all.extend(COUNTERS.map(|(name, help, of)| {
        let mut counter = Counter::default();
        counter.set_value(of(meters) as f64);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        family(name, help, MetricType::COUNTER, vec![metric])
    }));
    all.push(outcomes(
        "tenantry_migrations_total",
        "Schemas that runs of the migrator have ended with, by outcome",
        upkeep.migrations.read(),
    ));
    all.push(outcomes(
        "tenantry_creations_total",
        "Tenants created, by how, and creations that have failed",
        upkeep.creations.read(),
    ));
    let gauges = |counts: &[(&str, u64)]| {
        counts.iter().map(|(state, count)| gauge(Some(state), *count)).collect()
    };
    if let Some(counts) = upkeep.tenants() {
        let help = "Tenants by state, as they were last listed";
        all.push(family("tenantry_tenants", help, MetricType::GAUGE, gauges(&counts)));
    }
    for (name, help, count) in [
        (
            "tenantry_spares_ready",
            "Spares that were ready when they were last seen to, without those used here since",
            upkeep.spares(),
        ),
        (
            "tenantry_drifted_tenants",
            "Tenants whose schemas had drifted when they were last compared in the background",
            upkeep.drifted(),
        ),
    ] {
        all.push(family(name, help, MetricType::GAUGE, vec![gauge(None, count as u64)]));
    }
    all
}

/// Name and help of a family, and its histogram.
type Histograms = (&'static str, &'static str, fn(&Meters) -> &Times);

/// Name and help of a family, and how its value is read.
type Counters = (&'static str, &'static str, fn(&Meters) -> u64);

const HISTOGRAMS: [Histograms; 7] = [
    (
        "tenantry_acquire_wait_seconds",
        "Time until an acquire had its connection: 0 for one that was there",
        |meters| &meters.wait,
    ),
    ("tenantry_connection_hold_seconds", "Time that a connection was leased for", |meters| {
        &meters.hold
    }),
    (
        "tenantry_connect_seconds",
        "Time that opening a connection took, without attempts that failed",
        |meters| &meters.connect,
    ),
    (
        "tenantry_rebind_seconds",
        "Time that resetting a session and binding it to a tenant took",
        |meters| &meters.rebind,
    ),
    ("tenantry_query_duration_seconds", "Time that a statement on a handle took", |meters| {
        &meters.query
    }),
    (
        "tenantry_migration_seconds",
        "Time that a schema took in which the migrator had something to do",
        |meters| &meters.upkeep.migration,
    ),
    ("tenantry_creation_seconds", "Time that creating a tenant took", |meters| {
        &meters.upkeep.creation
    }),
];

const COUNTERS: [Counters; 6] = [
    (
        "tenantry_slow_queries_total",
        "Statements on a handle that took as long as the threshold or longer",
        |meters| meters.slow_queries.get(),
    ),
    ("tenantry_catalog_hits_total", "Look-ups answered by the cache", |meters| {
        meters.catalog_hits.get()
    }),
    (
        "tenantry_catalog_misses_total",
        "Look-ups that had to ask the catalog, or to wait for somebody who did",
        |meters| meters.catalog_misses.get(),
    ),
    (
        "tenantry_catalog_stale_total",
        "Look-ups answered by what was known before, because the catalog did not answer",
        |meters| meters.catalog_stale.get(),
    ),
    ("tenantry_hook_failures_total", "Calls of hooks that failed or panicked", |meters| {
        meters.hook_failures.get()
    }),
    (
        "tenantry_events_dropped_total",
        "Events that were not told because a queue was full",
        |meters| meters.events_dropped.get(),
    ),
];

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn outcomes(
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> MetricFamily {
    let metric = |(outcome, count): (&str, u64)| {
        let mut counter = Counter::default();
        counter.set_value(count as f64);
        let mut metric = Metric::from_label(vec![label("outcome", outcome)]);
        metric.set_counter(counter);
        metric
    };
    let mut metrics: Vec<_> = counts.map(metric).collect();
    metrics.sort_by(|one, other| one.get_label()[0].value().cmp(other.get_label()[0].value()));
    family(name, help, MetricType::COUNTER, metrics)
}

fn gauge(state: Option<&str>, count: u64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(count as f64);
    let labels = state.map(|state| label("state", state));
    let mut metric = Metric::from_label(labels.into_iter().collect());
    metric.set_gauge(gauge);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn histogram(name: &str, help: &str, times: &Times) -> MetricFamily {
    let mut all = 0;
    let mut buckets = Vec::new();
    for (bound, count) in times.cumulative() {
        // Prometheus' text format derives the bucket without a bound from the total count.
        all = count;
        if bound.is_finite() {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
    }
    let mut histogram = Histogram::default();
    histogram.set_sample_count(all);
    histogram.set_sample_sum(times.sum());
    histogram.set_bucket(buckets);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}
