//! Finds and removes scratch schemas and roles of this proof and of interrupted proofs.

use sqlx::{FromRow, PgConnection, raw_sql};

use super::{mark::is_left_behind, row_tenants::is_of_rows};
use crate::{
    error::{Error, ErrorKind},
    pool::Lease,
    sql::Sql,
    tenant::{Ident, SCRATCH},
};

/// Scratch schemas and roles.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) schemas: Vec<Ident>,
    pub(super) roles: Vec<Ident>,
}

/// Removes leftovers of proofs that ended more than an hour ago without cleaning up, for example after a SIGKILL.
/// Returns the names.
///
/// A schema that contains other objects stays: it is removed object by object, and never with dependent objects.
pub(super) async fn remove_leftovers(lease: &mut Lease) -> Result<Vec<String>, Error> {
    let found = list(lease, is_left_behind).await?;
    let mut removed = Vec::new();
    for schema in &found.schemas {
        note(schema, remove(lease, schema).await, &mut removed);
    }
    for role in &found.roles {
        note(role, remove_role(lease, role).await, &mut removed);
    }
    Ok(removed)
}

fn note(name: &Ident, outcome: Result<(), Error>, removed: &mut Vec<String>) {
    match outcome {
        Ok(()) => removed.push(name.to_string()),
        Err(error) => tracing::warn!(%name, %error, "could not remove a leftover of a proof"),
    }
}

/// Lists scratch schemas and roles whose name, comment and the current time satisfy a condition, as far as this login
/// role can remove them.
pub(super) async fn list(
    conn: &mut PgConnection,
    condition: impl Fn(&str, Option<&str>, i64) -> bool,
) -> Result<Found, Error> {
    let mut sql = Sql::new(
        "select true, n.nspname::pg_catalog.text, pg_catalog.obj_description(n.oid, 'pg_namespace'), \
         pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::pg_catalog.int8 \
         from pg_catalog.pg_namespace n where pg_catalog.pg_has_role(n.nspowner, 'member') \
         and pg_catalog.starts_with(n.nspname::pg_catalog.text, ",
    );
    sql.literal(SCRATCH).text(
        ") union all select false, r.rolname::pg_catalog.text, \
         pg_catalog.shobj_description(r.oid, 'pg_authid'), \
         pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::pg_catalog.int8 \
         from pg_catalog.pg_roles r where pg_catalog.starts_with(r.rolname::pg_catalog.text, ",
    );
    sql.literal(SCRATCH).text(") order by 1, 2");
    let mut found = Found::default();
    for row in raw_sql(sql.finish()).fetch_all(conn).await? {
        let (is_schema, name, comment, now): (bool, String, Option<String>, i64) =
            FromRow::from_row(&row)?;
        if condition(&name, comment.as_deref(), now) {
            let name = Ident::parse(&name).map_err(|error| {
                Error::new(ErrorKind::Database, "reading the name of a schema").with_source(error)
            })?;
            if is_schema { &mut found.schemas } else { &mut found.roles }.push(name);
        }
    }
    Ok(found)
}

/// The objects of a tenant's schema.
const OF_TENANT: &[(&str, &str)] = &[
    ("; drop table ", ".marker"),
    ("; drop table ", ".moods"),
    ("; drop table ", ".plans"),
    ("; drop type ", ".mood"),
    ("; drop sequence ", ".counter"),
    ("; drop function ", ".perform(pg_catalog.text)"),
    ("; drop schema ", ""),
];

/// The objects of the schema with the rows of tenants.
const OF_ROWS: &[(&str, &str)] = &[
    ("; drop view if exists ", ".visitors"),
    ("; drop table ", ".visits"),
    ("; drop table ", ".people"),
    ("; drop function ", ".owners()"),
    ("; drop function ", ".first_owner()"),
    ("; drop function ", ".reveal(pg_catalog.text, pg_catalog.text)"),
    ("; drop schema ", ""),
];

/// Removes a scratch schema: the objects that were created in it, and then the schema, if it is empty.
pub(super) async fn remove(conn: &mut PgConnection, schema: &Ident) -> Result<(), Error> {
    let mut sql = Sql::new("set lock_timeout to '5s'");
    let of = if is_of_rows(schema.as_str()) { OF_ROWS } else { OF_TENANT };
    for (text, name) in of {
        sql.text(text).ident(schema).text(name);
    }
    raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Removes a scratch role, which owns nothing.
pub(super) async fn remove_role(conn: &mut PgConnection, role: &Ident) -> Result<(), Error> {
    let mut sql = Sql::new("drop role ");
    sql.ident(role);
    raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}
