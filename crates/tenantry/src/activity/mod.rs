//! Activity of the database, and metrics of a service.
//!
//! [`TenantManager::activity`](crate::TenantManager::activity) reads PostgreSQL's
//! [statistics views](https://www.postgresql.org/docs/current/monitoring-stats.html): sessions by
//! process, tenant and state, waits, slow statements, and totals of the database. It takes two
//! cheap statements, whatever the number of tenants, so it can be called every second;
//! [`ActivityRates`] compares two results.
//! [`TenantManager::tenant_sizes`](crate::TenantManager::tenant_sizes) is a separate call, because
//! it reads a row for every table.
//!
//! [`Exposition`] parses the response of a metrics endpoint, and [`ServiceFigures`] extracts the
//! metrics of Tenantry's own [collector](crate::MetricsCollector).

mod exposition;
mod gather;
mod histogram;
mod options;
mod rates;
mod read;
mod service;
mod sizes;
mod snapshot;
mod statements;

pub use exposition::{Exposition, ExpositionError, Sample};
pub use histogram::Histogram;
pub use options::ActivityOptions;
pub use rates::ActivityRates;
pub(crate) use read::read;
pub use service::{ServiceFigures, ServiceRates, ServiceServer, ServiceTenant, ServiceTenantRates};
pub(crate) use sizes::read as read_sizes;
pub use sizes::{SizeMethod, TenantSize, TenantSizes};
pub use snapshot::{
    Activity, ApplicationActivity, Blocked, Connections, DatabaseTotals, SessionCounts,
    SlowStatement, TenantActivity, Unseen, Wait,
};
pub use statements::TopStatement;
