//! Metrics of the pool, for people, programs and Prometheus.

#[cfg(feature = "prometheus")]
mod collector;
#[cfg(feature = "prometheus")]
mod families;
#[cfg(feature = "prometheus")]
mod labels;
#[cfg(any(feature = "prometheus", feature = "opentelemetry"))]
#[cfg_attr(
    not(feature = "prometheus"),
    allow(dead_code, reason = "OpenTelemetry has some of them")
)]
mod list;
mod options;
#[cfg(feature = "opentelemetry")]
mod otel;
#[cfg(feature = "prometheus")]
mod runtime;
mod snapshot;
mod upkeep;

#[cfg(feature = "prometheus")]
pub use collector::MetricsCollector;
pub use options::MetricsOptions;
#[cfg(feature = "opentelemetry")]
pub(crate) use otel::register;
pub use snapshot::{
    ConnectionCounts, Metrics, PoolsMetrics, ServerMetrics, SharedMetrics, TenantMetrics,
};
pub use upkeep::UpkeepMetrics;
