//! Request bodies, which no transaction must wait for.

use std::{
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
};

use actix_web::{
    HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::{
        Method, Version,
        header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    },
    web::Bytes,
};
use futures_util::Stream;

use crate::tenant_rejection::TxRejection;

/// Rejects a request with a body, and hides a body that no header announces from other extractors.
pub(crate) fn refuse(request: &HttpRequest, payload: &mut Payload) -> Result<(), TxRejection> {
    match announces_body(request) || is_taken(request, payload) {
        true => Err(unread(request)),
        false => {
            drop(payload.take());
            Ok(())
        }
    }
}

/// Takes the body, to be read through a watcher.
pub(crate) fn watch(
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<(Payload, Unread), TxRejection> {
    if is_taken(request, payload) {
        return Err(unread(request));
    }
    let payload = payload.take();
    if matches!(payload, Payload::None) {
        return Ok((payload, Unread(Weak::new())));
    }
    let mark = Rc::new(Mark);
    let unread = Unread(Rc::downgrade(&mark));
    let payload = Box::pin(Watched { payload, mark: Some(mark) });
    Ok((Payload::Stream { payload }, unread))
}

/// Knows whether a body was read to its end or dropped.
pub(crate) struct Unread(Weak<Mark>);

/// Alive while the body is neither read to its end nor dropped.
struct Mark;

impl Unread {
    /// Checks that no extractor keeps an unread body.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), TxRejection> {
        match self.0.strong_count() {
            0 => Ok(()),
            _ => Err(unread(request)),
        }
    }
}

/// Creates the rejection, and logs it here: inside an `Option`, actix creates no response from it.
fn unread(request: &HttpRequest) -> TxRejection {
    let rejection = TxRejection::UnreadBody;
    tracing::error!(path = request.path(), "{rejection}");
    rejection
}

fn announces_body(request: &HttpRequest) -> bool {
    let length = request.headers().get(CONTENT_LENGTH);
    let is_zero = |length: &str| length.trim().parse() == Ok(0_u64);
    length.is_some_and(|length| !length.to_str().is_ok_and(is_zero))
        || request.headers().contains_key(TRANSFER_ENCODING)
}

/// Returns `true` if another extractor already has the body, which may still be arriving.
fn is_taken(request: &HttpRequest, payload: &Payload) -> bool {
    matches!(payload, Payload::None) && (announces_body(request) || may_go_on(request))
}

/// Returns `true` if the request may have a body that no header announces.
fn may_go_on(request: &HttpRequest) -> bool {
    request.version() >= Version::HTTP_2 && !request.headers().contains_key(CONTENT_LENGTH)
        || request.headers().contains_key(UPGRADE)
        || *request.method() == Method::CONNECT
}

struct Watched {
    payload: Payload,
    mark: Option<Rc<Mark>>,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(Pin::new(&mut self.payload).poll_next(cx));
        if !matches!(chunk, Some(Ok(_))) {
            self.mark = None;
        }
        Poll::Ready(chunk)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn refused(request: TestRequest, mut payload: Payload) -> bool {
        let refused = refuse(&request.to_http_request(), &mut payload).is_err();
        assert!(refused || matches!(payload, Payload::None), "another extractor can read it");
        refused
    }

    fn some() -> Payload {
        Payload::from(Bytes::from_static(b"x"))
    }

    #[test]
    fn a_body_that_is_announced_is_refused_whoever_reads_it() {
        for length in ["1", "5", "x", "00005"] {
            let request = || TestRequest::post().insert_header((CONTENT_LENGTH, length));
            assert!(refused(request(), some()), "{length}");
            assert!(refused(request(), Payload::None), "{length}");
        }
        let chunked = || TestRequest::post().insert_header((TRANSFER_ENCODING, "chunked"));
        assert!(refused(chunked(), some()));
        assert!(refused(chunked(), Payload::None));
    }

    #[test]
    fn no_body_is_fine() {
        assert!(!refused(TestRequest::post(), Payload::None));
        assert!(!refused(TestRequest::post().insert_header((CONTENT_LENGTH, "0")), Payload::None));
    }

    #[test]
    fn a_body_that_need_not_be_announced_is_nobodys() {
        let http2 = || TestRequest::delete().version(Version::HTTP_2);
        let upgrade = || TestRequest::get().insert_header((UPGRADE, "websocket"));
        let connect = || TestRequest::default().method(Method::CONNECT);
        assert!(!refused(http2(), some()));
        assert!(!refused(upgrade(), some()));
        assert!(!refused(connect(), some()));
        // Another extractor has it, and may be waiting for it.
        assert!(refused(http2(), Payload::None));
        assert!(refused(upgrade(), Payload::None));
        assert!(refused(connect(), Payload::None));
        let empty = http2().insert_header((CONTENT_LENGTH, "0"));
        assert!(!refused(empty, Payload::None));
    }
}
