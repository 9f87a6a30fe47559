//! What is decided about a request, apart from how the answer is written.

use std::{fmt, sync::Arc};

use http::request::Parts;
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
    served::Served,
    switch::Switching,
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
    pub(crate) switching: Option<Switching>,
    pub(crate) presence: Presence,
}

impl Gate {
    /// Returns the tenant that has to be admitted; `None` when there is none and none is needed.
    pub(crate) fn resolve(&self, parts: &Parts) -> Result<Option<Target>, Rejection> {
        check_head(&Head(parts))?;
        let to = self.switching.as_ref().map_or(Ok(None), |to| to.resolver.resolve(parts));
        let target = Target::of(self.presence, self.resolver.resolve(parts), to)?;
        if let Some(target) = &target {
            record_tenant(target.id());
        }
        Ok(target)
    }

    /// Finds the tenant, checks that the caller may use it and puts the handle into the extensions.
    pub(crate) async fn admit(
        &self,
        target: Target,
        mut parts: Parts,
    ) -> Result<(Parts, Served), Rejection> {
        let db = match &target {
            Target::Own(id) => self.authorized(id, &parts).await?,
            Target::Switched(switch) => self.switched(switch, &parts).await?,
        };
        parts.extensions.remove::<NoTenant>();
        let served = Served::new(&db, &mut parts);
        match target {
            // That of an outer layer is about another handle.
            Target::Own(_) => drop(parts.extensions.remove::<Switch>()),
            Target::Switched(switch) => drop(parts.extensions.insert(switch)),
        }
        Ok((parts, served))
    }

    async fn authorized(&self, id: &TenantId, parts: &Parts) -> Result<TenantDb, Rejection> {
        // First, so that a refusal costs no look-up and does not tell whether the tenant exists.
        self.bounds.check(id, parts).await?;
        let db = self.manager.tenant_to_authorize(id).await?;
        let verdict = match &self.authorize {
            Some(hook) => hook.authorize(&db, parts).await,
            None => Ok(()),
        };
        check_authorized(db.tenant(), verdict)?;
        Ok(db)
    }

    async fn switched(&self, switch: &Switch, parts: &Parts) -> Result<TenantDb, Rejection> {
        if let Some(from) = switch.from() {
            self.bounds.check(from, parts).await?;
        }
        let verdict = match &self.switching {
            Some(switching) => switching.ask(switch, parts).await,
            None => Err(AuthorizeError::Denied),
        };
        switch.check(verdict)?;
        let db = self.manager.tenant(switch.to()).await?;
        switch.log();
        Ok(db)
    }

    /// Marks a request that goes on without a tenant. The handle of an outer layer is taken away: a
    /// caller must not get around this layer's hook by leaving the id out.
    pub(crate) fn without_tenant(&self, parts: &mut Parts) {
        parts.extensions.remove::<TenantDb>();
        parts.extensions.remove::<Switch>();
        parts.extensions.insert(NoTenant::default());
        parts.extensions.insert::<SharedDb>(self.manager.shared().clone());
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
