//! How serving ended.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::event::serialize_millis;

/// The result of serving, from the first connection to the closed manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServeReport {
    /// How it ended.
    pub end: ServeEnd,
    /// Number of connections that were open at the deadline and were cut. `None` if the framework
    /// does not report it, like actix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<usize>,
    /// Duration from the stop request until no connection was left.
    #[serde(rename = "drainMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub drain: Duration,
    /// Duration of closing the manager after that.
    #[serde(rename = "closeMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub close: Duration,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServeEnd {
    /// Every request in flight was answered.
    Drained,
    /// Some connections were still open at the deadline, and were cut.
    Cut,
    /// A second signal arrived: connections were closed at once, and the manager was closed without
    /// waiting for leases.
    ///
    /// The program has one second left to end by itself; then the process exits with 130 (Ctrl-C)
    /// or 143 (SIGTERM), unless
    /// [`exit_on_second_signal`](super::ServeOptions::exit_on_second_signal) is off.
    Forced,
}

impl ServeReport {
    /// Returns `true` if no request was cut.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.end == ServeEnd::Drained
    }
}

impl fmt::Display for ServeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.end, self.cut) {
            (ServeEnd::Drained, _) => f.write_str("all requests were answered"),
            (ServeEnd::Cut, Some(1)) => f.write_str("1 connection was closed at the deadline"),
            (ServeEnd::Cut, Some(cut)) => {
                write!(f, "{cut} connections were closed at the deadline")
            }
            (ServeEnd::Cut, None) => f.write_str("some connections were closed at the deadline"),
            (ServeEnd::Forced, _) => f.write_str("ended at once by a second signal"),
        }?;
        write!(f, "; drained in {:.1?}, closed in {:.1?}", self.drain, self.close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_cut() {
        let text = |end, cut| {
            let (drain, close) = (Duration::from_secs(10), Duration::from_millis(2));
            ServeReport { end, cut, drain, close }.to_string()
        };
        for (end, cut, expected) in [
            (ServeEnd::Drained, Some(0), "all requests were answered"),
            (ServeEnd::Cut, Some(1), "1 connection was closed at the deadline"),
            (ServeEnd::Cut, Some(3), "3 connections were closed at the deadline"),
            (ServeEnd::Cut, None, "some connections were closed at the deadline"),
            (ServeEnd::Forced, None, "ended at once by a second signal"),
        ] {
            assert_eq!(text(end, cut), format!("{expected}; drained in 10.0s, closed in 2.0ms"));
        }
    }
}
