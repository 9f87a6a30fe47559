//! Handlers that end when their connection is cut.
//!
//! A cut connection fails at its next read or write. While a handler runs and unread bytes of the
//! client are buffered, such as a body that the handler ignores, hyper does neither. So handlers
//! check for the cut themselves. A streamed body needs no check: the cut wakes the connection, as
//! the handler has requested, and hyper, which polls the body, flushes at the same time.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use http::StatusCode;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{connections::Watch, guarded::GuardedIo};

/// Creates the service of each connection, which ends when the connection is cut.
#[derive(Clone)]
pub(super) struct MakeCuttable<M>(pub(super) M);

impl<'a, L, T, M, S> Service<IncomingStream<'a, L>> for MakeCuttable<M>
where
    L: Listener<Io = GuardedIo<T>>,
    M: Service<IncomingStream<'a, L>, Error = Infallible, Response = S>,
{
    type Response = Cuttable<S>;
    type Error = Infallible;
    type Future = Making<M::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, stream: IncomingStream<'a, L>) -> Self::Future {
        let watch = stream.io().watch();
        Making { service: self.0.call(stream), watch: Some(watch) }
    }
}

pin_project! {
    pub(super) struct Making<F> {
        #[pin]
        service: F,
        // Taken when the service is ready.
        watch: Option<Watch>,
    }
}

impl<F, S> Future for Making<F>
where
    F: Future<Output = Result<S, Infallible>>,
{
    type Output = Result<Cuttable<S>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.service.poll(context).map_ok(|service| Cuttable { service, watch: this.watch.take() })
    }
}

/// The service of a connection.
#[derive(Clone)]
pub(super) struct Cuttable<S> {
    service: S,
    watch: Option<Watch>,
}

impl<S> Service<Request> for Cuttable<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Handling<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Handling { handler: Some(self.service.call(request)), watch: self.watch.clone() }
    }
}

pin_project! {
    /// A handler that is dropped when its connection is cut.
    pub(super) struct Handling<F> {
        #[pin]
        handler: Option<F>,
        watch: Option<Watch>,
    }
}

impl<F> Future for Handling<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let is_cut = this.watch.as_ref().is_some_and(|watch| watch.is_cut(context.waker()));
        let Some(handler) = this.handler.as_mut().as_pin_mut().filter(|_| !is_cut) else {
            // Drops the handler's state; its client gets no response any more.
            this.handler.set(None);
            return Poll::Ready(Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()));
        };
        handler.poll(context)
    }
}
