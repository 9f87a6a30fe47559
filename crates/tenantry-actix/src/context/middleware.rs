use std::future::{Ready, ready};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use tenantry::{TenantDb, admission::NoTenant};

use super::{ContextBody, ContextFuture, within};

/// Puts the tenant's handle in [scope](tenantry::context) while a request is served, for handlers
/// and for the streams of their responses.
///
/// [`context::current`](tenantry::context::current) then returns the handle to code that cannot
/// take it as an argument, such as the resolvers of a GraphQL schema. Pass the handle itself where
/// possible. Tasks that a handler spawns are not in the scope, nor is code that runs when a body is
/// dropped.
///
/// It belongs *inside* of a [`TenantMiddleware`](crate::TenantMiddleware), so its `wrap` comes before that
/// one's; elsewhere it does nothing and logs an error for each request. Without a tenant, where the
/// middleware is [optional](crate::TenantMiddleware::optional), there is no scope.
///
/// # Examples
///
/// ```no_run
/// use actix_web::{App, web};
/// use tenantry::context;
/// use tenantry_actix::{ContextMiddleware, DbError, TenantMiddleware};
///
/// async fn count() -> Result<String, DbError> {
///     let db = context::current()?;
///     let count: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&db).await?;
///     Ok(count.to_string())
/// }
///
/// # fn example(manager: tenantry::TenantManager) {
/// let app = App::new()
///     .wrap(ContextMiddleware::new())
///     .wrap(TenantMiddleware::new(manager))
///     .route("/count", web::get().to(count));
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use = "a middleware does nothing until something is wrapped in it"]
#[non_exhaustive]
pub struct ContextMiddleware {}

impl ContextMiddleware {
    /// Makes the middleware.
    pub fn new() -> Self {
        Self {}
    }
}

impl<S, B> Transform<S, ServiceRequest> for ContextMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ContextBody<B>>;
    type Error = Error;
    type Transform = ContextService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, Self::InitError>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(ContextService { service }))
    }
}

/// A service whose requests have their tenant in scope; made by a [`ContextMiddleware`].
#[derive(Debug)]
pub struct ContextService<S> {
    service: S,
}

impl<S, B> Service<ServiceRequest> for ContextService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ContextBody<B>>;
    type Error = Error;
    type Future = ContextFuture<S::Future>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let db = tenant_of(&request);
        let response = within(db.as_ref(), || self.service.call(request));
        ContextFuture::new(response, db)
    }
}

fn tenant_of(request: &ServiceRequest) -> Option<TenantDb> {
    let extensions = request.extensions();
    let db = extensions.get::<TenantDb>().cloned();
    if db.is_none() && extensions.get::<NoTenant>().is_none() {
        tracing::error!(
            path = request.path(),
            "no TenantMiddleware around a ContextMiddleware: add \
             .wrap(TenantMiddleware::new(manager)) after it"
        );
    }
    db
}
