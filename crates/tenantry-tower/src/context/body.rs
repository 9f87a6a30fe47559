use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenantry::TenantDb;

use super::within;

pin_project! {
    /// A response body that is read with its tenant in scope, created by a
    /// [`ContextLayer`](super::ContextLayer).
    #[derive(Debug)]
    pub struct ContextBody<B> {
        #[pin]
        body: B,
        db: Option<TenantDb>,
    }
}

impl<B> ContextBody<B> {
    pub(super) fn new(body: B, db: Option<TenantDb>) -> Self {
        Self { body, db }
    }
}

impl<B: Default> Default for ContextBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

/// Lets an outer [`TenantLayer`](crate::TenantLayer) respond in its place.
impl<B: From<String>> From<String> for ContextBody<B> {
    fn from(text: String) -> Self {
        Self::new(text.into(), None)
    }
}

impl<B: Body> Body for ContextBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        within(this.db.as_ref(), || this.body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
