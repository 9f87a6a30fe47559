use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{
    future::ResponseFuture,
    gate::{self, Gate},
    rejection::Rejection,
    respond::{ProblemJson, Respond},
};

/// A service whose requests have a tenant, created by a [`TenantLayer`](crate::TenantLayer).
#[derive(Clone)]
pub struct TenantService<S, P = ProblemJson> {
    inner: S,
    gate: Arc<Gate>,
    respond: P,
}

impl<S, P> TenantService<S, P> {
    pub(crate) fn new(inner: S, gate: Arc<Gate>, respond: P) -> Self {
        Self { inner, gate, respond }
    }

    /// Returns the service that is called with admitted requests.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the service that is called with admitted requests.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn reject<ReqBody, ResBody>(&self, rejection: &Rejection) -> ResponseFuture<S, ReqBody, P>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        P: Respond<ResBody>,
    {
        rejection.log();
        ResponseFuture::rejected(self.respond.respond(rejection))
    }
}

impl<S, P, ReqBody, ResBody> Service<Request<ReqBody>> for TenantService<S, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    P: Respond<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match gate::target(&self.gate, &parts) {
            Ok(Some(target)) => {
                // The service that is ready must be called; its clone, which was not polled yet,
                // stays here.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let gate = Arc::clone(&self.gate);
                let admission = Box::pin(async move { gate::admit(&gate, target, parts).await });
                ResponseFuture::admitting(admission, inner, body, self.respond.clone())
            }
            Ok(None) => {
                gate::without_tenant(&self.gate, &mut parts);
                ResponseFuture::serving(self.inner.call(Request::from_parts(parts, body)))
            }
            Err(rejection) => self.reject(&rejection),
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for TenantService<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantService")
            .field("inner", &self.inner)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
