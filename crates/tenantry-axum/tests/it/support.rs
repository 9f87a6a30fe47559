//! Requests to an application on top of a database with tenants, and its log.

use std::{cell::RefCell, io, sync::Once};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::Value;
pub(crate) use tenantry_acceptance::world::{World, eventually, offline};
use tower::ServiceExt;

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Reads the body as a problem document, after checking that it is one.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let document: Value = serde_json::from_str(&self.body).expect("the body is JSON");
        assert_eq!(document["status"], self.status.as_u16(), "{document}");
        assert!(document["title"].is_string(), "{document}");
        document
    }

    /// The last part of the problem's type.
    pub(crate) fn problem_type(&self) -> String {
        let document = self.problem();
        let uri = document["type"].as_str().expect("a problem has a type");
        uri.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.expect("a router never fails");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("the body ends");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.into()).expect("the body is text"),
    }
}

/// Sends a request for a tenant.
pub(crate) async fn request(app: &Router, method: Method, path: &str, tenant: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-tenant-id", tenant)
        .body(Body::empty());
    send(app, request.expect("the request is sound")).await
}

pub(crate) async fn get(app: &Router, path: &str, tenant: &str) -> Answer {
    request(app, Method::GET, path, tenant).await
}

/// Sends a request that names no tenant.
pub(crate) async fn get_without_tenant(app: &Router, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty());
    send(app, request.expect("the request is sound")).await
}

/// What this thread logs while the value lives.
///
/// One subscriber serves the whole program: with one a thread, tracing may take a call site that
/// another thread meets at the same time for one that nobody is interested in.
pub(crate) struct Log {}

static SUBSCRIBER: Once = Once::new();

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

impl Log {
    pub(crate) fn capture() -> Self {
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::DEBUG)
                .with_writer(|| Writer)
                .init();
        });
        WRITTEN.set(Some(Vec::new()));
        Self {}
    }

    pub(crate) fn text(&self) -> String {
        WRITTEN.with_borrow(|written| {
            String::from_utf8_lossy(written.as_deref().unwrap_or_default()).into_owned()
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        WRITTEN.set(None);
    }
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| {
            if let Some(written) = written {
                written.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
