//! Checks what the maintenance role may do, before anything is done.

use sqlx::{PgConnection, Row};

use super::super::Provisioner;
use crate::{
    error::{Error, ErrorKind},
    tenant::Home,
};

/// Whether the current role can create databases, with its name.
const CAN_CREATE_DATABASES: &str = "select pg_catalog.quote_ident(r.rolname::pg_catalog.text), r.rolcreatedb or r.rolsuper \
     from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) current_user";

/// Whether the current role can create schemas, with its name and that of the database.
const CAN_CREATE_SCHEMAS: &str = "select pg_catalog.quote_ident(current_user::pg_catalog.text), \
     pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
     pg_catalog.quote_ident(pg_catalog.current_database()::pg_catalog.text)";

impl Provisioner {
    /// Refuses to create a database or schema on a server where the role may not.
    pub(crate) async fn refuse_missing_right(&self, home: &Home) -> Result<(), Error> {
        let server = home.of_server();
        let mut lease = self.fleet.at(&server).lease().await?;
        match home.database() {
            Some(_) => refuse_without_createdb(&mut lease, home.server()).await,
            None => refuse_without_create(&mut lease, home.server()).await,
        }
    }

    /// Refuses to make spare databases on a server where the role may not create databases.
    pub(super) async fn refuse_missing_right_to(&self, server: &Home) -> Result<(), Error> {
        let mut lease = self.fleet.at(server).lease().await?;
        refuse_without_createdb(&mut lease, server.server()).await
    }
}

async fn refuse_without_createdb(conn: &mut PgConnection, server: &str) -> Result<(), Error> {
    let row = sqlx::raw_sql(CAN_CREATE_DATABASES).fetch_one(conn).await?;
    if row.try_get(1)? {
        return Ok(());
    }
    let role: &str = row.try_get(0)?;
    let attempted = format!(
        "the role {role} may not create databases on server {server}; have a superuser run \
         `alter role {role} createdb`"
    );
    Err(Error::new(ErrorKind::PermissionDenied, attempted))
}

async fn refuse_without_create(conn: &mut PgConnection, server: &str) -> Result<(), Error> {
    let row = sqlx::raw_sql(CAN_CREATE_SCHEMAS).fetch_one(conn).await?;
    if row.try_get(1)? {
        return Ok(());
    }
    let (role, database): (&str, &str) = (row.try_get(0)?, row.try_get(2)?);
    let attempted = format!(
        "the role {role} may not create schemas in the database {database} of server {server}; have its owner run \
         `grant create on database {database} to {role}`"
    );
    Err(Error::new(ErrorKind::PermissionDenied, attempted))
}
