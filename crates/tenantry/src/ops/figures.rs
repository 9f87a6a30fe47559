use prometheus::{Registry, TextEncoder, core::Collector};

use crate::metrics::MetricsCollector;

/// Where the figures come from.
#[derive(Debug)]
pub(super) enum Figures {
    /// The collector alone. It needs no registry, and so nothing that could refuse it.
    Own(Box<MetricsCollector>),
    /// A registry in which the collector is one of perhaps many.
    Registry(Registry),
}

impl Figures {
    /// The text format, as prometheus names it, and the charset that it always has.
    pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    pub(super) fn encode(&self) -> prometheus::Result<String> {
        let families = match self {
            Self::Own(collector) => collector.collect(),
            Self::Registry(registry) => registry.gather(),
        };
        TextEncoder::new().encode_to_string(&families)
    }
}
