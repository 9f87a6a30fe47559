use serde::Serialize;

/// The reason why a tenant pool was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvictReason {
    /// It was not used for the time that tenant pools are kept.
    Ttl,
    /// There were more tenant pools than the limit, and it was the least recently used.
    Capacity,
    /// The application requested it.
    Requested,
    /// The tenant's placement has changed.
    Changed,
    /// The manager was closed.
    Closed,
}

impl EvictReason {
    /// All reasons.
    pub(crate) const ALL: [Self; 5] =
        [Self::Ttl, Self::Capacity, Self::Requested, Self::Changed, Self::Closed];

    /// Returns the reason in snake case, as used in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::Capacity => "capacity",
            Self::Requested => "requested",
            Self::Changed => "changed",
            Self::Closed => "closed",
        }
    }
}
