//! What is decided about a request, apart from how the answer is written.

use std::{fmt, sync::Arc};

use http::request::Parts;
use tenantry::{TenantDb, TenantId, TenantManager};

use crate::{
    authorize::ErasedAuthorize, no_tenant::NoTenant, rejection::Rejection, resolve::Resolve,
};

/// Lets requests in, with the handle of their tenant.
///
/// It has no type parameters, so all of this is compiled once, and a layer can be named.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) manager: TenantManager,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) authorize: Option<Arc<dyn ErasedAuthorize>>,
    pub(crate) presence: Presence,
}

/// Whether a request must have a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// What the resolver leads to.
pub(crate) enum Resolved {
    /// The tenant has to be admitted.
    Tenant(TenantId),
    /// There is none, and none is needed.
    NoTenant,
}

impl Gate {
    pub(crate) fn resolve(&self, parts: &Parts) -> Result<Resolved, Rejection> {
        match self.resolver.resolve(parts) {
            Ok(Some(id)) => Ok(Resolved::Tenant(id)),
            Ok(None) if self.presence == Presence::Optional => Ok(Resolved::NoTenant),
            Ok(None) => Err(Rejection::missing()),
            Err(error) => Err(Rejection::from(error)),
        }
    }

    /// Finds the tenant, asks whether the caller may use it and puts the handle into the extensions.
    pub(crate) async fn admit(&self, id: TenantId, mut parts: Parts) -> Result<Parts, Rejection> {
        let db = self.manager.tenant(id).await?;
        if let Some(authorize) = &self.authorize {
            let verdict = authorize.authorize(&db, &parts).await;
            verdict.map_err(|error| Rejection::unauthorized(db.tenant().id(), error))?;
        }
        parts.extensions.remove::<NoTenant>();
        parts.extensions.insert::<TenantDb>(db);
        Ok(parts)
    }

    /// Marks a request that goes on without a tenant. The handle of an outer layer is taken away: a
    /// caller must not get around this layer's hook by leaving the id out.
    pub(crate) fn without_tenant(parts: &mut Parts) {
        parts.extensions.remove::<TenantDb>();
        parts.extensions.insert(NoTenant::default());
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("manager", &self.manager)
            .field("authorize", &self.authorize.is_some())
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
