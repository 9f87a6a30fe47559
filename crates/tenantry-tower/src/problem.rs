use std::{borrow::Cow, time::Duration};

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use tenantry::admission;

/// A problem document: the error format of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
///
/// The layer and the extractors answer with it; an application may do so too, so that its clients
/// find one format.
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a problem has to be turned into a response"]
pub struct Problem {
    status: StatusCode,
    document: admission::Problem,
}

impl Problem {
    /// Makes a problem that says no more than its status does: of type `about:blank`, titled with the
    /// status' own phrase.
    pub fn new(status: StatusCode) -> Self {
        let phrase = status.canonical_reason().unwrap_or("Unknown problem");
        Self { status, document: admission::Problem::new(status.as_u16(), phrase) }
    }

    /// Sets the type, a URI by which clients tell problems apart, and a title for people. Both are
    /// the same for all problems of a kind.
    pub fn kind(self, uri: &'static str, title: &'static str) -> Self {
        Self { document: self.document.kind(uri, title), ..self }
    }

    /// Sets what is to say about this very problem. The client reads it: no words of the database.
    pub fn detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { document: self.document.detail(detail), ..self }
    }

    /// Sets after which time to try again. It is sent in whole seconds, rounded up, at least one.
    pub fn retry_after(self, after: Duration) -> Self {
        Self { document: self.document.retry_after(after), ..self }
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the document without the types of the crate `http`, for adapters on top of this one.
    pub fn into_core(self) -> admission::Problem {
        self.document
    }

    /// Makes the response: `application/problem+json`, with `Retry-After` where that is known.
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

impl From<admission::Problem> for Problem {
    fn from(document: admission::Problem) -> Self {
        Self { status: status_of(document.status_code()), document }
    }
}

/// Returns the status that the core means. Its codes are all of HTTP's own.
pub(crate) fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
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
