use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use tenantry::{
    TenantDb, TenantManager,
    admission::{AuthorizeError, Presence, Switch},
};

use crate::{
    authorize::Authorize,
    bound::BoundTo,
    gate::{self, Gate},
    resolve::{Header, Resolve},
    respond::{ProblemJson, Respond},
};

/// Determines the tenant of each request, and rejects requests without one.
///
/// It goes into `wrap` of an [`App`](actix_web::App), a [`Scope`](actix_web::Scope) or a
/// [`Resource`](actix_web::Resource). By default the id is that of the header `x-tenant-id`, every
/// request must have one, everybody may use every tenant, and rejections are problem documents. See
/// the [crate's documentation](crate) for what happens to a request, and why a header from outside is
/// only a hint.
///
/// It can be made once and cloned into every worker, or be made in the closure that makes the app; what
/// it is given (resolver, hook) is shared by all workers, so it is `Send` and `Sync`. Futures need not
/// be.
///
/// # Examples
///
/// ```no_run
/// use actix_web::{App, HttpServer, web};
/// use tenantry::TenantManager;
/// use tenantry_actix::{CurrentTenant, TenantMiddleware};
///
/// async fn serve(manager: TenantManager) -> std::io::Result<()> {
///     HttpServer::new(move || {
///         let tenant = async |CurrentTenant(tenant): CurrentTenant| tenant.id().to_string();
///         App::new()
///             .wrap(TenantMiddleware::new(manager.clone()))
///             .route("/tenant", web::get().to(tenant))
///     })
///     .bind(("127.0.0.1", 3000))?
///     .run()
///     .await
/// }
/// ```
#[derive(Clone)]
#[must_use = "a middleware does nothing until something is wrapped in it"]
pub struct TenantMiddleware {
    gate: Gate,
    respond: Arc<dyn Respond>,
}

impl TenantMiddleware {
    /// Creates a middleware that looks up tenants with this manager.
    pub fn new(manager: TenantManager) -> Self {
        let header = Header::default();
        Self {
            gate: Gate::new(manager, move |request: &ServiceRequest| header.resolve(request)),
            respond: Arc::new(ProblemJson::default()),
        }
    }

    /// Sets the source of the tenant id. Default: [`Header`], the header `x-tenant-id`.
    ///
    /// See [`resolve`](crate::resolve) for the resolvers; a closure is one, too.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.gate.set_resolver(move |request: &ServiceRequest| resolver.resolve(request));
        self
    }

    /// Requires the caller's session or token to belong to the requested tenant. Default: no check.
    ///
    /// Use it wherever callers sign in. Without it, a request with a session cookie of tenant A and
    /// the header of tenant B is served from B's database. Ids that are the same in every tenant,
    /// such as that of a seeded administrator, then refer to a different person.
    ///
    /// The closure takes the request, as `&ServiceRequest`, and returns the tenant of the caller's
    /// session or token, as a value or a future; see [`BoundTo`] for the types. It can return an `async`
    /// block, but cannot be an `async` closure, whose future would borrow from the request.
    ///
    /// | it returns | the response |
    /// |---|---|
    /// | the requested tenant | that of the inner service |
    /// | another tenant | 403, [`NotBound`](crate::RejectionKind::NotBound) |
    /// | `None` | 403, [`NotBound`](crate::RejectionKind::NotBound) |
    /// | an error | 503 or 500, depending on the error |
    ///
    /// `None` is rejected because an anonymous caller and a session middleware that has not run yet
    /// look the same: actix-session returns an empty session before it has run. So this middleware
    /// must be *inside* the one that reads the session or verifies the token; outside of it, every
    /// request is rejected. Put routes for callers who are not signed in, such as the login, on a
    /// middleware without `bound_to`.
    ///
    /// The closure is called before the catalog look-up and before [`authorize`](Self::authorize):
    /// a rejection costs no look-up and does not reveal whether the tenant exists. It must return a
    /// tenant that was stored at sign-in or is part of a signed token, never one that it reads from
    /// the request itself.
    ///
    /// A second call adds a check: every closure must return the requested tenant. To accept a
    /// session *or* a token, put both into one closure. Nested middlewares each check the tenant
    /// that they find, so each needs its own.
    ///
    /// With [`optional`](Self::optional), a request without a tenant id passes unchecked and gets
    /// no handle. Handlers of such requests must not use a user id from the session, because it is
    /// an id within some tenant.
    ///
    /// # Examples
    ///
    /// A session of actix-session. Its middleware must be outside of this one, so wrap it *after*
    /// this one:
    ///
    /// ```no_run
    /// use actix_session::{SessionExt, SessionMiddleware, storage::CookieSessionStore};
    /// use actix_web::{App, cookie::Key};
    /// use tenantry::TenantId;
    /// use tenantry_actix::TenantMiddleware;
    ///
    /// # fn example(manager: tenantry::TenantManager, key: Key) {
    /// let middleware = TenantMiddleware::new(manager).bound_to(|request| {
    ///     let tenant = request.get_session().get::<String>("tenant").ok()??;
    ///     TenantId::parse(&tenant).ok()
    /// });
    /// let app = App::new()
    ///     .wrap(middleware)
    ///     .wrap(SessionMiddleware::new(CookieSessionStore::default(), key));
    /// # }
    /// ```
    ///
    /// A token that an outer middleware verified, checked against a list of revoked tokens. The
    /// future must not borrow from the request, so extract what it needs first:
    ///
    /// ```no_run
    /// use actix_web::HttpMessage;
    /// use tenantry::{Error, TenantId};
    /// use tenantry_actix::TenantMiddleware;
    ///
    /// #[derive(Clone)]
    /// struct Claims {
    ///     tenant: TenantId,
    /// }
    /// # async fn is_revoked(_: &Claims) -> Result<bool, std::io::Error> { Ok(false) }
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let middleware = TenantMiddleware::new(manager).bound_to(|request| {
    ///     let claims = request.extensions().get::<Claims>().cloned();
    ///     async move {
    ///         let Some(claims) = claims else { return Ok(None) };
    ///         // An unavailable list is a 503, and signs nobody out.
    ///         let revoked = is_revoked(&claims).await.map_err(Error::catalog)?;
    ///         Ok((!revoked).then_some(claims.tenant))
    ///     }
    /// });
    /// # }
    /// ```
    pub fn bound_to<R, M>(
        mut self,
        caller: impl Fn(&ServiceRequest) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: BoundTo<M>,
    {
        self.gate
            .add_bound(move |request: &ServiceRequest| Box::pin(caller(request).caller_tenant()));
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
        self.gate.set_authorize(move |db: &TenantDb, request: &ServiceRequest| {
            let hook = Arc::clone(&hook);
            Box::pin(async move { hook.authorize(db, request).await })
        });
        self
    }

    /// Lets operators act for another tenant, whose id this resolver reads, usually from a header.
    /// Default: only the request's own id counts.
    ///
    /// The hook gets the [`Switch`](crate::Switch) and the request, as `&ServiceRequest`, and
    /// decides before the tenant is looked up: a rejection, which is a 403, does not reveal whether
    /// the tenant exists. It must identify the caller by something that an outer middleware
    /// verified, such as a role in a session or token, and not by the request itself. A caller that
    /// it accepts may use *every* tenant that it allows.
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
    /// use actix_web::{HttpMessage, dev::ServiceRequest};
    /// use tenantry_actix::{AuthorizeError, Switch, TenantMiddleware, resolve::Header};
    ///
    /// /// Verified by an outer middleware.
    /// struct Login {
    ///     is_support: bool,
    /// }
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let act_as = Header::from_static("x-act-as-tenant");
    /// let middleware =
    ///     TenantMiddleware::new(manager).switch(act_as, |_: &Switch, request: &ServiceRequest| {
    ///         let extensions = request.extensions();
    ///         let is_support = extensions.get::<Login>().is_some_and(|login| login.is_support);
    ///         async move { if is_support { Ok(()) } else { Err(AuthorizeError::Denied) } }
    ///     });
    /// # }
    /// ```
    pub fn switch<F, V>(mut self, to: impl Resolve, hook: F) -> Self
    where
        F: Fn(&Switch, &ServiceRequest) -> V + Send + Sync + 'static,
        V: Future<Output = Result<(), AuthorizeError>> + 'static,
    {
        self.gate.set_switch(
            move |request: &ServiceRequest| to.resolve(request),
            move |switch: &Switch, request: &ServiceRequest| Box::pin(hook(switch, request)),
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
    /// # Examples
    ///
    /// Hiding from strangers which tenants exist:
    ///
    /// ```no_run
    /// use actix_web::http::StatusCode;
    /// use tenantry_actix::{Problem, Rejection, RejectionKind, TenantMiddleware};
    ///
    /// # fn example(manager: tenantry::TenantManager) {
    /// let middleware = TenantMiddleware::new(manager).on_rejection(|rejection: &Rejection| {
    ///     let problem = match rejection.kind() {
    ///         RejectionKind::Unknown | RejectionKind::Suspended | RejectionKind::Denied => {
    ///             Problem::new(StatusCode::NOT_FOUND)
    ///         }
    ///         _ => rejection.problem(),
    ///     };
    ///     problem.to_response()
    /// });
    /// # }
    /// ```
    pub fn on_rejection(mut self, respond: impl Respond) -> Self {
        self.respond = Arc::new(respond);
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for TenantMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = TenantService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(TenantService { service: Rc::new(service), middleware: Rc::new(self.clone()) }))
    }
}

impl fmt::Debug for TenantMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantMiddleware").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// A service whose requests have a tenant, created by a
/// [`TenantMiddleware`](crate::TenantMiddleware).
pub struct TenantService<S> {
    /// Shared with the requests that are being admitted.
    service: Rc<S>,
    middleware: Rc<TenantMiddleware>,
}

impl<S, B> Service<ServiceRequest> for TenantService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    forward_ready!(service);

    /// # Cancel safety
    ///
    /// As safe as the inner service's future, the `bound_to` closures and the authorize hook.
    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, middleware) = (Rc::clone(&self.service), Rc::clone(&self.middleware));
        Box::pin(async move {
            match gate::admit(&middleware.gate, &request).await {
                Ok(served) => {
                    let mut response = service.call(request).await?;
                    if let Some(served) = served {
                        served.answer(&mut response);
                    }
                    Ok(response.map_into_left_body())
                }
                // A response and not an error, so that outer middlewares (CORS, compression)
                // handle it like every other response.
                Err(rejection) => {
                    rejection.log();
                    let response = middleware.respond.respond(&rejection);
                    Ok(request.into_response(response).map_into_right_body())
                }
            }
        })
    }
}

impl<S> fmt::Debug for TenantService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantService").field("gate", &self.middleware.gate).finish_non_exhaustive()
    }
}
