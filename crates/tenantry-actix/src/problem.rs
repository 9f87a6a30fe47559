use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
};
use tenantry::admission;

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

    pub(crate) fn into_core(self) -> admission::Problem {
        self.document
    }

    /// Makes the response: `application/problem+json`, with `Retry-After` where that is known.
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

impl From<admission::Problem> for Problem {
    fn from(document: admission::Problem) -> Self {
        Self { status: status_of(document.status_code()), document }
    }
}

/// Returns the status that the core means. Its codes are all of HTTP's own.
pub(crate) fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
