//! Removes what an unfinished creation elsewhere has made, and nothing else.

use sqlx::PgConnection;

use super::{
    super::{
        DropOptions, Provisioner,
        drop::drop_everything,
        mark::Mark,
        retired::KeyThen,
        step::{self, Step},
    },
    create::token,
    database,
    schema::{self, Found},
};
use crate::{
    catalog::{CatalogChange, Site},
    error::{Error, ErrorKind},
    tenant::{Ident, TenantRecord},
};

impl Provisioner {
    /// Removes a tenant whose creation has not completed: the containers with its mark, and then its row. If this is
    /// interrupted, the step in the catalog says so, and the next creation or drop of the tenant continues.
    pub(in crate::provision) async fn undo_elsewhere(
        &self,
        record: &TenantRecord,
        site: &Site,
    ) -> Result<(), Error> {
        let before = record.step.as_deref().unwrap_or_default();
        let Some(step::Elsewhere::Making(mark) | step::Elsewhere::Undoing(mark)) =
            step::Elsewhere::read(before)
        else {
            let attempted =
                "its step in the catalog is not that of a creation outside the manager's database";
            return Err(Error::new(ErrorKind::Catalog, attempted));
        };
        let step = Step::undoing(mark, token());
        let mut tx = self.begin_shared().await?;
        let change =
            CatalogChange::Step { tenant: &record.id, from: before, to: Some(step.as_str()) };
        self.fleet.write(&mut tx, change).await?;
        self.commit(tx).await?;
        self.remove_made(site, mark).await?;
        self.unlist(record).await
    }

    /// Deletes a tenant's row from the catalog.
    pub(super) async fn unlist(&self, record: &TenantRecord) -> Result<(), Error> {
        let mut tx = self.begin_shared().await?;
        self.fleet.write(&mut tx, CatalogChange::Dropped(&record.id)).await?;
        self.commit(tx).await?;
        self.fleet.retire(record);
        Ok(())
    }

    /// Removes what a creation has made after it has failed, unless it is that of the listed tenant: without a lock, or
    /// after its session was lost, another process can have undone the creation and started over meanwhile.
    pub(super) async fn remove_unless_used(
        &self,
        record: &TenantRecord,
        site: &Site,
        mark: Mark,
    ) -> Result<(), Error> {
        match self.fleet.record(&record.id).await {
            Ok(found) if self.uses(&found, site, mark) => Ok(()),
            Err(error) if error.kind() != ErrorKind::UnknownTenant => Err(error),
            Ok(_) | Err(_) => self.remove_made(site, mark).await,
        }
    }

    /// Returns `true` if a container with this mark at this site can be that of a listed tenant.
    fn uses(&self, found: &TenantRecord, site: &Site, mark: Mark) -> bool {
        match (&found.step, step::Elsewhere::of(found)) {
            // Its creation was continued under the same mark.
            (_, Some(step::Elsewhere::Making(of) | step::Elsewhere::Undoing(of))) => of == mark,
            // The drop has recorded what it removes.
            (_, Some(step::Elsewhere::Dropping(_))) => true,
            (_, None) => self.site_of_any(found).is_ok_and(|of| of.spot() == site.spot()),
        }
    }

    async fn remove_made(&self, site: &Site, mark: Mark) -> Result<(), Error> {
        match site.home.database() {
            Some(_) => self.remove_database(site, mark).await,
            None => self.remove_container(site, mark).await,
        }
    }

    /// Drops the databases that carry the mark, under the tenant's and the provisional name.
    pub(super) async fn remove_database(&self, site: &Site, mark: Mark) -> Result<(), Error> {
        let Some(name) = site.home.database() else { return Ok(()) };
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        database::lock(&mut lease, mark).await?;
        if database::find(&mut lease, name).await?.is_some_and(|found| found.is_of(mark)) {
            self.drop_database(site, &mut lease, name).await?;
        }
        let dropped = database::drop_now(&mut lease, &mark.provisional_name()).await;
        lease.settle().await;
        dropped
    }

    /// Drops a database, and closes the idle connections to it, which would be used for the next one of its name.
    pub(super) async fn drop_database(
        &self,
        site: &Site,
        conn: &mut PgConnection,
        name: &Ident,
    ) -> Result<(), Error> {
        let server = self.fleet.at(&site.home).server().clone();
        server.close_idle_in(name);
        let dropped = database::drop_now(conn, name).await;
        // A connection may have been given back in the meantime.
        server.close_idle_in(name);
        dropped
    }

    /// Drops the schema, or deletes the rows, that the creation has made.
    async fn remove_container(&self, site: &Site, mark: Mark) -> Result<(), Error> {
        let (there, options) = (self.at(&site.home), DropOptions::default().cascade(true));
        match (there.find_made(site, mark).await?, &site.rows) {
            (Found::Nothing | Found::Strangers, _) | (Found::Made, Some(_)) => Ok(()),
            (Found::Filled, Some(of)) => {
                there.delete_rows(site, of, &options, KeyThen::Free).await.map(drop)
            }
            (Found::Made | Found::Filled, None) => {
                let mut lease = there.lock(site).await?;
                // The records, which would also tell, can be dropped before an interruption.
                schema::mark(&mut lease, &site.schema, mark).await?;
                let dropped = drop_everything(&mut lease, site, &options).await;
                lease.settle().await;
                dropped.map(drop)
            }
        }
    }

    /// Looks for what a creation has made. This provisioner works in the tenant's database.
    pub(super) async fn find_made(&self, site: &Site, mark: Mark) -> Result<Found, Error> {
        if let Some(name) = site.home.database() {
            let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
            let found = database::find(&mut lease, name).await?;
            if !found.is_some_and(|found| found.is_of(mark) && found.allows_connections) {
                return Ok(Found::Nothing);
            }
        }
        let mut lease = self.fleet.lease_for(site).await?;
        schema::find(&mut lease, site, mark).await
    }
}
