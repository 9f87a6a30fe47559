//! Transactions that have failed because their tenant has moved.

use std::sync::Arc;

use sqlx::{Executor, Postgres, postgres::types::Oid};
use tokio::time::Instant;

use super::{
    Handle, SharedDb,
    whereabouts::{Follows, Lost, LostAt, Whereabout},
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    pool::{Lease, Occupant},
};

impl Follows {
    /// Returns the error of a transaction that was rolled back, if its tenant has moved or is on its
    /// way. The lease goes back first: the catalog may need its connection.
    ///
    /// Costs a round trip, and no question to the catalog while the tenant's schema is there.
    pub(super) async fn moved_meanwhile(&self, mut lease: Lease) -> Option<sqlx::Error> {
        let occupant = lease.occupant().clone();
        let is_gone = match lease.direct() {
            // The transaction is over, and there is no session to go on in.
            Some(direct) => {
                drop(lease);
                let system = Arc::clone(direct.system());
                is_gone(&occupant, &SharedDb::new(Handle::new(direct, system))).await
            }
            None => {
                let is_gone = is_gone(&occupant, lease.in_use()).await;
                drop(lease);
                is_gone
            }
        };
        if !is_gone {
            return None;
        }
        let lost = Lost { tenant: &self.tenant, occupant: &occupant, at: LostAt::Statement };
        let whereabout = self.whereabouts.find(lost, Instant::now()).await;
        if let Whereabout::Here | Whereabout::Gone = whereabout {
            return None;
        }
        let attempted = "the tenant has moved to another place, and the transaction was rolled back; begin it again";
        let moved = Error::new(ErrorKind::StaleHandle, attempted).with_tenant(self.tenant.id());
        Some(moved.with_retry_after(RETRY_AFTER).into())
    }
}

/// Returns `true` if the schema of an occupant no longer exists.
async fn is_gone<'c>(occupant: &Occupant, on: impl Executor<'c, Database = Postgres>) -> bool {
    let Some((oid, schema)) = occupant.own_schema() else { return false };
    let is_gone = sqlx::query_scalar(
        "select not exists (select from pg_catalog.pg_namespace n \
         where n.oid operator(pg_catalog.=) $1 and n.nspname operator(pg_catalog.=) $2::pg_catalog.name)",
    );
    let is_gone = is_gone.bind(Oid(oid.get())).bind(schema.as_str()).persistent(false);
    is_gone.fetch_one(on).await.unwrap_or_default()
}

/// Returns `true` if a transaction could not be committed because a statement has failed.
pub(super) fn is_aborted(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("25P02"))
}
