//! Replaces `/metrics` in a build without Prometheus.

use super::{Answer, RegisterError};
use crate::{manager::TenantManager, metrics::MetricsOptions};

#[derive(Debug, Default)]
pub(super) struct Source;

impl Source {
    #[expect(clippy::unnecessary_wraps, reason = "a registry can refuse in other builds")]
    pub(super) fn figures(
        self,
        manager: &TenantManager,
        options: MetricsOptions,
    ) -> Result<Figures, RegisterError> {
        Ok(Figures::own(manager, options))
    }
}

#[derive(Debug)]
pub(super) struct Figures;

impl Figures {
    pub(super) fn own(_: &TenantManager, _: MetricsOptions) -> Self {
        Self
    }

    pub(super) fn answer(&self) -> Answer {
        Answer::new(404, "text/plain; charset=utf-8", "this build has no metrics")
    }
}
