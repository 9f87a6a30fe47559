//! What is decided about a request, apart from how it goes on.

use std::{fmt, sync::Arc};

use actix_web::{HttpMessage, HttpResponse, dev::ServiceRequest};
use tenantry::{
    SharedDb, TenantDb, TenantId, TenantManager,
    admission::{
        AuthorizeError, NoTenant, Presence, Switch, Target, check_authorized, check_head,
        record_tenant,
    },
};

use crate::{
    authorize::ErasedAuthorize,
    bound::Bounds,
    rejection::Rejection,
    resolve::{Head, Resolve},
    respond::Respond,
    served::Served,
    switch::Switching,
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
    pub(crate) switching: Option<Switching>,
    pub(crate) presence: Presence,
    pub(crate) respond: Arc<dyn Respond>,
}

impl Gate {
    /// Finds the tenant, checks that the caller may use it, and leaves what was found in the request's
    /// extensions. `None` if there is no tenant.
    pub(crate) async fn admit(
        &self,
        request: &ServiceRequest,
    ) -> Result<Option<Served>, Rejection> {
        check_head(&Head(request))?;
        let to = self.switching.as_ref().map_or(Ok(None), |to| to.resolver.resolve(request));
        match Target::of(self.presence, self.resolver.resolve(request), to)? {
            Some(target) => self.admit_to(target, request).await.map(Some),
            None => {
                self.without_tenant(request);
                Ok(None)
            }
        }
    }

    /// Writes to the log what the response does not say, and makes the response.
    pub(crate) fn reject(&self, rejection: &Rejection) -> HttpResponse {
        rejection.log();
        self.respond.respond(rejection)
    }

    async fn admit_to(
        &self,
        target: Target,
        request: &ServiceRequest,
    ) -> Result<Served, Rejection> {
        record_tenant(target.id());
        let db = match &target {
            Target::Own(id) => self.authorized(id, request).await?,
            Target::Switched(switch) => self.switched(switch, request).await?,
        };
        let served = Served::new(&db, request);
        let mut extensions = request.extensions_mut();
        extensions.remove::<NoTenant>();
        match target {
            // That of an outer middleware is about another handle.
            Target::Own(_) => drop(extensions.remove::<Switch>()),
            Target::Switched(switch) => drop(extensions.insert(switch)),
        }
        Ok(served)
    }

    async fn authorized(
        &self,
        id: &TenantId,
        request: &ServiceRequest,
    ) -> Result<TenantDb, Rejection> {
        // First, so that a refusal costs no look-up and does not tell whether the tenant exists.
        self.bounds.check(id, request).await?;
        let db = self.manager.tenant_to_authorize(id).await?;
        let verdict = match &self.authorize {
            Some(hook) => hook.authorize(&db, request).await,
            None => Ok(()),
        };
        check_authorized(db.tenant(), verdict)?;
        Ok(db)
    }

    async fn switched(
        &self,
        switch: &Switch,
        request: &ServiceRequest,
    ) -> Result<TenantDb, Rejection> {
        if let Some(from) = switch.from() {
            self.bounds.check(from, request).await?;
        }
        let verdict = match &self.switching {
            Some(switching) => switching.ask(switch, request).await,
            None => Err(AuthorizeError::Denied),
        };
        switch.check(verdict)?;
        let db = self.manager.tenant(switch.to()).await?;
        switch.log();
        Ok(db)
    }

    /// Marks a request that goes on without a tenant. The handle of an outer middleware is taken away:
    /// a caller must not get around this one's hook by leaving the id out.
    fn without_tenant(&self, request: &ServiceRequest) {
        let mut extensions = request.extensions_mut();
        extensions.remove::<TenantDb>();
        extensions.remove::<Switch>();
        extensions.insert(NoTenant::default());
        extensions.insert::<SharedDb>(self.manager.shared().clone());
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("manager", &self.manager)
            .field("bound_to", &self.bounds)
            .field("authorize", &self.authorize.is_some())
            .field("switch", &self.switching.is_some())
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
