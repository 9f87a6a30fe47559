//! Checks of the configuration and of the server.

mod autovacuum;
mod capacity;
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

use super::{BuiltIn, Check};

/// The checks, in the order of the report.
pub(super) fn checks() -> Vec<Arc<dyn Check>> {
    // Those of drizzle-multitenant's `doctor`, in its order.
    let of_guide = [
        database::CHECK,
        tenants::CHECK,
        migrations::TENANTS,
        migrations::SHARED,
        isolation::CHECK,
        pool_config::CHECK,
    ];
    let of_server = [
        role::CHECK,
        rows::CHECK,
        search_path::CHECK,
        extensions::CHECK,
        tls::CHECK,
        timeouts::CHECK,
        version::CHECK,
        transaction_ids::CHECK,
        old_snapshots::CHECK,
        autovacuum::CHECK,
        locks::CHECK,
        memory::CHECK,
        replication::CHECK,
        settings::CHECK,
    ];
    let shared = |check: BuiltIn| -> Arc<dyn Check> { Arc::new(check) };
    let mut checks: Vec<Arc<dyn Check>> = vec![Arc::new(configuration::Configuration)];
    checks.extend(of_guide.map(shared));
    checks.push(Arc::new(pooler::Pooler));
    checks.extend(of_server.map(shared));
    checks
}
