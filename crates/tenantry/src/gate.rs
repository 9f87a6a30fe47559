//! Admission steps that the adapters run for a request, in order: the decisions of
//! [`admission`](crate::admission), with the manager's look-ups in between.
//!
//! Used by the adapters. Applications do not need this module.

use std::{fmt, pin::Pin, sync::Arc};

use crate::{
    admission::{
        AuthorizeError, Presence, Rejection, RequestHead, ResolveError, Switch, Target,
        check_authorized, check_bound, check_head, record_tenant,
    },
    db::{SharedDb, TenantDb},
    error::Error,
    manager::TenantManager,
    tenant::TenantId,
};

/// Whether the futures of application hooks may move between threads.
pub trait Futures: 'static {
    /// A boxed future.
    type Boxed<'a, T: 'a>: Future<Output = T> + 'a;
}

/// Futures are `Send`, as in axum.
#[derive(Debug)]
pub enum SendFutures {}

impl Futures for SendFutures {
    type Boxed<'a, T: 'a> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
}

/// Futures stay on the worker that has the request, as in actix-web.
#[derive(Debug)]
pub enum LocalFutures {}

impl Futures for LocalFutures {
    type Boxed<'a, T: 'a> = Pin<Box<dyn Future<Output = T> + 'a>>;
}

type Resolved = Result<Option<TenantId>, ResolveError>;
type Caller = Result<Option<TenantId>, Error>;
type Verdict = Result<(), AuthorizeError>;

type Resolve<R> = dyn Fn(&R) -> Resolved + Send + Sync;
type Bound<R, F> = dyn Fn(&R) -> <F as Futures>::Boxed<'static, Caller> + Send + Sync;
type Authorize<R, F> =
    dyn for<'a> Fn(&'a TenantDb, &'a R) -> <F as Futures>::Boxed<'a, Verdict> + Send + Sync;
type MaySwitch<R, F> = dyn Fn(&Switch, &R) -> <F as Futures>::Boxed<'static, Verdict> + Send + Sync;

/// Resolver of the tenant to switch to, and the hook that authorizes the switch.
type Switching<R, F> = (Arc<Resolve<R>>, Arc<MaySwitch<R, F>>);

/// Admits requests and returns the handle of their tenant.
///
/// `R` is the framework's request, and `F` decides whether hook futures are `Send`. There is no
/// type parameter for the application's settings, so the gate is compiled once and a middleware
/// type can be named.
pub struct Gate<R: 'static, F: Futures> {
    manager: TenantManager,
    presence: Presence,
    resolver: Arc<Resolve<R>>,
    bounds: Vec<Arc<Bound<R, F>>>,
    authorize: Option<Arc<Authorize<R, F>>>,
    switching: Option<Switching<R, F>>,
}

impl<R: 'static, F: Futures> Gate<R, F> {
    /// Creates a gate that requires a tenant and admits every caller.
    pub fn new(
        manager: TenantManager,
        resolver: impl Fn(&R) -> Resolved + Send + Sync + 'static,
    ) -> Self {
        Self {
            manager,
            presence: Presence::Required,
            resolver: Arc::new(resolver),
            bounds: Vec::new(),
            authorize: None,
            switching: None,
        }
    }

    /// Sets whether a request must have a tenant.
    pub fn set_presence(&mut self, presence: Presence) {
        self.presence = presence;
    }

    /// Sets the resolver that reads the tenant id from a request.
    pub fn set_resolver(&mut self, resolver: impl Fn(&R) -> Resolved + Send + Sync + 'static) {
        self.resolver = Arc::new(resolver);
    }

    /// Adds a closure that returns the tenant of the caller's session or token. All such closures
    /// must return the requested tenant.
    pub fn add_bound(
        &mut self,
        caller: impl Fn(&R) -> F::Boxed<'static, Caller> + Send + Sync + 'static,
    ) {
        self.bounds.push(Arc::new(caller));
    }

    /// Sets the hook that authorizes callers to use the tenant.
    pub fn set_authorize<H>(&mut self, hook: H)
    where
        H: for<'a> Fn(&'a TenantDb, &'a R) -> F::Boxed<'a, Verdict> + Send + Sync + 'static,
    {
        self.authorize = Some(Arc::new(hook));
    }

    /// Sets the resolver of the tenant to switch to, and the hook that authorizes the switch.
    pub fn set_switch(
        &mut self,
        to: impl Fn(&R) -> Resolved + Send + Sync + 'static,
        hook: impl Fn(&Switch, &R) -> F::Boxed<'static, Verdict> + Send + Sync + 'static,
    ) {
        self.switching = Some((Arc::new(to), Arc::new(hook)));
    }

    /// Returns the shared schema, which a request without a tenant may use.
    #[must_use]
    pub fn shared(&self) -> &SharedDb {
        self.manager.shared()
    }

    /// Returns the tenant to be [admitted](Self::admit), or `None` if the request has none and
    /// needs none. Does no look-up.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the request is malformed, or has no tenant and needs one.
    pub fn target(
        &self,
        head: &impl RequestHead,
        request: &R,
    ) -> Result<Option<Target>, Rejection> {
        check_head(head)?;
        let to = self.switching.as_ref().map_or(Ok(None), |(resolve, _)| resolve(request));
        let target = Target::of(self.presence, (self.resolver)(request), to)?;
        if let Some(target) = &target {
            record_tenant(target.id());
        }
        Ok(target)
    }

    /// Looks up the tenant and checks that the caller may use it.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the caller may not use the tenant, when the tenant does not exist or
    /// cannot be looked up, or when it is over its rate.
    ///
    /// # Cancel safety
    ///
    /// As safe as the hooks.
    pub async fn admit(&self, target: &Target, request: &R) -> Result<TenantDb, Rejection> {
        match target {
            Target::Own(id) => self.admit_own(id, request).await,
            Target::Switched(switch) => self.admit_switched(switch, request).await,
        }
    }

    async fn admit_own(&self, id: &TenantId, request: &R) -> Result<TenantDb, Rejection> {
        // Before the look-up, so that a refusal costs nothing and does not reveal whether the
        // tenant exists.
        self.check_bounds(id, request).await?;
        let db = self.manager.tenant_to_authorize(id).await?;
        let verdict = match &self.authorize {
            Some(hook) => hook(&db, request).await,
            None => Ok(()),
        };
        check_authorized(db.tenant(), verdict)?;
        // Last, so that callers who may not use the tenant cannot use up its rate.
        db.check_rate()?;
        Ok(db)
    }

    async fn admit_switched(&self, switch: &Switch, request: &R) -> Result<TenantDb, Rejection> {
        if let Some(from) = switch.from() {
            self.check_bounds(from, request).await?;
        }
        let verdict = match &self.switching {
            Some((_, hook)) => hook(switch, request).await,
            None => Err(AuthorizeError::Denied),
        };
        switch.check(verdict)?;
        let db = self.manager.tenant(switch.to()).await?;
        db.check_rate()?;
        switch.log();
        Ok(db)
    }

    /// Checks that the caller belongs to this tenant.
    async fn check_bounds(&self, id: &TenantId, request: &R) -> Result<(), Rejection> {
        for caller in &self.bounds {
            check_bound(id, caller(request).await)?;
        }
        Ok(())
    }
}

impl<R: 'static, F: Futures> Clone for Gate<R, F> {
    fn clone(&self) -> Self {
        let Self { manager, presence, resolver, bounds, authorize, switching } = self;
        Self {
            manager: manager.clone(),
            presence: *presence,
            resolver: Arc::clone(resolver),
            bounds: bounds.clone(),
            authorize: authorize.clone(),
            switching: switching.clone(),
        }
    }
}

impl<R: 'static, F: Futures> fmt::Debug for Gate<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("manager", &self.manager)
            .field("bound_to", &self.bounds.len())
            .field("authorize", &self.authorize.is_some())
            .field("switch", &self.switching.is_some())
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
