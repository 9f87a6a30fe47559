//! Activity of the database, and metrics of a service.
//!
//! [`TenantManager::activity`](crate::TenantManager::activity) reads PostgreSQL's
//! [statistics views](https://www.postgresql.org/docs/current/monitoring-stats.html): sessions by
//! process, tenant and state, waits, slow statements, and totals of the database. It takes two
//! cheap statements on each server, whatever the number of tenants, so it can be called every second;
//! [`ActivityRates`] compares two results. With sessions in other databases, it also lists the tenants, to know
//! which of these databases are theirs.
//! [`TenantManager::tenant_sizes`](crate::TenantManager::tenant_sizes) is a separate call, because
//! it reads a row for every table.
//!
//! [`Exposition`] parses the response of a metrics endpoint, and [`ServiceFigures`] extracts the
//! metrics of Tenantry's own [collector](crate::MetricsCollector).

mod databases;
mod everywhere;
mod exposition;
mod gather;
mod histogram;
mod options;
mod rates;
mod read;
mod server;
mod service;
mod sizes;
mod snapshot;
mod statements;

pub(crate) use everywhere::read;
pub use exposition::{Exposition, ExpositionError, Sample};
pub use histogram::Histogram;
pub use options::ActivityOptions;
pub use rates::ActivityRates;
pub use server::{ServerActivity, ServerReading};
pub use service::{ServiceFigures, ServiceRates, ServiceServer, ServiceTenant, ServiceTenantRates};
pub(crate) use sizes::read as read_sizes;
pub use sizes::{SizeMethod, TenantSize, TenantSizes};
pub use snapshot::{
    Activity, ApplicationActivity, Blocked, Connections, DatabaseTotals, SessionCounts,
    SlowStatement, TenantActivity, Unseen, Wait,
};
pub use statements::TopStatement;
