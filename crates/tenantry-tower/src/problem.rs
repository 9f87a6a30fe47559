use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use tenantry::{admission, problem_of_framework};

problem_of_framework! {
    /// A problem document: the error format of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
    ///
    /// The layer and the extractors respond with it. An application can use it, too, so that its
    /// clients see a single format.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::StatusCode;
    /// use tenantry_tower::Problem;
    ///
    /// let problem = Problem::new(StatusCode::NOT_FOUND).detail("there is no such user");
    /// let response = problem.to_response::<String>();
    /// assert_eq!(response.headers()["content-type"], "application/problem+json");
    /// assert_eq!(
    ///     response.body(),
    ///     r#"{"detail":"there is no such user","status":404,"title":"Not Found","type":"about:blank"}"#
    /// );
    /// ```
    pub struct Problem(StatusCode);
}

impl Problem {
    /// Creates the response: `application/problem+json`, with `Retry-After` if that is known.
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.document.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(admission::Problem::CONTENT_TYPE);
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(seconds) = self.document.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sends_what_is_known() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .kind("urn:x", "Busy")
            .detail("a \"quote\"\n")
            .retry_after(Duration::from_millis(1_500));
        let response = problem.to_response::<String>();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let document = r#"{"detail":"a \"quote\"\n","status":503,"title":"Busy","type":"urn:x"}"#;
        assert_eq!(response.body(), document);
    }
}
