use serde::Serialize;

/// The part that a process has of a [shared budget](crate::ManagerBuilder::budget_shared_by).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BudgetState {
    /// It has what it was granted.
    Granted,
    /// The table did not answer for 10 s: it has its floor.
    Floor,
    /// It has not been granted anything yet, or the server did not answer for 10 s. It uses one
    /// connection, to ask.
    Asking,
    /// Other processes have been asked to give back connections for its floor.
    Waiting,
    /// The floors of other processes take the whole budget. Requests are refused.
    Refused,
}

impl BudgetState {
    #[cfg_attr(not(feature = "prometheus"), expect(dead_code, reason = "the collector needs it"))]
    pub(crate) const ALL: [Self; 5] =
        [Self::Granted, Self::Floor, Self::Asking, Self::Waiting, Self::Refused];

    /// Returns the state in snake case, as used in JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Floor => "floor",
            Self::Asking => "asking",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}
