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

/// Finds out which tenant a request is for, and refuses requests for which there is none.
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
    /// Makes a layer that finds tenants with this manager.
    pub fn new(manager: TenantManager) -> Self {
        let header = Header::default();
        Self {
            gate: Gate::new(manager, move |parts: &Parts| header.resolve(parts)),
            respond: ProblemJson::default(),
        }
    }
}

impl<P> TenantLayer<P> {
    /// Sets where the tenant id is read from. Default: [`Header`], the header `x-tenant-id`.
    ///
    /// See [`resolve`](crate::resolve) for what there is; a closure will do as well.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.gate.set_resolver(move |parts: &Parts| resolver.resolve(parts));
        self
    }

    /// Requires the caller's session or token to belong to the tenant that the request is for. Default:
    /// nothing is compared.
    ///
    /// Use it wherever callers sign in. Without it, a session cookie of tenant A that is sent with the
    /// header of tenant B is served from B's database, and ids that are the same in every tenant, such
    /// as that of a seeded administrator, then name another person.
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
    /// `None` is refused because an anonymous caller and a session layer that has not run yet look the
    /// same. So this layer has to be *inside* of the one that reads the session or verifies the token;
    /// outside of it, every request is refused. Routes for people who are not signed in, such as the
    /// login, go on a layer without `bound_to`.
    ///
    /// The closure is called before the catalog is asked and before [`authorize`](Self::authorize): a
    /// refusal costs no look-up and does not reveal whether the tenant exists. It must return a tenant
    /// that was stored at sign-in or that is part of a signed token, never one that it reads from the
    /// request itself.
    ///
    /// A second call adds a check and does not replace the first: every closure has to return the
    /// requested tenant. To accept a session *or* a token, put both into one closure. Of nested layers,
    /// each checks the tenant that it finds itself, so each needs its own.
    ///
    /// With [`optional`](Self::optional), a request without a tenant id passes unchecked: there is
    /// nothing to compare, and it gets no handle. Handlers of such requests must not take a user id from
    /// the session for one of their own, because it is an id within some tenant.
    ///
    /// # Examples
    ///
    /// A token that an outer layer has verified:
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
    /// A session whose store is asynchronous, as that of tower-sessions. What the future needs is taken
    /// out of the request first, because the future must not borrow from it:
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
    ///         // A store that is down is a 503, and does not sign anybody out.
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

    /// Asks whether the caller may use the tenant, after the tenant was found and before the inner
    /// service is called. Default: everybody may.
    ///
    /// A suspended tenant is asked about too, with a handle on which nothing can be run; that it is
    /// suspended is told only to callers whom the hook lets in.
    ///
    /// It is either a closure or a type that implements [`Authorize`]. Whatever else than `Ok(())` it
    /// ends with, the inner service is not called. A second hook replaces the first.
    pub fn authorize(mut self, hook: impl Authorize) -> Self {
        let hook = Arc::new(hook);
        self.gate.set_authorize(move |db: &TenantDb, parts: &Parts| {
            let hook = Arc::clone(&hook);
            Box::pin(async move { hook.authorize(db, parts).await })
        });
        self
    }

    /// Lets operators act for a tenant other than their own, by an id that this resolver reads: a header as a
    /// rule. Default: nothing but the request's own id counts.
    ///
    /// The hook gets the [`Switch`](crate::Switch) and the request, as `&Parts`, and decides before the tenant is
    /// looked up: a refusal, which is a 403, does not reveal whether it exists. It must know the caller from
    /// something that an outer layer has verified, such as a role in a session or token, and not from what the
    /// request says by itself. A caller that it lets in may use *every* tenant
    /// that it allows.
    ///
    /// | of a request that switches | |
    /// |---|---|
    /// | its own id | need not be there; where it is, [`bound_to`](Self::bound_to) compares it with the session or token |
    /// | [`authorize`](Self::authorize) | is not asked, since an operator is no member of the tenant |
    /// | an unknown or suspended tenant | 404 and 403, as for everybody |
    /// | the log | a line at `info` with the fields `tenant` and `from` for each request served, at `warn` for each one refused |
    /// | the extensions | have the [`Switch`](crate::Switch) beside the handle |
    ///
    /// An id to switch to that equals the request's own is no switch. A second call replaces the first.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use http::request::Parts;
    /// use tenantry_tower::{AuthorizeError, Switch, TenantLayer, resolve::Header};
    ///
    /// /// What a layer outside of this one has verified.
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

    /// Lets requests without a tenant id pass, without a handle. By default they are refused.
    ///
    /// An id that *is* there and is malformed, unknown, suspended or not the caller's is refused all
    /// the same. The request carries [`NoTenant`](crate::NoTenant) instead of a handle, and the
    /// [`SharedDb`](tenantry::SharedDb).
    pub fn optional(mut self) -> Self {
        self.gate.set_presence(Presence::Optional);
        self
    }

    /// Sets what is answered when a request is refused. Default: [`ProblemJson`].
    ///
    /// Needed where the response body cannot be made of a `String`, as in tonic.
    ///
    /// # Examples
    ///
    /// Not telling strangers which tenants exist:
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
