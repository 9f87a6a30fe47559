use std::{borrow::Cow, fmt, time::Duration};

use serde_json::json;

/// A problem document: the error format of [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457).
///
/// # Examples
///
/// ```
/// use tenantry::admission::Problem;
///
/// let problem = Problem::new(404, "Not Found").detail("there is no such user");
/// assert_eq!(
///     problem.to_json(),
///     r#"{"detail":"there is no such user","status":404,"title":"Not Found","type":"about:blank"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a problem has to be turned into a response"]
pub struct Problem {
    status: u16,
    kind: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// The content type of the document.
    pub const CONTENT_TYPE: &str = "application/problem+json";

    /// Creates a problem without information beyond its status: of type `about:blank`, titled with
    /// the status phrase.
    pub fn new(status: u16, phrase: &'static str) -> Self {
        Self { status, kind: "about:blank", title: phrase, detail: None, retry_after: None }
    }

    /// Sets the type, a URI that identifies the kind of problem for clients, and a title for
    /// people. Both are the same for all problems of a kind.
    pub fn kind(mut self, uri: &'static str, title: &'static str) -> Self {
        self.kind = uri;
        self.title = title;
        self
    }

    /// Sets the details of this occurrence. The client reads them: do not include text from the
    /// database.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Sets the delay before a retry.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status
    }

    /// Returns a one-line message for people: the detail, otherwise the title. For formats other
    /// than JSON, such as the message of a gRPC status.
    #[must_use]
    pub fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.title)
    }

    /// Returns the value of `Retry-After`, if it is set: whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }

    /// Serializes the document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut document = json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status,
        });
        if let Some(detail) = &self.detail {
            document["detail"] = json!(detail);
        }
        document.to_string()
    }
}

/// Writes the status, the title and the detail.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

/// Rounds up, so that clients do not return too early; zero would make them retry at once.
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
        let problem = Problem::new(503, "Service Unavailable")
            .kind("urn:x", "Busy")
            .detail("a \"quote\"\n")
            .retry_after(Duration::from_millis(1_500));
        assert_eq!(problem.status_code(), 503);
        assert_eq!(problem.retry_after_seconds(), Some(2));
        let document: serde_json::Value = serde_json::from_str(&problem.to_json()).unwrap();
        let expected =
            json!({"type": "urn:x", "title": "Busy", "status": 503, "detail": "a \"quote\"\n"});
        assert_eq!(document, expected);
    }
}
