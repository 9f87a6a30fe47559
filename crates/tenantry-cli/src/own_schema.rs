//! The schema of a tenant, for programs that connect by themselves.

use tenantry::{Ident, IsolationKind, Tenant};

use crate::failure::Failure;

/// Returns the schema that only this tenant has, in the manager's own database.
///
/// PostgreSQL's programs connect to that database. For a tenant of another kind, its container is a schema that
/// holds the rows of all tenants, or one in another database or on another server.
pub(crate) fn own_schema(tenant: &Tenant) -> Result<&Ident, Failure> {
    let (id, placement) = (tenant.id(), tenant.placement());
    let place = match placement.isolation() {
        _ if placement.server() != "main" => format!("is on the server {}", placement.server()),
        IsolationKind::Schema => return Ok(placement.container()),
        kind => format!("is isolated by {kind}"),
    };
    let hint = match placement.isolation() {
        IsolationKind::Row => SHARES_TABLES,
        _ => ELSEWHERE,
    };
    let what = format!("tenant {id} {place} and has no schema of its own in this database");
    Err(Failure::new(what).hint(hint))
}

/// What to do instead for a tenant whose rows are in tables of all tenants.
const SHARES_TABLES: &str = "its rows are in tables of all tenants: `dump` writes them to a file, which `restore` reads; \
    in psql, take on the role of tenants' sessions and set the tenant's key";

/// What to do instead for a tenant in another database or on another server.
const ELSEWHERE: &str = "connect with psql or pg_dump by yourself";
