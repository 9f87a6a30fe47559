//! What is decided about a request, apart from how it goes on.

use std::{fmt, sync::Arc};

use actix_web::{HttpMessage, HttpResponse, dev::ServiceRequest};
use tenantry::{
    TenantDb, TenantId, TenantManager,
    admission::{NoTenant, Presence, check_authorized, check_head},
};

use crate::{
    authorize::ErasedAuthorize,
    bound::Bounds,
    rejection::Rejection,
    resolve::{Head, Resolve},
    respond::Respond,
};

/// Lets requests in, with the handle of their tenant.
///
/// It has no type parameters, so all of this is compiled once, and a middleware can be named.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) manager: TenantManager,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) bounds: Bounds,
    pub(crate) authorize: Option<Arc<dyn ErasedAuthorize>>,
    pub(crate) presence: Presence,
    pub(crate) respond: Arc<dyn Respond>,
}

impl Gate {
    /// Finds the tenant, checks that the caller may use it, and leaves what was found in the request's
    /// extensions.
    pub(crate) async fn admit(&self, request: &ServiceRequest) -> Result<(), Rejection> {
        check_head(&Head(request))?;
        match self.presence.check(self.resolver.resolve(request))? {
            Some(id) => self.admit_to(id, request).await,
            None => {
                Self::without_tenant(request);
                Ok(())
            }
        }
    }

    /// Writes to the log what the response does not say, and makes the response.
    pub(crate) fn reject(&self, rejection: &Rejection) -> HttpResponse {
        rejection.log();
        self.respond.respond(rejection)
    }

    async fn admit_to(&self, id: TenantId, request: &ServiceRequest) -> Result<(), Rejection> {
        // First, so that a refusal costs no look-up and does not tell whether the tenant exists.
        self.bounds.check(&id, request).await?;
        let db = self.manager.tenant_to_authorize(&id).await?;
        let verdict = match &self.authorize {
            Some(hook) => hook.authorize(&db, request).await,
            None => Ok(()),
        };
        check_authorized(db.tenant(), verdict)?;
        let mut extensions = request.extensions_mut();
        extensions.remove::<NoTenant>();
        extensions.insert::<TenantDb>(db);
        Ok(())
    }

    /// Marks a request that goes on without a tenant. The handle of an outer middleware is taken away:
    /// a caller must not get around this one's hook by leaving the id out.
    fn without_tenant(request: &ServiceRequest) {
        let mut extensions = request.extensions_mut();
        extensions.remove::<TenantDb>();
        extensions.insert(NoTenant::default());
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
