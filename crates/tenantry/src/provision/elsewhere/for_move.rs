//! The database of a tenant that moves into one, or has left one.

use super::{
    super::{CreateOptions, Provisioner, mark::Mark},
    database::{self, NewDatabase},
};
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    tenant::Ident,
};

impl Provisioner {
    /// Makes the database of a tenant that moves, whose mark is the number of the move.
    ///
    /// # Cancel safety
    ///
    /// If dropped, another call with the same number continues.
    pub(crate) async fn make_database_for_move(
        &self,
        site: &Site,
        number: u64,
        role: Option<&Ident>,
    ) -> Result<(), Error> {
        let Some(name) = site.home.database() else { return Ok(()) };
        let server = self.fleet.at(&site.home).server().clone();
        let mut roles: Vec<_> = server.role_of_manager().into_iter().chain(role).collect();
        roles.dedup();
        let (mark, options) = (Mark::numbered(number), &CreateOptions::default());
        let database = NewDatabase { name, mark, roles: &roles, options, spares: None };
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        let made = database.make(&mut lease).await;
        lease.settle().await;
        // Another one may have had this name before.
        server.close_idle_in(name);
        made.map(drop)
    }

    /// Returns `true` if there is a database of this name on the site's server.
    pub(crate) async fn has_database(&self, site: &Site) -> Result<bool, Error> {
        let Some(name) = site.home.database() else { return Ok(false) };
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        Ok(database::find(&mut lease, name).await?.is_some())
    }

    /// Returns `true` if a move has made the database, and it can be connected to.
    pub(crate) async fn has_database_of_move(
        &self,
        site: &Site,
        number: u64,
    ) -> Result<bool, Error> {
        let Some(name) = site.home.database() else { return Ok(false) };
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        let found = database::find(&mut lease, name).await?;
        Ok(found
            .is_some_and(|found| found.is_of(Mark::numbered(number)) && found.allows_connections))
    }

    /// Drops the database that a move has made.
    pub(crate) async fn remove_database_of_move(
        &self,
        site: &Site,
        number: u64,
    ) -> Result<(), Error> {
        self.remove_database(site, Mark::numbered(number)).await
    }

    /// Drops the database that a tenant has left.
    pub(crate) async fn drop_left_database(&self, site: &Site) -> Result<(), Error> {
        let Some(name) = site.home.database() else { return Ok(()) };
        let mut lease = self.fleet.at(&site.home.of_server()).lease().await?;
        if database::is_protected(&mut lease, name).await? {
            let attempted = format!(
                "its database {name} is a template or the one in the URL of server {}, and is not dropped",
                site.home.server()
            );
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
        let dropped = self.drop_database(site, &mut lease, name).await;
        lease.settle().await;
        dropped
    }
}
