//! Removes what a move has made, and the schemas that it has kept.

use sqlx::Row;

use super::{MoveMethod, attempts::Attempt, ends::Ends, failure::Failure, replicate};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{DropOptions, Provisioner, name_of_schema, objects_outside},
    sql::Sql,
    tenant::Ident,
};

/// Removes the copy from the target, if there is one.
pub(super) async fn clean_up(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
) -> Result<(), Failure> {
    let Ends { target, .. } = ends;
    let mut lease = target.lease().await?;
    attempt.enter(&mut lease).await?;
    drop(lease);
    if method == MoveMethod::Replication {
        replicate::drop_all(ends, attempt.id).await?;
    }
    let mut lease = target.lease().await?;
    let noted = attempt.noted(&mut lease).await?;
    let name = match noted {
        Some(oid) => name_of_schema(&mut lease, oid).await?,
        None => None,
    };
    drop(lease);
    if let Some(name) = name {
        let site = target.site_of(&name);
        Provisioner::new(target.clone()).drop_schema(&site, &DropOptions::default()).await?;
    }
    leave(ends, attempt).await
}

/// Tidies up after the tenant has moved: ends replication, and gives the planner of the target its statistics.
pub(super) async fn finish(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
) -> Result<(), Failure> {
    if method == MoveMethod::Replication {
        replicate::drop_all(ends, attempt.id).await?;
    }
    analyze(ends, attempt).await?;
    leave(ends, attempt).await
}

/// Analyzes the tables of the copy. They may be gone: the tenant can be renamed or dropped by now.
async fn analyze(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Error> {
    let mut lease = ends.target.lease().await?;
    let Some(oid) = attempt.noted(&mut lease).await? else { return Ok(()) };
    let mut sql = Sql::new(
        "select n.nspname::pg_catalog.text, c.relname::pg_catalog.text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where c.relkind operator(pg_catalog.=) any (array['r', 'm']::pg_catalog.\"char\"[]) \
           and n.oid operator(pg_catalog.=) ",
    );
    sql.number(oid.into()).text("::pg_catalog.oid order by c.oid");
    let tables = sqlx::raw_sql(sql.finish()).fetch_all(&mut *lease).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let mut sql = Sql::new("analyze ");
    for (index, table) in tables.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        sql.name(table.try_get(0)?).text(".").name(table.try_get(1)?);
    }
    if let Err(error) = sqlx::raw_sql(sql.finish()).execute(&mut *lease).await {
        // Autovacuum does it later.
        tracing::debug!(
            target: "tenantry::provision",
            tenant = ends.id().as_str(),
            error = &error as &dyn std::error::Error,
            "the tables of a tenant that has moved could not be analyzed"
        );
    }
    Ok(())
}

/// Removes the rows of the move on both servers.
async fn leave(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    for fleet in [&ends.target, &ends.source] {
        let mut lease = fleet.lease().await?;
        attempt.leave(&mut lease).await?;
    }
    Ok(())
}

/// Drops a schema that was kept.
///
/// # Errors
///
/// [`Database`](ErrorKind::Database) if objects outside depend on it.
pub(super) async fn drop_kept(fleet: &Fleet, kept_as: &Ident) -> Result<(), Error> {
    let mut lease = fleet.lease().await?;
    let outside = objects_outside(&mut lease, kept_as).await?;
    drop(lease);
    if !outside.is_empty() {
        let attempted =
            format!("{} outside of its schema depends on it; drop that first", outside.join(", "));
        return Err(Error::new(ErrorKind::Database, attempted));
    }
    let site = fleet.site_of(kept_as);
    Provisioner::new(fleet.clone()).drop_schema(&site, &DropOptions::default()).await.map(drop)
}
