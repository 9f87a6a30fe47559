use std::time::Duration;

use super::{occupant::Occupant, options::PoolOptions};

/// How sessions are bound, independent of the occupant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) keep: KeepStatements,
    /// Idle limit of an application's transaction, unless the tenant has another; `None` keeps the server's configuration.
    idle_in_transaction: Option<Duration>,
    /// `true` if session names include the tenant.
    pub(crate) name_tenants: bool,
    /// `true` if a bind also tells how far the server has replayed the log.
    pub(super) on_replica: bool,
    #[cfg(test)]
    pub(crate) broken: super::broken::Broken,
}

impl Manner {
    /// Makes a bind tell how far the server has replayed the log, if it is a replica.
    pub(super) fn on_replica(self, on_replica: bool) -> Self {
        Self { on_replica, ..self }
    }

    /// Returns the idle limit of an occupant's transactions; `None` keeps the server's configuration.
    pub(super) fn idle_in_transaction_of(&self, occupant: &Occupant) -> Option<Duration> {
        occupant.limits.idle_in_transaction_timeout().or(self.idle_in_transaction)
    }
}

/// Whether prepared statements may survive a change of tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepStatements {
    WhenAlike,
    Never,
}

impl From<&PoolOptions> for Manner {
    fn from(options: &PoolOptions) -> Self {
        let keep = match options.keep_statements {
            true => KeepStatements::WhenAlike,
            false => KeepStatements::Never,
        };
        Self {
            keep,
            idle_in_transaction: options.idle_in_transaction_timeout,
            name_tenants: options.name_tenants,
            on_replica: false,
            #[cfg(test)]
            broken: options.broken,
        }
    }
}
