use std::error::Error as StdError;

use serde::Serialize;

use crate::admission::Problem;

/// The response of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an answer has to be turned into a response"]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    challenge: Option<&'static str>,
    body: String,
}

impl Answer {
    /// The value of `cache-control` of every response, which must not be stored.
    pub const CACHE_CONTROL: &str = "no-store";

    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, challenge: None, body: body.into() }
    }

    pub(super) fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => Self::new(status, "application/json", json),
            Err(error) => Self::failure(&error, "the report cannot be written"),
        }
    }

    pub(super) fn unauthorized(challenge: &'static str) -> Self {
        let answer = Self::problem(&Problem::new(401, "Unauthorized"));
        Self { challenge: Some(challenge), ..answer }
    }

    /// Logs the details that the response omits.
    pub(super) fn failure(error: &(dyn StdError + 'static), what: &'static str) -> Self {
        tracing::error!(error, "{what}");
        Self::problem(&Problem::new(500, "Internal Server Error"))
    }

    fn problem(problem: &Problem) -> Self {
        Self::new(problem.status_code(), Problem::CONTENT_TYPE, problem.to_json())
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status
    }

    /// Returns the value of `content-type`.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// Returns the value of `www-authenticate`, if it is set.
    #[must_use]
    pub fn challenge(&self) -> Option<&'static str> {
        self.challenge
    }

    /// Returns the body of the response.
    #[must_use]
    pub fn into_body(self) -> String {
        self.body
    }
}
