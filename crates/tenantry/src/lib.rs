//! Core.
pub mod catalog;
pub mod context;
mod db;
mod error;
mod manager;
pub mod pool;
mod sql;
pub mod tenant;

pub use catalog::{
    Catalog, CatalogFn, CatalogOptions, FixedCatalog, SchemaDiscovery, TableCatalog,
};
pub use db::{SharedDb, TenantDb, TenantTransaction};
pub use error::{Error, ErrorKind};
pub use manager::{ConfigError, ManagerBuilder, TenantManager};
pub use pool::{EvictReason, Lease, PoolOptions, PoolSnapshot};
pub use tenant::{
    Ident, IdentError, Isolation, ParseTenantIdError, Tenant, TenantId, TenantRecord, TenantState,
};
