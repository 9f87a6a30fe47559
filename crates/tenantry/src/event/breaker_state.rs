use serde::Serialize;

/// Whether connections to the server are being opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// They are, when they are needed.
    #[default]
    Closed,
    /// They are not, because too many attempts in a row have failed. Who needs one is refused at
    /// once, and told when to come back.
    Open,
    /// One is being opened, to see whether the server is back.
    HalfOpen,
}

impl BreakerState {
    /// All states.
    pub(crate) const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Returns the state in snake case, as metrics and events name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
