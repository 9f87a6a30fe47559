/// Why [`Ops`](super::Ops) cannot be made: the registry has metrics of the same names.
///
/// They are those of another manager, or of the same one when it was made twice, or of a
/// `ProcessCollector` that [`MetricsOptions::process`](crate::MetricsOptions::process) repeats.
#[derive(thiserror::Error)]
#[error("registering the collector: the registry has metrics of the same names already")]
pub struct RegisterError {
    pub(super) source: prometheus::Error,
}

crate::error_report::readable_debug!(RegisterError);
