//! Requests to axum routers, or any other tower service, as the test's tenant.

use std::fmt;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, request};
use http_body_util::BodyExt as _;
use tower_service::Service;

use crate::TestTenant;

impl TestTenant {
    /// Starts building a request with the tenant's [header](Self::header).
    ///
    /// # Examples
    ///
    /// ```no_run,test_harness
    /// use axum::{Router, body::Body, http::{Method, StatusCode}};
    /// use tenantry_test::TestTenant;
    ///
    /// # fn app(manager: tenantry::TenantManager) -> Router { Router::new() }
    /// #[tenantry_test::test(migrations = "migrations")]
    /// async fn users_are_listed(t: TestTenant) -> Result<(), Box<dyn std::error::Error>> {
    ///     let app = app(t.manager.clone());
    ///     let request = t.request(Method::GET, "/users").body(Body::empty())?;
    ///     let response = t.call(&app, request).await;
    ///     assert_eq!(response.status(), StatusCode::OK);
    ///     assert_eq!(response.body(), "[]");
    ///     Ok(())
    /// }
    /// ```
    pub fn request(&self, method: Method, uri: &str) -> request::Builder {
        let (name, id) = self.header();
        Request::builder().method(method).uri(uri).header(name, id)
    }

    /// Sends a request to a router or another tower service, and reads the complete response.
    ///
    /// The response is recorded as [read](Self::has_read) by this tenant.
    ///
    /// # Panics
    ///
    /// If the service or the body of its response fails.
    pub async fn call<S, B>(&self, service: &S, request: Request<Body>) -> Response<Bytes>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: fmt::Debug> + Clone,
        B: http_body::Body<Error: fmt::Debug>,
    {
        let what = format!("the response to {} {}", request.method(), request.uri());
        let mut service = service.clone();
        let ready = std::future::poll_fn(|context| service.poll_ready(context)).await;
        ready.unwrap_or_else(|error| panic!("the service is not ready: {error:?}"));
        let response = service.call(request).await;
        let response = response.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let body = body.to_bytes();
        self.world.note_read(what, format!("{:?}", head.headers).as_bytes());
        self.world.note_read(format!("the body of {}", head.status), &body);
        Response::from_parts(head, body)
    }
}
