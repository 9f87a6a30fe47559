use std::{fmt, sync::Arc};

use http::Response;
use tenantry::{TenantManager, admission::Presence};
use tower_layer::Layer;

use crate::{
    authorize::Authorize,
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
        Self {
            gate: Gate {
                manager,
                resolver: Arc::new(Header::default()),
                authorize: None,
                presence: Presence::Required,
            },
            respond: ProblemJson::default(),
        }
    }
}

impl<P> TenantLayer<P> {
    /// Sets where the tenant id is read from. Default: [`Header`], the header `x-tenant-id`.
    ///
    /// See [`resolve`](crate::resolve) for what there is; a closure will do as well.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.gate.resolver = Arc::new(resolver);
        self
    }

    /// Asks whether the caller may use the tenant, after the tenant was found and before the inner
    /// service is called. Default: everybody may.
    ///
    /// It is either a closure or a type that implements [`Authorize`]. Whatever else than `Ok(())` it
    /// ends with, the inner service is not called. A second hook replaces the first.
    pub fn authorize(mut self, hook: impl Authorize) -> Self {
        self.gate.authorize = Some(Arc::new(hook));
        self
    }

    /// Lets requests without a tenant id pass, without a handle. By default they are refused.
    ///
    /// An id that *is* there and is malformed, unknown, suspended or not the caller's is refused all
    /// the same. The request carries [`NoTenant`](crate::NoTenant) instead of a handle.
    pub fn optional(mut self) -> Self {
        self.gate.presence = Presence::Optional;
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
