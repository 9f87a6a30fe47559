//! Which databases of the servers are tenants' own.

use std::{collections::BTreeSet, time::Duration};

use tokio::{sync::OnceCell, time::timeout};

use super::Unseen;
use crate::{
    error::Error,
    error_report::ErrorReport,
    fleet::Fleet,
    tenant::{Home, Ident},
};

/// The tenants' own databases. The tenants are listed when a session in such a database is found, and at most once.
pub(super) struct TenantDatabases {
    limit: Duration,
    listed: OnceCell<Result<BTreeSet<Home>, String>>,
}

impl TenantDatabases {
    /// Listing the tenants may take this long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, listed: OnceCell::new() }
    }

    /// Returns `true` if a database of a server is that of a tenant; `false` if this is unknown.
    pub(super) async fn has(&self, fleet: &Fleet, database: &str) -> bool {
        let Ok(name) = Ident::parse(database) else { return false };
        let home = fleet.home().beside(name);
        let listed = self.listed.get_or_init(|| self.list(fleet)).await;
        listed.as_ref().is_ok_and(|homes| homes.contains(&home))
    }

    async fn list(&self, fleet: &Fleet) -> Result<BTreeSet<Home>, String> {
        let in_words = |error: &Error| ErrorReport::new(error).to_string();
        match timeout(self.limit, fleet.list()).await {
            Ok(Ok(records)) => {
                Ok(records.iter().filter_map(|record| fleet.home_of(record).ok()).collect())
            }
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err(format!("the catalog did not answer within {:?}", self.limit)),
        }
    }

    /// Returns what could not be read because the tenants were not listed.
    pub(super) fn unseen(&self) -> Option<Unseen> {
        let why = self.listed.get()?.as_ref().err()?;
        let what = "the sessions in the tenants' own databases";
        Some(Unseen::new(what, format!("the tenants could not be listed: {why}")))
    }
}
