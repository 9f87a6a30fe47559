//! What is decided about a request, apart from how the answer is written.

use std::{fmt, sync::Arc};

use http::request::Parts;
use tenantry::{
    TenantDb, TenantId, TenantManager,
    admission::{NoTenant, Presence, check_authorized, check_head},
};

use crate::{
    authorize::ErasedAuthorize,
    bound::Bounds,
    rejection::Rejection,
    resolve::{Head, Resolve},
};

/// Lets requests in, with the handle of their tenant.
///
/// It has no type parameters, so all of this is compiled once, and a layer can be named.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) manager: TenantManager,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) bounds: Bounds,
    pub(crate) authorize: Option<Arc<dyn ErasedAuthorize>>,
    pub(crate) presence: Presence,
}

impl Gate {
    /// Returns the tenant that has to be admitted; `None` when there is none and none is needed.
    pub(crate) fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, Rejection> {
        check_head(&Head(parts))?;
        Ok(self.presence.check(self.resolver.resolve(parts))?)
    }

    /// Finds the tenant, checks that the caller may use it and puts the handle into the extensions.
    pub(crate) async fn admit(&self, id: TenantId, mut parts: Parts) -> Result<Parts, Rejection> {
        // First, so that a refusal costs no look-up and does not tell whether the tenant exists.
        self.bounds.check(&id, &parts).await?;
        let db = self.manager.tenant_to_authorize(&id).await?;
        let verdict = match &self.authorize {
            Some(hook) => hook.authorize(&db, &parts).await,
            None => Ok(()),
        };
        check_authorized(db.tenant(), verdict)?;
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
            .field("bound_to", &self.bounds)
            .field("authorize", &self.authorize.is_some())
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
