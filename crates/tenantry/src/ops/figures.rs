//! The metrics that `/metrics` shows.

use prometheus::{Registry, TextEncoder, core::Collector};

use super::{Answer, OpsOptions, RegisterError};
use crate::{
    manager::TenantManager,
    metrics::{MetricsCollector, MetricsOptions},
};

/// Configured source of the metrics: a registry, or only the collector.
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
    /// Makes [`Ops::metrics`](super::Ops::metrics) show a whole registry, in which the manager's
    /// collector is registered. Default: only the metrics of the manager.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.source = Source(Some(registry));
        self
    }
}

/// The source of the metrics.
#[derive(Debug)]
pub(super) enum Figures {
    /// Only the collector. It needs no registry, so registration cannot fail.
    Own(Box<MetricsCollector>),
    /// A registry that contains the collector and possibly others.
    Registry(Registry),
}

/// Prometheus' name of the text format, with its fixed charset.
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
