//! Privileges of a new tenant's role, from the start.

use super::{CreateOptions, Provisioner};
use crate::{
    error::{Error, ErrorKind},
    migrate,
    pool::grant,
    sql::Sql,
    tenant::{Ident, IsolationKind, TenantId, TenantRecord},
};

impl Provisioner {
    /// Returns the record of a tenant to be created: with the role and placement of the options, or those already in
    /// the catalog, or the placement of its tier.
    pub(super) async fn record_of_new(
        &self,
        id: &TenantId,
        options: &CreateOptions,
    ) -> Result<TenantRecord, Error> {
        // An interrupted creation is resumed where it began.
        let may_be_elsewhere =
            self.fleet.may_place_elsewhere() || options.isolation == Some(IsolationKind::Database);
        let before = self.fleet.before_creation(id, may_be_elsewhere).await?;
        let CreateOptions { isolation, server, key, container, database, role, .. } =
            options.clone();
        if let Some(server) = &server {
            self.check_server(server).map_err(|error| error.with_tenant(id))?;
        }
        let record = TenantRecord::new(id.clone()).attributes(options.attributes.clone());
        let record = TenantRecord {
            isolation: isolation.or(before.isolation),
            server: server.or(before.server),
            key: key.or(before.key),
            role: role.or(before.role),
            database: database.or(before.database),
            container,
            ..record
        };
        if before.is_placed {
            // A creation that is resumed goes on where it began.
            return Ok(record);
        }
        let record = self.fleet.placed_by_tier(record);
        match &record.server {
            Some(server) => {
                self.check_server(server).map_err(|error| error.with_tenant(id))?;
                Ok(record)
            }
            None => Ok(TenantRecord { server: self.choose_server(&record).await?, ..record }),
        }
    }

    /// Refuses a role that does not exist on the server: the tenant could not be served.
    pub(crate) async fn refuse_missing_role(&self, role: Option<&Ident>) -> Result<(), Error> {
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

    /// Appends statements that grant a role its privileges in a schema that was just created and contains only the
    /// records table.
    pub(super) fn grant(&self, sql: &mut Sql, schema: &Ident, role: Option<&Ident>) {
        if let Some(role) = role {
            if self.migrations.is_some() {
                migrate::create_records(sql, schema);
            }
            grant(sql, schema, role);
        }
    }

    /// Returns `true` if a spare is suitable for a tenant with this role. Spares are created before the role is
    /// known: a privilege that a file revokes from the role would be granted again.
    pub(super) fn may_take_spare(&self, role: Option<&Ident>) -> bool {
        let manager = self.fleet.server().role_of_manager();
        role.is_none_or(|role| Some(role) == manager)
            || !self.migrations.as_ref().is_some_and(migrate::Migrations::revokes)
    }
}
