//! The pool in figures, for people, programs and Prometheus.

mod collector;
mod labels;
#[cfg(feature = "opentelemetry")]
mod otel;
mod runtime;
mod snapshot;
mod upkeep;

pub use collector::{MetricsCollector, MetricsOptions};
#[cfg(feature = "opentelemetry")]
pub(crate) use otel::register;
pub use snapshot::{ConnectionCounts, Metrics, PoolsMetrics, SharedMetrics, TenantMetrics};
pub use upkeep::UpkeepMetrics;
