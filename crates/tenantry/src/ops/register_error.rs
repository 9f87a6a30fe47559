/// The reason why [`Ops`](super::Ops) cannot be created: the registry already has metrics of the
/// same names.
///
/// They belong to another manager, to an earlier collector of the same one, or to a
/// `ProcessCollector` that [`MetricsOptions::process`](crate::MetricsOptions::process) duplicates.
#[derive(thiserror::Error)]
#[error("registering the collector: the registry already has metrics with the same names")]
pub struct RegisterError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl RegisterError {
    pub(super) fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Box::new(source) }
    }
}

crate::error_report::readable_debug!(RegisterError);
