//! Metric families as Prometheus has them, made of entries of the list.

use std::collections::HashMap;

use prometheus::{
    core::Desc,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::list::{Entry, Kind};
use crate::event::Times;

/// The families of one scrape. A family without metrics is left out: it cannot be written.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    /// Adds a metric without labels.
    pub(super) fn one(&mut self, entry: &Entry, value: f64) {
        self.each(entry, [([], value)]);
    }

    /// Adds a metric with a series for each of these values of the entry's labels.
    pub(super) fn each<'a, const N: usize>(
        &mut self,
        entry: &Entry,
        series: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        let metrics = series.into_iter().map(|(values, value)| metric(entry, &values, value));
        self.add(entry, metrics.collect());
    }

    pub(super) fn histogram(&mut self, entry: &Entry, times: &Times) {
        let mut metric = Metric::default();
        metric.set_histogram(histogram(times));
        self.add(entry, vec![metric]);
    }

    /// Adds a label to every metric.
    pub(super) fn labelled(mut self, name: &str, value: &str) -> Self {
        for metric in self.0.iter_mut().flat_map(MetricFamily::mut_metric) {
            let mut labels = metric.take_label();
            labels.push(label((&name, &value)));
            labels.sort_by(|one, other| one.name().cmp(other.name()));
            metric.set_label(labels);
        }
        self
    }

    /// Adds the metrics of other families to those of the same name.
    pub(super) fn add_all(&mut self, others: Self) {
        for mut other in others.0 {
            match self.0.iter_mut().find(|family| family.name() == other.name()) {
                Some(family) => family.mut_metric().extend(other.take_metric()),
                None => self.0.push(other),
            }
        }
    }

    pub(super) fn into_vec(self) -> Vec<MetricFamily> {
        self.0
    }

    fn add(&mut self, entry: &Entry, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(entry.name.to_owned());
        family.set_help(entry.help.to_owned());
        family.set_field_type(match entry.kind {
            Kind::Gauge => MetricType::GAUGE,
            Kind::Counter => MetricType::COUNTER,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        self.0.push(family);
    }
}

/// Describes an entry, so that a registry notices when another collector has the same metric.
pub(super) fn description(entry: &Entry) -> prometheus::Result<Desc> {
    let labels = entry.labels.iter().map(ToString::to_string).collect();
    Desc::new(entry.name.to_owned(), entry.help.to_owned(), labels, HashMap::new())
}

fn metric(entry: &Entry, values: &[&str], value: f64) -> Metric {
    let mut labels: Vec<_> = entry.labels.iter().zip(values).map(label).collect();
    labels.sort_by(|one, other| one.name().cmp(other.name()));
    let mut metric = Metric::from_label(labels);
    if entry.kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn label((name, value): (&&str, &&str)) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name((*name).to_owned());
    label.set_value((*value).to_owned());
    label
}

fn histogram(times: &Times) -> Histogram {
    let mut all = 0;
    let mut buckets = Vec::new();
    for (bound, count) in times.cumulative() {
        // The text format takes the bucket without a bound from the total.
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
    histogram
}
