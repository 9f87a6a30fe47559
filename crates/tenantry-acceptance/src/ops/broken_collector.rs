use prometheus::{
    IntCounter,
    core::{Collector, Desc},
    proto::{Metric, MetricFamily},
};

/// A collector of an application whose metrics cannot be encoded.
#[derive(Debug)]
pub struct BrokenCollector(IntCounter);

impl BrokenCollector {
    /// Creates a collector with one metric of this name.
    ///
    /// # Errors
    ///
    /// When the name is invalid.
    pub fn new(name: &str) -> prometheus::Result<Self> {
        Ok(Self(IntCounter::new(name, "x")?))
    }
}

impl Collector for BrokenCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut nameless = MetricFamily::default();
        nameless.set_metric(vec![Metric::default()]);
        vec![nameless]
    }
}
