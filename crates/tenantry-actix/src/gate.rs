//! The admission of a request, apart from the response.

use actix_web::{HttpMessage, dev::ServiceRequest};
use tenantry::{
    SharedDb, TenantDb,
    admission::{NoTenant, Switch, Target},
    gate::{self, LocalFutures},
};

use crate::{rejection::Rejection, resolve::Head, served::Served};

pub(crate) type Gate = gate::Gate<ServiceRequest, LocalFutures>;

/// Finds the tenant, checks that the caller may use it, and leaves what was found in the request's
/// extensions. `None` if there is no tenant.
pub(crate) async fn admit(
    gate: &Gate,
    request: &ServiceRequest,
) -> Result<Option<Served>, Rejection> {
    let Some(target) = gate.target(&Head(request), request)? else {
        without_tenant(gate, request);
        return Ok(None);
    };
    let db = gate.admit(&target, request).await?;
    let served = Served::new(&db, request);
    let mut extensions = request.extensions_mut();
    extensions.remove::<NoTenant>();
    match target {
        // That of an outer middleware is about another handle.
        Target::Own(_) => drop(extensions.remove::<Switch>()),
        Target::Switched(switch) => drop(extensions.insert(switch)),
    }
    Ok(Some(served))
}

/// Marks a request that continues without a tenant, and removes the handle of an outer middleware:
/// a caller must not bypass this middleware's hook by omitting the id.
fn without_tenant(gate: &Gate, request: &ServiceRequest) {
    let mut extensions = request.extensions_mut();
    extensions.remove::<TenantDb>();
    extensions.remove::<Switch>();
    extensions.insert(NoTenant::default());
    extensions.insert::<SharedDb>(gate.shared().clone());
}
