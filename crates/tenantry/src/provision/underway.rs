//! Tenants that are in the making for longer than a transaction, because some of their seeds run outside of one.

use sqlx::Row;
use tokio::sync::OwnedSemaphorePermit;

use super::Provisioner;
use crate::{error::Error, pool::Lease, sql::Sql, tenant::Ident};

/// Keeps the lock of whoever makes a tenant apart from the lock of those who migrate: they may do so meanwhile.
pub(crate) const LOCK_OF_MAKER: i64 = 7_234_619_037_117;

/// Tells others that a tenant is being made. Dropping it tells them that it is not any more.
#[derive(Debug)]
pub(super) struct Underway {
    /// Its session has the lock; there is none where the tenant would have no connection left.
    lock: Option<Lease>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Provisioner {
    /// Begins to make a tenant of this schema, unless somebody else is at it.
    pub(super) async fn begin_making(&self, schema: &Ident) -> Result<Option<Underway>, Error> {
        let place = self.fleet.place_underway().await;
        if self.fleet.server().places_for_upkeep() < 2 {
            return Ok(Some(Underway { lock: None, _place: place }));
        }
        let mut lease = self.fleet.lease().await?;
        let mut sql =
            Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
        sql.literal(schema.as_str()).text(", ").integer(LOCK_OF_MAKER).text("))");
        let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?;
        let locked: bool = row.try_get(0)?;
        Ok(locked.then_some(Underway { lock: Some(lease), _place: place }))
    }
}

impl Underway {
    /// Tells others that the tenant is not being made any more, before this returns.
    pub(super) async fn end(self) {
        if let Some(lease) = self.lock {
            lease.settle().await;
        }
    }
}
