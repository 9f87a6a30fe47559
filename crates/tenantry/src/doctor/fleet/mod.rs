//! Checks of the tenants' schemas and data.
//!
//! Most checks run one statement for all tenants of a database and group equal results, also those of several
//! databases: one finding says that 412 of 2,000 tenants lack something, and names the worst of them.

mod bloat;
mod candidates;
mod check;
mod databases;
mod drift_summary;
mod duplicate_indexes;
mod event_triggers;
mod everywhere;
mod extensions_in_tenants;
mod foreign_objects;
mod full_sequences;
mod invalid_indexes;
mod kinds;
mod largest_tenants;
mod left_behind;
mod limits;
mod migration_records;
mod orphans;
mod primary_keys;
mod public_privileges;
mod row_security;
mod sequences;
mod shared_containers;
mod spare_databases;
mod tenant_privileges;
mod tenant_roles;
mod tenants;
mod tenants_of_state;
mod told;
mod unlogged_tables;

use std::sync::Arc;

use super::Check;

/// The checks, in the order of the report.
pub(super) fn checks() -> Vec<Arc<dyn Check>> {
    let checks = [
        databases::CHECK,
        shared_containers::CHECK,
        orphans::CHECK,
        tenants_of_state::CHECK,
        limits::CHECK,
        migration_records::CHECK,
        drift_summary::CHECK,
        foreign_objects::CHECK,
        extensions_in_tenants::CHECK,
        tenant_privileges::CHECK,
        row_security::CHECK,
        sequences::CHECK,
        invalid_indexes::CHECK,
        duplicate_indexes::CHECK,
        primary_keys::CHECK,
        unlogged_tables::CHECK,
        bloat::CHECK,
        largest_tenants::CHECK,
        event_triggers::CHECK,
    ];
    checks.map(|check| Arc::new(check) as Arc<dyn Check>).into()
}
