use serde::Serialize;

/// What a replica is good for, as this process has found it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplicaState {
    /// No read has asked for it yet.
    #[default]
    Unknown,
    /// It answers reads.
    InUse,
    /// It is too far behind its primary.
    Lagging,
    /// It gives no connection.
    Away,
    /// It is not in recovery, is a copy of another server, or does not follow the present primary.
    Unrelated,
}

impl ReplicaState {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::InUse, Self::Lagging, Self::Away, Self::Unrelated];

    /// Returns the state in snake case, as used in metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InUse => "in_use",
            Self::Lagging => "lagging",
            Self::Away => "away",
            Self::Unrelated => "unrelated",
        }
    }
}
