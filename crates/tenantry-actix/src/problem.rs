use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
};
use tenantry::{admission, problem_of_framework};

problem_of_framework! {
    /// A problem document: the error format of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
    ///
    /// The middleware and the extractors answer with it; an application may do so too, so that its
    /// clients find one format.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::http::StatusCode;
    /// use tenantry_actix::Problem;
    ///
    /// let problem = Problem::new(StatusCode::NOT_FOUND).detail("there is no such user");
    /// let response = problem.to_response();
    /// assert_eq!(response.status(), StatusCode::NOT_FOUND);
    /// assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
    /// ```
    pub struct Problem(StatusCode);
}

impl Problem {
    /// Creates the response: `application/problem+json`, with `Retry-After` if that is known.
    #[must_use]
    pub fn to_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CONTENT_TYPE, admission::Problem::CONTENT_TYPE));
        if let Some(seconds) = self.document.retry_after_seconds() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.body(self.document.to_json())
    }
}
