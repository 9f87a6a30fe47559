//! What the target needs before rows can get there: a database of the tenant's own, or tables for rows that leave those of
//! all tenants.

use sqlx::{PgConnection, Row};

use super::{MoveMethod, attempts::Attempt, ended::ended, ends::Ends, failure::Failure, fill};
use crate::{
    citus::Sharding,
    db::TenantTransaction,
    error::{Error, ErrorKind},
    migrate::Migrations,
    pool::grant,
    provision::{Provisioner, oid_of_schema},
    sql::Sql,
    tenant::{Ident, IsolationKind},
};

/// Makes the database on the target, unless it is there or there is none to make.
pub(super) async fn make_database(ends: &Ends, number: u64) -> Result<(), Failure> {
    if ends.new_database().is_none() {
        return Ok(());
    }
    let site = ends.site_at_target();
    let role = ends.target.role_of(&site).await?;
    let provisioner = Provisioner::new(ends.control.clone());
    provisioner.make_database_for_move(&site, number, role.as_ref()).await?;
    Ok(())
}

/// Prepares what the rows need, once this attempt works on both databases.
pub(super) async fn prepare(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
    migrations: Option<&Migrations>,
) -> Result<(), Failure> {
    if ends.new_database().is_some() {
        let mut lease = ends.target.lease().await?;
        ensure_own_schema(&mut lease, ends).await?;
        drop(lease);
        if !ends.are_rows() {
            make_extensions(ends).await?;
        }
    }
    match (ends.are_rows(), ends.target_kind()) {
        (true, IsolationKind::Row) => Ok(()),
        (true, _) => make_tables(ends, attempt, migrations).await,
        // What the structure needs is there now. It is tried out before requests wait.
        (false, IsolationKind::Database) if method == MoveMethod::UnderFence => {
            fill::try_out(ends).await
        }
        (false, _) => Ok(()),
    }
}

/// Makes sure that a new database has the schema `public`, if that is the tenant's.
async fn ensure_own_schema(conn: &mut PgConnection, ends: &Ends) -> Result<(), Error> {
    if !ends.has_own_schema() {
        return Ok(());
    }
    let mut sql = Sql::new("create schema if not exists ");
    sql.ident(&ends.to_schema);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// The extensions of a database with their schemas. Parameters: whether all are needed, and otherwise the schemas.
const EXTENSIONS: &str = "\
    select e.extname::pg_catalog.text, n.nspname::pg_catalog.text from pg_catalog.pg_extension e \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace \
    where e.extname operator(pg_catalog.<>) 'plpgsql' \
      and ($1 or n.nspname::pg_catalog.text operator(pg_catalog.=) any ($2)) order by e.oid";

/// Returns the extensions of the source that the tenant uses there, with their schemas.
pub(super) async fn extensions(ends: &Ends) -> Result<Vec<(String, Ident)>, Error> {
    let is_own = ends.source_kind() == IsolationKind::Database;
    let reached = ends.control.lookup().extension_schemas().iter();
    let schemas: Vec<_> = reached.chain([&ends.schema]).map(|schema| schema.as_str()).collect();
    let mut lease = ends.source.lease().await?;
    let found = sqlx::query(EXTENSIONS).bind(is_own).bind(schemas).persistent(false);
    let found = found.fetch_all(&mut *lease).await?;
    let extension = |row: &sqlx::postgres::PgRow| {
        Ok((row.try_get(0)?, Ident::parse(row.try_get(1)?).map_err(Error::catalog)?))
    };
    found.iter().map(extension).collect()
}

/// Creates the extensions in the new database.
async fn make_extensions(ends: &Ends) -> Result<(), Error> {
    let extensions = extensions(ends).await?;
    let mut lease = ends.target.lease().await?;
    for (name, schema) in &extensions {
        let schema = if *schema == ends.schema { &ends.to_schema } else { schema };
        let mut sql = Sql::new("create schema if not exists ");
        sql.ident(schema).text("; create extension if not exists ").name(name);
        sql.text(" schema ").ident(schema).text(" cascade");
        let made = sqlx::raw_sql(sql.finish()).execute(&mut *lease).await;
        made.map_err(|error| {
            let error = Error::from(error);
            let attempted = format!("creating the extension {name} in its new database");
            Error::new(error.kind(), attempted).with_source(error)
        })?;
    }
    lease.settle().await;
    Ok(())
}

/// Creates the tables of a tenant that leaves those of all tenants.
async fn make_tables(
    ends: &Ends,
    attempt: Attempt<'_>,
    migrations: Option<&Migrations>,
) -> Result<(), Failure> {
    let Some(migrations) = migrations else {
        let attempted = "creating its tables: this process has no migrations; move it again";
        return Err(Error::new(ErrorKind::Config, attempted).into());
    };
    let Ends { target, to_schema, .. } = ends;
    let mut lease = target.lease().await?;
    let is_noted = attempt.on_target().noted(&mut lease).await?.is_some();
    drop(lease);
    if !is_noted {
        make_schema(ends, attempt).await?;
    }
    let site = target.site_of(to_schema);
    let role = target.role_of(&ends.site_at_target()).await?;
    let mut lease = target.lease_for(&site).await?;
    let provisioner = Provisioner::new(target.clone()).tenants(migrations.clone());
    let made = provisioner.make_tables_for_move(&site, role.as_ref(), &mut lease).await;
    lease.settle().await;
    Ok(made?)
}

/// Creates the schema, and records that it belongs to the move.
async fn make_schema(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    let Ends { target, to_schema, .. } = ends;
    let role = target.role_of(&ends.site_at_target()).await?;
    let mut tx = TenantTransaction::open(target.lease().await?).await?;
    let made = async {
        let citus = target.citus(&mut tx).await?;
        let mut sql = Sql::default();
        if !ends.has_own_schema() {
            Sharding::Tenant.set(&mut sql, citus);
            sql.text("create schema ").ident(to_schema).text("; ");
        }
        if let Some(role) = &role {
            grant(&mut sql, to_schema, role);
        }
        if sql.len() > 0 {
            sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        }
        Provisioner::new(target.clone()).claim_name(&mut tx, to_schema).await?;
        attempt.on_target().note(&mut tx, to_schema).await
    };
    let made = made.await;
    ended(target, tx, made).await
}

/// Removes what the move has made on the target. `false` if its records are gone with the database.
pub(super) async fn remove_database(ends: &Ends, number: u64) -> Result<bool, Error> {
    if ends.new_database().is_none() {
        return Ok(false);
    }
    let provisioner = Provisioner::new(ends.control.clone());
    provisioner.remove_database_of_move(&ends.site_at_target(), number).await?;
    Ok(true)
}

/// Returns `true` if the move makes a database, and it is not there yet.
pub(super) async fn is_missing(ends: &Ends, number: u64) -> Result<bool, Error> {
    if ends.new_database().is_none() {
        return Ok(false);
    }
    let provisioner = Provisioner::new(ends.control.clone());
    Ok(!provisioner.has_database_of_move(&ends.site_at_target(), number).await?)
}

/// Returns whether the schema on the target exists.
pub(super) async fn is_taken(ends: &Ends) -> Result<bool, Error> {
    let mut lease = ends.target.lease().await?;
    Ok(oid_of_schema(&mut lease, &ends.to_schema).await?.is_some())
}
