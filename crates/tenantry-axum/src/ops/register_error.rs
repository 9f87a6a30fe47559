/// Why [`OpsRoutes`](crate::OpsRoutes) cannot be made: the registry has metrics of the same names.
///
/// They are those of another manager, or of the same one when its routes were made twice, or of a
/// `ProcessCollector` that [`MetricsOptions::process`](tenantry::MetricsOptions::process) repeats.
#[derive(Debug, thiserror::Error)]
#[error("registering the collector: the registry has metrics of the same names already")]
pub struct RegisterError {
    pub(super) source: prometheus::Error,
}
