//! The figures that `/metrics` shows.

use prometheus::{Registry, TextEncoder, core::Collector};

use super::{Answer, OpsOptions, RegisterError};
use crate::{
    manager::TenantManager,
    metrics::{MetricsCollector, MetricsOptions},
};

/// Where the figures are to come from: a registry, or the collector alone.
#[derive(Debug, Default)]
pub(super) struct Source(Option<Registry>);

impl Source {
    pub(super) fn figures(
        self,
        manager: &TenantManager,
        options: MetricsOptions,
    ) -> Result<Figures, RegisterError> {
        match self.0 {
            None => Ok(Figures::own(manager, options)),
            Some(registry) => {
                let registered = registry.register(Box::new(manager.collector(options)));
                registered.map_err(RegisterError::new)?;
                Ok(Figures::Registry(registry))
            }
        }
    }
}

impl OpsOptions {
    /// Lets [`Ops::metrics`](super::Ops::metrics) show a whole registry, in which the collector of the manager is
    /// registered. Default: the figures of the manager alone.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.source = Source(Some(registry));
        self
    }
}

/// Where the figures come from.
#[derive(Debug)]
pub(super) enum Figures {
    /// The collector alone. It needs no registry, and so nothing that could refuse it.
    Own(Box<MetricsCollector>),
    /// A registry in which the collector is one of perhaps many.
    Registry(Registry),
}

/// The text format, as prometheus names it, and the charset that it always has.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Figures {
    pub(super) fn own(manager: &TenantManager, options: MetricsOptions) -> Self {
        Self::Own(Box::new(manager.collector(options)))
    }

    pub(super) fn answer(&self) -> Answer {
        let families = match self {
            Self::Own(collector) => collector.collect(),
            Self::Registry(registry) => registry.gather(),
        };
        match TextEncoder::new().encode_to_string(&families) {
            Ok(text) => Answer::new(200, CONTENT_TYPE, text),
            Err(error) => Answer::failure(&error, "the metrics cannot be written"),
        }
    }
}
