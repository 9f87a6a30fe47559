use std::{borrow::Cow, time::Duration};

use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;

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
    kind: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// Makes a problem that says no more than its status does: of type `about:blank`, titled with the
    /// status' own phrase.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Unknown problem"),
            detail: None,
            retry_after: None,
        }
    }

    /// Sets the type, a URI by which clients tell problems apart, and a title for people. Both are
    /// the same for all problems of a kind.
    pub fn kind(mut self, uri: &'static str, title: &'static str) -> Self {
        self.kind = uri;
        self.title = title;
        self
    }

    /// Sets what is to say about this very problem. The client reads it: no words of the database.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets after which time to try again. It is sent in whole seconds, rounded up, at least one.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Makes the response: `application/problem+json`, with `Retry-After` where that is known.
    #[must_use]
    pub fn to_response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        response
    }

    fn to_json(&self) -> String {
        let mut document = json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status.as_u16(),
        });
        if let Some(detail) = &self.detail {
            document["detail"] = json!(detail);
        }
        document.to_string()
    }
}

/// Rounds up, so that nobody comes back too early; zero would invite them at once.
fn whole_seconds(time: Duration) -> u64 {
    let up = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(up).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_to_wait_at_least_as_long() {
        let cases = [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (30_000, 30)];
        for (millis, seconds) in cases {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn writes_what_is_known() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .kind("urn:x", "Busy")
            .detail("a \"quote\"\n")
            .retry_after(Duration::from_millis(1_500));
        let response = problem.to_response::<String>();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let document: serde_json::Value = serde_json::from_str(response.body()).unwrap();
        let expected =
            json!({"type": "urn:x", "title": "Busy", "status": 503, "detail": "a \"quote\"\n"});
        assert_eq!(document, expected);
    }
}
