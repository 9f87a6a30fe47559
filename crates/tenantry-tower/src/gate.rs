//! The admission of a request, apart from the response.

use http::request::Parts;
use tenantry::{
    SharedDb, TenantDb,
    admission::{NoTenant, Switch, Target},
    gate::{self, SendFutures},
};

use crate::{rejection::Rejection, resolve::Head, served::Served};

pub(crate) type Gate = gate::Gate<Parts, SendFutures>;

/// Returns the tenant to admit; `None` if there is none and none is required.
pub(crate) fn target(gate: &Gate, parts: &Parts) -> Result<Option<Target>, Rejection> {
    Ok(gate.target(&Head(parts), parts)?)
}

/// Finds the tenant, checks that the caller may use it and puts the handle into the extensions.
pub(crate) async fn admit(
    gate: &Gate,
    target: Target,
    mut parts: Parts,
) -> Result<(Parts, Served), Rejection> {
    let db = gate.admit(&target, &parts).await?;
    parts.extensions.remove::<NoTenant>();
    let served = Served::new(&db, &mut parts);
    match target {
        // That of an outer layer belongs to another handle.
        Target::Own(_) => drop(parts.extensions.remove::<Switch>()),
        Target::Switched(switch) => drop(parts.extensions.insert(switch)),
    }
    Ok((parts, served))
}

/// Marks a request that continues without a tenant, and removes the handle of an outer layer: a
/// caller must not bypass this layer's hook by omitting the id.
pub(crate) fn without_tenant(gate: &Gate, parts: &mut Parts) {
    parts.extensions.remove::<TenantDb>();
    parts.extensions.remove::<Switch>();
    parts.extensions.insert(NoTenant::default());
    parts.extensions.insert::<SharedDb>(gate.shared().clone());
}
