use serde::Serialize;

/// The state of the circuit breaker for connects to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// Connections are opened on demand.
    #[default]
    Closed,
    /// Connects are suspended because too many attempts in a row have failed. Requests that need a
    /// new connection fail at once, with a time to retry after.
    Open,
    /// One connect probes whether the server is back.
    HalfOpen,
}

impl BreakerState {
    /// All states.
    pub(crate) const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Returns the state in snake case, as used in metrics and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
