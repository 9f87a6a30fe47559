//! Checks of the configuration and of the server.

mod autovacuum;
mod capacity;
mod citus;
mod configuration;
mod database;
mod extensions;
mod isolation;
mod locks;
mod memory;
mod migrations;
mod old_snapshots;
mod pg_settings;
mod pool_config;
mod pooler;
mod relations;
mod replication;
mod role;
mod rows;
mod search_path;
mod settings;
mod sights;
mod tenants;
mod timeouts;
mod tls;
mod transaction_ids;
mod unreachable;
mod version;

use std::sync::Arc;

pub(crate) use pg_settings::Settings;
pub(crate) use relations::{Largest, Relations};

use super::Check;

/// The checks, in the order of the report.
pub(super) fn checks() -> Vec<Arc<dyn Check>> {
    // Those of drizzle-multitenant's `doctor` come first, in its order.
    vec![
        Arc::new(configuration::Configuration),
        Arc::new(database::CHECK),
        Arc::new(tenants::CHECK),
        Arc::new(migrations::TENANTS),
        Arc::new(migrations::SHARED),
        Arc::new(isolation::CHECK),
        Arc::new(pool_config::CHECK),
        Arc::new(pooler::Pooler),
        Arc::new(role::CHECK),
        Arc::new(rows::CHECK),
        Arc::new(search_path::CHECK),
        Arc::new(extensions::CHECK),
        Arc::new(tls::CHECK),
        Arc::new(timeouts::CHECK),
        Arc::new(version::CHECK),
        Arc::new(transaction_ids::CHECK),
        Arc::new(old_snapshots::CHECK),
        Arc::new(autovacuum::CHECK),
        Arc::new(locks::CHECK),
        Arc::new(memory::CHECK),
        Arc::new(replication::CHECK),
        Arc::new(citus::CHECK),
        Arc::new(settings::CHECK),
    ]
}
