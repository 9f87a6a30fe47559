//! The part of this process in a budget that other processes share.

use std::sync::Arc;

use super::{
    allowance::{Allowance, Moment, Stage},
    occupant::Occupant,
    scheduler::{Class, Time},
};
use crate::{error::Error, event::BudgetState};

/// What this process may have, and what it tells requests while it has nothing.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) allowance: Allowance,
    /// The part of the allowance that the scheduler knows.
    pub(super) stage: Stage,
    pub(super) verdict: Verdict,
}

/// What is known of a process that has no allowance.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Asking,
    /// Others have been asked to give back what it needs.
    Waiting,
    /// It gets nothing: requests are refused with this error.
    Refused(Arc<Error>),
    /// It cannot even ask, because of something that has to be set right: requests are refused
    /// with this error.
    Unable(Arc<Error>),
}

impl Verdict {
    /// Returns `true` if requests are refused.
    pub(super) fn is_bar(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unable(_))
    }
}

impl Lent {
    pub(super) fn new(now: Moment) -> Self {
        Self { allowance: Allowance::none(now), stage: Stage::Asking, verdict: Verdict::Asking }
    }

    /// Returns when the current part of the allowance ends.
    pub(super) fn end(&self) -> Time {
        self.allowance.end(self.stage)
    }

    pub(super) fn state(&self) -> BudgetState {
        match (self.stage, &self.verdict) {
            (Stage::Granted, _) => BudgetState::Granted,
            (Stage::Floor, _) => BudgetState::Floor,
            (Stage::Asking, Verdict::Asking | Verdict::Unable(_)) => BudgetState::Asking,
            (Stage::Asking, Verdict::Waiting) => BudgetState::Waiting,
            (Stage::Asking, Verdict::Refused(_)) => BudgetState::Refused,
        }
    }

    /// Returns the error of requests that cannot be served, if so. The library's own are.
    pub(super) fn barred(&self, occupant: &Occupant) -> Option<Error> {
        match &self.verdict {
            Verdict::Refused(error) | Verdict::Unable(error)
                if self.stage == Stage::Asking && occupant.class != Class::System =>
            {
                Some(Error::shared(error))
            }
            _ => None,
        }
    }
}
