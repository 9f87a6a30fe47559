use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tenantry::TenantDb;

use super::{ContextBody, within};

pin_project! {
    /// The response of a [`ContextService`](super::ContextService).
    ///
    /// # Cancel safety
    ///
    /// As safe as the inner service's future.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ContextFuture<F> {
        #[pin]
        response: F,
        db: Option<TenantDb>,
    }
}

impl<F> ContextFuture<F> {
    pub(super) fn new(response: F, db: Option<TenantDb>) -> Self {
        Self { response, db }
    }
}

impl<F, B, E> Future for ContextFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ContextBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(within(this.db.as_ref(), || this.response.poll(cx)))?;
        let db = this.db.take();
        Poll::Ready(Ok(response.map(|body| ContextBody::new(body, db))))
    }
}
