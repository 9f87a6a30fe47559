//! Names the privilege that a role lacks.

use sqlx::Row;

use super::Provisioner;
use crate::{
    error::{Error, ErrorKind},
    tenant::Ident,
};

/// The current role and database, and whether the role can create schemas there.
const ASK: &str = "select current_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, \
                   pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')";

impl Provisioner {
    /// Adds to an error of a creation which privilege a role lacks, if this can be determined.
    pub(super) async fn name_missing_right(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::PermissionDenied {
            return error;
        }
        match self.why_denied().await {
            Ok(Some(why)) => Error::new(ErrorKind::PermissionDenied, why).with_source(error),
            Ok(None) | Err(_) => error,
        }
    }

    async fn why_denied(&self) -> Result<Option<String>, Error> {
        let mut lease = self.fleet.lease_for(&self.fleet.shared_site()).await?;
        let row = sqlx::raw_sql(ASK).fetch_one(&mut *lease).await?;
        let (role, database) = (row.try_get(0)?, row.try_get(1)?);
        let may_create: bool = row.try_get(2)?;
        let quoted = Ident::parse(role).ok().zip(Ident::parse(database).ok());
        Ok(quoted.filter(|_| !may_create).map(|(role, database)| {
            let (role, database) = (role.quoted(), database.quoted());
            format!(
                "the role {role} may not create schemas in the database {database}; have its owner run \
                 `grant create on database {database} to {role}`"
            )
        }))
    }
}
