//! What a new tenant's role may do, from the first moment on.

use super::{CreateOptions, Provisioner};
use crate::{
    error::{Error, ErrorKind},
    migrate,
    pool::grant,
    sql::Sql,
    tenant::{Ident, TenantId},
};

impl Provisioner {
    /// Returns the role of a tenant that is to be: the one that was asked for, or the one that the catalog
    /// has on record already.
    pub(super) async fn role_of_new(
        &self,
        id: &TenantId,
        options: &CreateOptions,
    ) -> Result<Option<Ident>, Error> {
        match &options.role {
            Some(role) => Ok(Some(role.clone())),
            None => self.fleet.role_on_record(id).await,
        }
    }

    /// Refuses a role that the server does not have: nobody could serve the tenant.
    pub(super) async fn refuse_missing_role(&self, role: Option<&Ident>) -> Result<(), Error> {
        let Some(role) = role.filter(|role| Some(*role) != self.fleet.server().role_of_manager())
        else {
            return Ok(());
        };
        let mut lease = self.fleet.lease().await?;
        let exists = sqlx::query_scalar(
            "select exists (select from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) $1)",
        );
        let exists: bool =
            exists.bind(role.as_str()).persistent(false).fetch_one(&mut *lease).await?;
        match exists {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "the tenant's role {role:?} does not exist: create it first, or name another one"
                ),
            )),
        }
    }

    /// Appends what gives a role its rights in a schema that was created just now, before anything is made
    /// in it but the table of the records.
    pub(super) fn grant(&self, sql: &mut Sql, schema: &Ident, role: Option<&Ident>) {
        if let Some(role) = role {
            if self.migrations.is_some() {
                migrate::create_records(sql, schema);
            }
            grant(sql, schema, role);
        }
    }

    /// Returns `true` if a spare will do for a tenant of this role. Spares are made before anybody knows for
    /// whom: what a file revokes from the role would be granted again.
    pub(super) fn may_take_spare(&self, role: Option<&Ident>) -> bool {
        let manager = self.fleet.server().role_of_manager();
        role.is_none_or(|role| Some(role) == manager)
            || !self.migrations.as_ref().is_some_and(migrate::Migrations::revokes)
    }
}
