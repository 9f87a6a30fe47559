//! Tenants whose creation takes longer than one transaction, because some of their seeds run outside it.

use sqlx::Row;
use tokio::sync::OwnedSemaphorePermit;

use super::Provisioner;
use crate::{catalog::Site, error::Error, pool::Lease, sql::Sql};

/// Distinguishes the lock of a tenant's creator from the lock of migration runs, which can run meanwhile.
pub(crate) const LOCK_OF_MAKER: i64 = 7_234_619_037_117;

/// Announces that a tenant is being created. Dropping it withdraws the announcement.
#[derive(Debug)]
pub(super) struct Underway {
    /// Its session holds the lock; there is none if the tenant would have no connection left.
    lock: Option<Lease>,
    _place: Option<OwnedSemaphorePermit>,
}

/// Returns what the lock of a tenant's creator is named by. It is taken in the manager's database.
pub(crate) fn lock_of_maker(site: &Site) -> String {
    match (site.spot(), &site.tenant) {
        // Containers in several databases have the same name.
        ((home, ..), Some(tenant)) if !home.is_managers() => format!("tenant {tenant} elsewhere"),
        ((_, schema, None), _) => schema.as_str().to_owned(),
        ((_, schema, Some(key)), _) => format!("{schema} {key}"),
    }
}

impl Provisioner {
    /// Starts the creation of the tenant of a site, unless another process is creating it.
    pub(super) async fn begin_making(&self, site: &Site) -> Result<Option<Underway>, Error> {
        let place = self.fleet.place_underway().await;
        if self.fleet.server().places_for_upkeep() < 2 {
            return Ok(Some(Underway { lock: None, _place: place }));
        }
        let mut lease = self.fleet.lease().await?;
        let mut sql =
            Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
        sql.literal(&lock_of_maker(site)).text(", ").integer(LOCK_OF_MAKER).text("))");
        let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?;
        let locked: bool = row.try_get(0)?;
        Ok(locked.then_some(Underway { lock: Some(lease), _place: place }))
    }
}

impl Underway {
    /// Withdraws the announcement before this returns.
    pub(super) async fn end(self) {
        if let Some(lease) = self.lock {
            lease.settle().await;
        }
    }
}
