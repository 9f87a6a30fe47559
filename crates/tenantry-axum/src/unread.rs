//! Detects an extractor that keeps an unread body.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use axum_core::{Error, body::Body, extract::Request};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Knows whether a body was read to its end or dropped.
pub(crate) struct Unread(Weak<Mark>);

/// Alive while the body is neither read to its end nor dropped.
struct Mark;

impl Unread {
    /// Returns `true` if an extractor has the body and has not read all of it.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Watches the body of a request.
pub(crate) fn watch(request: Request) -> (Request, Unread) {
    if request.body().is_end_stream() {
        return (request, Unread(Weak::new()));
    }
    let mark = Arc::new(Mark);
    let unread = Unread(Arc::downgrade(&mark));
    (request.map(|body| Body::new(Watched { body, mark: Some(mark) })), unread)
}

struct Watched {
    body: Body,
    mark: Option<Arc<Mark>>,
}

impl HttpBody for Watched {
    type Data = <Body as HttpBody>::Data;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.mark = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
