//! Requests to actix-web applications as the test's tenant.

use std::fmt;

use actix_http::Request;
use actix_web::{
    HttpResponse,
    body::{MessageBody, to_bytes},
    dev::{Service, ServiceResponse},
    test::TestRequest,
    web::Bytes,
};

use crate::TestTenant;

impl TestTenant {
    /// Starts building a request with the tenant's [header](Self::header).
    ///
    /// # Examples
    ///
    /// ```no_run,test_harness
    /// use actix_web::{App, http::StatusCode, test};
    /// use tenantry_test::TestTenant;
    ///
    /// # fn routes(_: &mut actix_web::web::ServiceConfig) {}
    /// #[tenantry_test::test(migrations = "migrations")]
    /// async fn users_are_listed(t: TestTenant) {
    ///     let middleware = tenantry_actix::TenantMiddleware::new(t.manager.clone());
    ///     let app = test::init_service(App::new().wrap(middleware).configure(routes)).await;
    ///     let response = t.call_actix(&app, t.actix_request().uri("/users")).await;
    ///     assert_eq!(response.status(), StatusCode::OK);
    ///     assert_eq!(response.body(), "[]");
    /// }
    /// ```
    pub fn actix_request(&self) -> TestRequest {
        TestRequest::default().insert_header(self.header())
    }

    /// Sends a request to an application created by [`init_service`](actix_web::test::init_service), and reads the
    /// complete response.
    ///
    /// The response is recorded as [read](Self::has_read) by this tenant. An error returned by a middleware becomes
    /// the response that a client would get.
    ///
    /// # Panics
    ///
    /// If the body of the response fails.
    pub async fn call_actix<S, B>(&self, app: &S, request: TestRequest) -> HttpResponse<Bytes>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody<Error: fmt::Debug>,
    {
        let request = request.to_request();
        let what = format!("the response to {} {}", request.method(), request.uri());
        match app.call(request).await {
            Ok(response) => self.read(what, response.into_parts().1).await,
            Err(error) => self.read(what, error.error_response()).await,
        }
    }

    async fn read<B>(&self, what: String, response: HttpResponse<B>) -> HttpResponse<Bytes>
    where
        B: MessageBody<Error: fmt::Debug>,
    {
        self.world.note_read(what.clone(), format!("{:?}", response.headers()).as_bytes());
        let (head, body) = response.into_parts();
        let body = to_bytes(body).await;
        let body = body.unwrap_or_else(|_| panic!("{what}: its body cannot be read"));
        self.world.note_read(what, &body);
        head.set_body(body)
    }
}
