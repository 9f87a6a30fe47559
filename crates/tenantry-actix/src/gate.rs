//! What is decided about a request, apart from how it goes on.

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

/// Marks a request that goes on without a tenant. The handle of an outer middleware is taken away:
/// a caller must not get around this one's hook by leaving the id out.
fn without_tenant(gate: &Gate, request: &ServiceRequest) {
    let mut extensions = request.extensions_mut();
    extensions.remove::<TenantDb>();
    extensions.remove::<Switch>();
    extensions.insert(NoTenant::default());
    extensions.insert::<SharedDb>(gate.shared().clone());
}
