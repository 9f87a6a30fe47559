use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tenantry::{TenantDb, admission::NoTenant};
use tower_layer::Layer;
use tower_service::Service;

use super::{ContextBody, ContextFuture, within};

/// Puts the tenant's handle in [scope](tenantry::context) while a request is served, for handlers
/// and for the streams of their responses.
///
/// [`context::current`](tenantry::context::current) then returns the handle to code that cannot
/// take it as an argument, such as the resolvers of a GraphQL schema. Pass the handle itself where
/// possible. Tasks that a handler spawns are not in the scope, nor is code that runs when a body is
/// dropped.
///
/// It belongs *inside* a [`TenantLayer`](crate::TenantLayer), so add it before that one; elsewhere
/// it does nothing and logs an error for each request. Without a tenant, as is possible inside an
/// [optional](crate::TenantLayer::optional) layer, there is no scope.
///
/// # Examples
///
/// ```no_run
/// use tenantry_tower::{ContextLayer, TenantLayer};
/// use tower::ServiceBuilder;
///
/// # fn example(manager: tenantry::TenantManager) {
/// // Outermost first. With axum: `routes.layer(ContextLayer::new()).layer(TenantLayer::new(manager))`.
/// let layers = ServiceBuilder::new().layer(TenantLayer::new(manager)).layer(ContextLayer::new());
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a layer does nothing until it is applied to a service"]
#[non_exhaustive]
pub struct ContextLayer {}

impl ContextLayer {
    /// Makes the layer.
    pub fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = ContextService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextService { inner }
    }
}

/// A service whose requests have their tenant in scope; made by a [`ContextLayer`].
#[derive(Debug, Clone)]
pub struct ContextService<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ContextService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ContextBody<ResBody>>;
    type Error = S::Error;
    type Future = ContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let db = tenant_of(request.extensions());
        let response = within(db.as_ref(), || self.inner.call(request));
        ContextFuture::new(response, db)
    }
}

fn tenant_of(extensions: &Extensions) -> Option<TenantDb> {
    let db = extensions.get::<TenantDb>().cloned();
    if db.is_none() && extensions.get::<NoTenant>().is_none() {
        tracing::error!(
            "no TenantLayer around a ContextLayer: add .layer(TenantLayer::new(manager)) after it"
        );
    }
    db
}
