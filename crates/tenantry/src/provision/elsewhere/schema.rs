//! Makes the schema of a tenant elsewhere.

use sqlx::{PgConnection, Row, postgres::types::Oid};

use super::{
    super::{Provisioner, mark::Mark},
    database::EVERYONE,
};
use crate::{
    catalog::Site,
    citus::{self, Sharding},
    error::{Error, ErrorKind},
    seed::{Noted, has_record, record},
    sql::Sql,
    tenant::Ident,
};

/// What is there of a tenant's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// A schema of someone else.
    Strangers,
    /// It was made, and its seeds have not run yet.
    Made,
    /// Its seeds have run.
    Filled,
}

/// Looks for the schema, or the rows, that a creation has made.
pub(super) async fn find(conn: &mut PgConnection, site: &Site, mark: Mark) -> Result<Found, Error> {
    let Some(comment) = comment_on(conn, &site.schema).await? else {
        return Ok(Found::Nothing);
    };
    if has_record(conn, site, &mark.filled()).await? {
        return Ok(Found::Filled);
    }
    let is_ours =
        comment == mark.comment() || site.home.database().is_some() || site.rows.is_some();
    Ok(if is_ours { Found::Made } else { Found::Strangers })
}

/// Returns the comment on a schema, empty if it has none.
async fn comment_on(conn: &mut PgConnection, schema: &Ident) -> Result<Option<String>, Error> {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace'), '') \
         from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    row.map(|row| row.try_get(0)).transpose().map_err(Error::from)
}

/// Makes sure that there is a schema.
pub(crate) async fn ensure(conn: &mut PgConnection, schema: &Ident) -> Result<(), Error> {
    if oid_of(conn, schema).await?.is_none() {
        let mut sql = Sql::default();
        Sharding::Plain.set(&mut sql, citus::ask(conn).await?);
        sql.text("create schema if not exists ").ident(schema);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

/// Marks a schema as made by a creation.
pub(super) async fn mark(conn: &mut PgConnection, schema: &Ident, mark: Mark) -> Result<(), Error> {
    let mut sql = Sql::new("comment on schema ");
    sql.ident(schema).text(" is ").literal(&mark.comment());
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Returns the OID of a schema.
pub(crate) async fn oid_of(conn: &mut PgConnection, schema: &Ident) -> Result<Option<u32>, Error> {
    let mut sql = Sql::new(
        "select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    let oid = row.map(|row| row.try_get(0)).transpose()?;
    Ok(oid.map(|Oid(oid)| oid))
}

/// Returns the current name of a schema.
pub(crate) async fn name_of(conn: &mut PgConnection, oid: u32) -> Result<Option<Ident>, Error> {
    let mut sql = Sql::new(
        "select n.nspname::pg_catalog.text from pg_catalog.pg_namespace n where n.oid operator(pg_catalog.=) ",
    );
    sql.number(oid.into()).text("::pg_catalog.oid");
    let Some(row) = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? else {
        return Ok(None);
    };
    Ident::parse(row.try_get(0)?).map(Some).map_err(Error::catalog)
}

impl Provisioner {
    /// Makes the schema, unless it is there. This provisioner works in the schema's database.
    pub(super) async fn make_schema(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        found: Found,
        mark: Mark,
        role: Option<&Ident>,
    ) -> Result<(), Error> {
        let schema = &site.schema;
        let mut sql = Sql::default();
        match found {
            Found::Nothing => {
                Sharding::Tenant.set(&mut sql, self.fleet.citus(conn).await?);
                sql.text("create schema ").ident(schema).text("; ");
            }
            Found::Strangers => return Err(taken(site)),
            Found::Made | Found::Filled => {}
        }
        match site.home.database() {
            None if found == Found::Nothing => {
                sql.text("comment on schema ").ident(schema).text(" is ");
                sql.literal(&mark.comment()).text("; ");
            }
            None => {}
            Some(_) => keep_others_out(&mut sql, schema),
        }
        self.grant(&mut sql, schema, role);
        let made = sqlx::raw_sql(sql.finish()).execute(conn).await;
        made.map(drop).map_err(|error| {
            match error.as_database_error().and_then(|error| error.code()) {
                Some(code) if code == "42P06" || code == "23505" => taken(site).with_source(error),
                _ => error.into(),
            }
        })
    }
}

/// Appends the revocation of what all roles may do in the schema `public` of a new database, as far as the role owns it.
/// Until PostgreSQL 14, all could create there.
fn keep_others_out(sql: &mut Sql, schema: &Ident) {
    let mut body = Sql::new(
        "begin if exists (select from pg_catalog.pg_namespace n \
         where pg_catalog.pg_has_role(n.nspowner, 'usage') and n.nspname operator(pg_catalog.=) ",
    );
    body.literal(schema.as_str()).text(") then revoke all on schema ").ident(schema);
    body.text(" from ").text(EVERYONE).text("; end if; end");
    sql.text("do ").literal(body.as_str()).text("; ");
}

/// Records that the schema is whole, in the transaction that creates it. Its comment stays.
pub(super) async fn note_unpacked(
    conn: &mut PgConnection,
    site: &Site,
    mark: Mark,
) -> Result<(), Error> {
    match record(conn, site, &mark.filled()).await? {
        Noted::First | Noted::Already => Ok(()),
        Noted::Busy => Err(Error::new(ErrorKind::Busy, "another session is seeding the schema")),
    }
}

/// Records that the seeds have run, in their transaction.
pub(super) async fn note_filled(
    conn: &mut PgConnection,
    site: &Site,
    mark: Mark,
) -> Result<(), Error> {
    note_unpacked(conn, site, mark).await?;
    if site.rows.is_none() && site.home.database().is_none() {
        let mut sql = Sql::new("comment on schema ");
        sql.ident(&site.schema).text(" is null");
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

pub(super) fn taken(site: &Site) -> Error {
    let attempted = format!(
        "there is a schema {} already on server {}, which this creation has not made and leaves alone",
        site.schema,
        site.home.server()
    );
    Error::new(ErrorKind::TenantExists, attempted)
}
