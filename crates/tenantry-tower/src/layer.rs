use std::{fmt, sync::Arc};

use http::{Response, request::Parts};
use tenantry::{
    TenantDb, TenantManager,
    admission::{AuthorizeError, Presence, Switch},
};
use tower_layer::Layer;

use crate::{
    authorize::Authorize,
    bound::BoundTo,
    gate::Gate,
    rejection::Rejection,
    resolve::{Header, Resolve},
    respond::ProblemJson,
    service::TenantService,
};

/// Determines the tenant of each request, and rejects requests without one.
///
/// By default the id is that of the header `x-tenant-id`, every request must have one, everybody may
/// use every tenant, and rejections are problem documents. See the [crate's documentation](crate) for
/// what happens to a request, and why a header from outside is only a hint.
///
/// # Examples
///
/// ```no_run
/// use http::{Request, Response};
/// use tenantry_tower::{TenantDb, TenantLayer};
/// use tower::{ServiceBuilder, service_fn};
///
/// async fn serve(request: Request<String>) -> Result<Response<String>, std::convert::Infallible> {
///     let db = request.extensions().get::<TenantDb>().expect("the layer has put it there");
///     Ok(Response::new(format!("hello {}", db.tenant().id())))
/// }
///
/// # fn example(manager: tenantry::TenantManager) {
/// let service = ServiceBuilder::new()
///     .layer(TenantLayer::new(manager))
///     .service_fn(serve);
/// # let _: tenantry_tower::TenantService<_> = service;
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct TenantLayer<P = ProblemJson> {
    gate: Gate,
    respond: P,
}

impl TenantLayer {
    /// Creates a layer that looks up tenants with this manager.
    pub fn new(manager: TenantManager) -> Self {
        let header = Header::default();
        Self {
            gate: Gate::new(manager, move |parts: &Parts| header.resolve(parts)),
            respond: ProblemJson::default(),
        }
    }
}

impl<P> TenantLayer<P> {
    /// Sets the source of the tenant id. Default: [`Header`], the header `x-tenant-id`.
    ///
    /// See [`resolve`](crate::resolve) for the resolvers; a closure is one, too.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.gate.set_resolver(move |parts: &Parts| resolver.resolve(parts));
        self
    }

    /// Requires the caller's session or token to belong to the requested tenant. Default: no check.
    ///
    /// Use it wherever callers sign in. Without it, a request with a session cookie of tenant A and
    /// the header of tenant B is served from B's database. Ids that are the same in every tenant,
    /// such as that of a seeded administrator, then refer to a different person.
    ///
    /// The closure takes the request, as `&Parts`, and returns the tenant of the caller's session or
    /// token, as a value or a future; see [`BoundTo`] for the types. It can return an `async` block, but
    /// cannot be an `async` closure, whose future would borrow from the request.
    ///
    /// | it returns | the response |
    /// |---|---|
    /// | the requested tenant | that of the inner service |
    /// | another tenant | 403, [`NotBound`](crate::RejectionKind::NotBound) |
    /// | `None` | 403, [`NotBound`](crate::RejectionKind::NotBound) |
    /// | an error | 503 or 500, depending on the error |
    ///
    /// `None` is rejected because an anonymous caller and a session layer that has not run yet look
    /// the same. So this layer must be *inside* the one that reads the session or verifies the
    /// token; outside of it, every request is rejected. Put routes for callers who are not signed
    /// in, such as the login, on a layer without `bound_to`.
    ///
    /// The closure is called before the catalog look-up and before [`authorize`](Self::authorize):
    /// a rejection costs no look-up and does not reveal whether the tenant exists. It must return a
    /// tenant that was stored at sign-in or is part of a signed token, never one that it reads from
    /// the request itself.
    ///
    /// A second call adds a check: every closure must return the requested tenant. To accept a
    /// session *or* a token, put both into one closure. Nested layers each check the tenant that
    /// they find, so each needs its own.
    ///
    /// With [`optional`](Self::optional), a request without a tenant id passes unchecked and gets
    /// no handle. Handlers of such requests must not use a user id from the session, because it is
    /// an id within some tenant.
    ///
    /// # Examples
    ///
    /// A token that an outer layer verified:
    ///
    /// ```no_run
    /// use tenantry::TenantId;
    /// use tenantry_tower::TenantLayer;
    ///
    /// #[derive(Clone)]
    /// struct Claims {
    ///     tenant: TenantId,
    /// }
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let layer = TenantLayer::new(manager)
    ///     .bound_to(|parts| Some(parts.extensions.get::<Claims>()?.tenant.clone()));
    /// # }
    /// ```
    ///
    /// A session with an asynchronous store, such as that of tower-sessions. The future must not
    /// borrow from the request, so extract what it needs first:
    ///
    /// ```no_run
    /// use tenantry::{Error, TenantId};
    /// use tenantry_tower::TenantLayer;
    /// # #[derive(Clone)] struct Session {}
    /// # impl Session {
    /// #     async fn get<T>(&self, _: &str) -> Result<Option<T>, std::io::Error> { Ok(None) }
    /// # }
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let layer = TenantLayer::new(manager).bound_to(|parts| {
    ///     let session = parts.extensions.get::<Session>().cloned();
    ///     async move {
    ///         let Some(session) = session else { return Ok(None) };
    ///         // An unavailable store is a 503, and signs nobody out.
    ///         let tenant = session.get::<String>("tenant").await.map_err(Error::catalog)?;
    ///         Ok(tenant.and_then(|tenant| TenantId::parse(&tenant).ok()))
    ///     }
    /// });
    /// # }
    /// ```
    pub fn bound_to<R, M>(mut self, caller: impl Fn(&Parts) -> R + Send + Sync + 'static) -> Self
    where
        R: BoundTo<M>,
    {
        self.gate.add_bound(move |parts: &Parts| Box::pin(caller(parts).caller_tenant()));
        self
    }

    /// Sets a hook that decides whether the caller may use the tenant. It runs after the tenant was
    /// found and before the inner service is called. Default: every caller may.
    ///
    /// The hook also runs for a suspended tenant, with a handle on which no statement can run; only
    /// callers that the hook accepts learn that it is suspended.
    ///
    /// It is either a closure or a type that implements [`Authorize`]. Unless it returns `Ok(())`,
    /// the inner service is not called. A second hook replaces the first.
    pub fn authorize(mut self, hook: impl Authorize) -> Self {
        let hook = Arc::new(hook);
        self.gate.set_authorize(move |db: &TenantDb, parts: &Parts| {
            let hook = Arc::clone(&hook);
            Box::pin(async move { hook.authorize(db, parts).await })
        });
        self
    }

    /// Lets operators act for another tenant, whose id this resolver reads, usually from a header.
    /// Default: only the request's own id counts.
    ///
    /// The hook gets the [`Switch`](crate::Switch) and the request, as `&Parts`, and decides before
    /// the tenant is looked up: a rejection, which is a 403, does not reveal whether the tenant
    /// exists. It must identify the caller by something that an outer layer verified, such as a
    /// role in a session or token, and not by the request itself. A caller that it accepts may use
    /// *every* tenant that it allows.
    ///
    /// | for a request that switches | |
    /// |---|---|
    /// | its own id | optional; if present, [`bound_to`](Self::bound_to) compares it with the session or token |
    /// | [`authorize`](Self::authorize) | is not called, because an operator is not a member of the tenant |
    /// | an unknown or suspended tenant | 404 and 403, as for every caller |
    /// | the log | a line at `info` with the fields `tenant` and `from` for each request served, at `warn` for each one refused |
    /// | the extensions | contain the [`Switch`](crate::Switch) next to the handle |
    ///
    /// An id that equals the request's own is not a switch. A second call replaces the first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use http::request::Parts;
    /// use tenantry_tower::{AuthorizeError, Switch, TenantLayer, resolve::Header};
    ///
    /// /// Verified by an outer layer.
    /// #[derive(Clone)]
    /// struct Login {
    ///     is_support: bool,
    /// }
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let act_as = Header::from_static("x-act-as-tenant");
    /// let layer = TenantLayer::new(manager).switch(act_as, |_: &Switch, parts: &Parts| {
    ///     let login = parts.extensions.get::<Login>();
    ///     let is_support = login.is_some_and(|login| login.is_support);
    ///     async move { if is_support { Ok(()) } else { Err(AuthorizeError::Denied) } }
    /// });
    /// # }
    /// ```
    pub fn switch<F, V>(mut self, to: impl Resolve, hook: F) -> Self
    where
        F: Fn(&Switch, &Parts) -> V + Send + Sync + 'static,
        V: Future<Output = Result<(), AuthorizeError>> + Send + 'static,
    {
        self.gate.set_switch(
            move |parts: &Parts| to.resolve(parts),
            move |switch: &Switch, parts: &Parts| Box::pin(hook(switch, parts)),
        );
        self
    }

    /// Lets requests without a tenant id pass, without a handle. By default they are rejected.
    ///
    /// A malformed, unknown or suspended id, or one that is not the caller's, is still rejected. A
    /// request without an id carries [`NoTenant`](crate::NoTenant) instead of a handle, and the
    /// [`SharedDb`](tenantry::SharedDb).
    pub fn optional(mut self) -> Self {
        self.gate.set_presence(Presence::Optional);
        self
    }

    /// Sets the response to a rejected request. Default: [`ProblemJson`].
    ///
    /// Required if the response body cannot be created from a `String`, as in tonic.
    ///
    /// # Examples
    ///
    /// Hiding from strangers which tenants exist:
    ///
    /// ```no_run
    /// use http::StatusCode;
    /// use tenantry_tower::{Problem, Rejection, RejectionKind, TenantLayer};
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let layer = TenantLayer::new(manager).on_rejection(|rejection: &Rejection| {
    ///     let problem = match rejection.kind() {
    ///         RejectionKind::Unknown | RejectionKind::Suspended | RejectionKind::Denied => {
    ///             Problem::new(StatusCode::NOT_FOUND)
    ///         }
    ///         _ => rejection.problem(),
    ///     };
    ///     problem.to_response::<String>()
    /// });
    /// # }
    /// ```
    pub fn on_rejection<F, B>(self, respond: F) -> TenantLayer<F>
    where
        F: Fn(&Rejection) -> Response<B>,
    {
        TenantLayer { gate: self.gate, respond }
    }
}

impl<S, P: Clone> Layer<S> for TenantLayer<P> {
    type Service = TenantService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        TenantService::new(inner, Arc::new(self.gate.clone()), self.respond.clone())
    }
}

impl<P> fmt::Debug for TenantLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantLayer").field("gate", &self.gate).finish_non_exhaustive()
    }
}
