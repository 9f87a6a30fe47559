//! Removes what a move has made, and the schemas that it has kept.

use sqlx::{PgConnection, Row};

use super::{
    MoveMethod, MoveRecord,
    attempts::{Attempt, Entry},
    beside::BESIDE,
    change_log, container,
    ends::Ends,
    failure::Failure,
    id::{MoveId, book},
    replicate, row_fence,
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{DropOptions, Provisioner, RowsAt, name_of_schema, objects_outside, oid_of_schema},
    sql::Sql,
    tenant::{Ident, IsolationKind, TenantRecord},
};

/// Removes the copy from the target, if there is one.
pub(super) async fn clean_up(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
) -> Result<(), Failure> {
    let Ends { source, target, .. } = ends;
    let at_source = Some((source, attempt.on_source()));
    let at_target = Some((target, attempt.on_target()));
    if ends.source_kind() == IsolationKind::Row {
        row_fence::remove(source, &ends.schema, attempt.id).await?;
    }
    if method == MoveMethod::ChangeLog {
        change_log::end(ends, attempt).await?;
    }
    let number = attempt.id.number();
    if container::is_missing(ends, number).await? {
        // It may have been made in part.
        container::remove_database(ends, number).await?;
        leave(attempt, [at_source, None]).await?;
        return end_replication(ends, attempt, method).await;
    }
    let mut lease = target.lease().await?;
    attempt.on_target().enter(&mut lease).await?;
    drop(lease);
    end_replication(ends, attempt, method).await?;
    if container::remove_database(ends, number).await? {
        leave(attempt, [at_source, None]).await?;
        return end_replication(ends, attempt, method).await;
    }
    let mut lease = target.lease().await?;
    let noted = attempt.on_target().noted(&mut lease).await?;
    let name = match noted {
        Some(oid) => name_of_schema(&mut lease, oid).await?,
        None => None,
    };
    drop(lease);
    match (name, ends.target_kind()) {
        (Some(_), IsolationKind::Row) => {
            let site = ends.rows_at_target()?;
            let rows = ends.rows_of_target(&site);
            // A tenant only gets a key without rows: if another one has it, an interrupted attempt has deleted them.
            // The tenant itself can have been dropped, and created there.
            if rows.sharer(&ends.control).await?.is_none() && !is_placed_at_target(ends).await? {
                rows.delete(false).await?;
            }
        }
        (Some(name), _) if name != ends.to_schema => {
            let attempted = format!("removing its copy: the schema is called {name} now");
            return Err(Error::new(ErrorKind::Placement, attempted).into());
        }
        (Some(name), _) => {
            let site = target.site_of(&name);
            Provisioner::new(target.clone()).drop_schema(&site, &DropOptions::default()).await?;
        }
        (None, _) => {}
    }
    leave(attempt, [at_target, at_source]).await?;
    end_replication(ends, attempt, method).await
}

/// Returns `true` if the catalog has the tenant at the target now, although the move was undone.
async fn is_placed_at_target(ends: &Ends) -> Result<bool, Error> {
    let now = match ends.control.record(ends.id()).await {
        Ok(now) => now,
        Err(error) if error.kind() == ErrorKind::UnknownTenant => return Ok(false),
        Err(error) => return Err(error),
    };
    let lookup = ends.control.lookup();
    Ok(lookup.place(&now)?.spot() == lookup.place(&ends.placed)?.spot())
}

/// Removes what replication needs.
async fn end_replication(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
) -> Result<(), Failure> {
    match method {
        MoveMethod::Replication => replicate::drop_all(ends, attempt.id).await,
        _ => Ok(()),
    }
}

/// Tidies up after the tenant has moved: ends replication, and gives the planner of the target its statistics.
pub(super) async fn finish(
    ends: &Ends,
    attempt: Attempt<'_>,
    method: MoveMethod,
) -> Result<(), Failure> {
    end_replication(ends, attempt, method).await?;
    if method == MoveMethod::ChangeLog {
        change_log::end(ends, attempt).await?;
    }
    if ends.source_kind() == IsolationKind::Row {
        row_fence::loosen(ends, attempt).await?;
    }
    if ends.target_kind() != IsolationKind::Row {
        analyze(ends, attempt).await?;
    }
    let at_source = Some((&ends.source, attempt.on_source()));
    leave(attempt, [Some((&ends.target, attempt.on_target())), at_source]).await?;
    end_replication(ends, attempt, method).await
}

/// Analyzes the tables of the copy, which autovacuum may be slow to do. They may be gone: the tenant can be renamed or
/// dropped by now.
pub(super) async fn analyze(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Error> {
    let mut lease = ends.target.lease().await?;
    let Some(oid) = attempt.on_target().noted(&mut lease).await? else { return Ok(()) };
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

/// Removes the records of the move in these databases. In a database of the tenant's own, there is no other move.
async fn leave(
    attempt: Attempt<'_>,
    ends: [Option<(&Fleet, Entry<'_>)>; 2],
) -> Result<(), Failure> {
    for (fleet, entry) in ends.into_iter().flatten() {
        let mut lease = fleet.lease().await?;
        match fleet.home().database() {
            None => entry.leave(&mut lease).await?,
            Some(_) => {
                let mut sql = Sql::new("drop schema if exists ");
                sql.ident(attempt.book).text(" cascade");
                sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
            }
        }
    }
    Ok(())
}

/// Removes what a tenant has left on the server of this record.
pub(super) async fn remove_left(control: &Fleet, found: &MoveRecord) -> Result<(), Error> {
    let (from, id) = (&found.of.places.from, found.of.id);
    let left = from.record(&found.from, &TenantRecord::new(found.tenant_id.clone()));
    let home = control.home_of(&left)?;
    let there = control.at(&home);
    match from.kind {
        IsolationKind::Row => remove_rows(&there, &left, &from.schema, id).await,
        IsolationKind::Database => {
            let site = there.site_at(&left, &from.schema);
            if !Provisioner::new(control.clone()).has_database(&site).await? {
                return Ok(());
            }
            let mut lease = there.lease().await?;
            let is_its = oid_of_schema(&mut lease, &id.kept_name()).await?.is_some();
            if !is_its {
                let attempted = "the database of its name has not been left by it";
                return Err(Error::new(ErrorKind::Placement, attempted));
            }
            refuse_others(&mut lease, &id.kept_name()).await?;
            drop(lease);
            Provisioner::new(control.clone()).drop_left_database(&site).await
        }
        _ => drop_kept(&there, &id.kept_name()).await,
    }
}

/// Refuses to drop the database that a tenant has left, if others have put something into it.
async fn refuse_others(conn: &mut PgConnection, kept_as: &Ident) -> Result<(), Error> {
    let beside = sqlx::query(BESIDE).bind(kept_as.as_str()).bind(book().as_str());
    let row = beside.persistent(false).fetch_one(conn).await?;
    for (column, what) in ["other schemas with objects", "large objects"].into_iter().enumerate() {
        if let Some(found) = row.try_get::<Option<&str>, _>(column)? {
            let attempted = format!(
                "its database has {what} by now: {found}; drop these, or drop the database yourself"
            );
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
    }
    Ok(())
}

/// Deletes rows that were left in the tables of all tenants, unless another tenant has their key.
async fn remove_rows(
    there: &Fleet,
    left: &TenantRecord,
    schema: &Ident,
    id: MoveId,
) -> Result<(), Error> {
    let site = there.site_of_rows(left)?;
    let rows = RowsAt { fleet: there, site: &site, record: left, are_shared: true };
    let mut lease = there.lease_for(&site).await?;
    let is_given_up = rows.is_given_up(&mut lease).await?;
    lease.settle().await;
    if is_given_up {
        rows.refuse_kept_in_use().await?;
    }
    row_fence::remove(there, schema, id).await?;
    rows.delete(true).await
}

/// Drops a schema that was kept.
///
/// # Errors
///
/// [`Database`](ErrorKind::Database) if objects outside depend on it.
async fn drop_kept(fleet: &Fleet, kept_as: &Ident) -> Result<(), Error> {
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
