use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, MessageBody},
    web::Bytes,
};
use pin_project_lite::pin_project;
use tenantry::TenantDb;

use super::within;

pin_project! {
    /// A response body that is read with its tenant in scope, created by a
    /// [`ContextMiddleware`](super::ContextMiddleware).
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

impl<B: MessageBody> MessageBody for ContextBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        within(this.db.as_ref(), || this.body.poll_next(cx))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, db } = self;
        body.try_into_bytes().map_err(|body| Self { body, db })
    }
}
