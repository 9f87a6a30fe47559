//! The publication and the slot, on the source.

use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::sleep;

use super::names::MARKERS;
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// How often, and how many times, it is tried to drop a slot that is in use: its process ends soon after the
/// subscription.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

/// How often it is looked before that process is ended. One that creates the slot waits for transactions that are
/// open, and does not notice that its client has gone.
const PATIENT_LOOKS: u32 = 10;

/// Publishes the tables of a schema, with the table of markers. Partitions are published one by one.
pub(super) async fn publish(
    conn: &mut PgConnection,
    name: &Ident,
    schema: &Ident,
    shared: &Ident,
) -> Result<(), Error> {
    let mut sql =
        Sql::new("select from pg_catalog.pg_publication p where p.pubname operator(pg_catalog.=) ");
    sql.literal(name.as_str());
    if sqlx::raw_sql(sql.finish()).fetch_optional(&mut *conn).await?.is_some() {
        return Ok(());
    }
    let tables = sqlx::query(
        "select c.relname::pg_catalog.text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where n.nspname operator(pg_catalog.=) $1 and c.relkind operator(pg_catalog.=) 'r' order by c.oid",
    );
    let tables = tables.bind(schema.as_str()).persistent(false).fetch_all(&mut *conn).await?;
    let mut sql = Sql::new("create publication ");
    sql.ident(name).text(" for table only ");
    MARKERS.name(&mut sql, shared);
    for table in &tables {
        sql.text(", only ").ident(schema).text(".").name(table.try_get(0)?);
    }
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Creates the slot of the subscription, unless it is there. It waits for all transactions of the server.
pub(super) async fn create_slot(conn: &mut PgConnection, name: &Ident) -> Result<(), Error> {
    sqlx::raw_sql("set statement_timeout = '120s'").execute(&mut *conn).await?;
    let mut sql = Sql::new("select pg_catalog.pg_create_logical_replication_slot(");
    sql.literal(name.as_str()).text(
        ", 'pgoutput') where not exists (select \
       from pg_catalog.pg_replication_slots s where s.slot_name operator(pg_catalog.=) ",
    );
    sql.literal(name.as_str()).text(")");
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Removes the publication and the slots: that of the subscription, and those by which it copied tables.
pub(super) async fn remove(
    conn: &mut PgConnection,
    name: &Ident,
    subscription: Option<u32>,
) -> Result<(), Error> {
    let mut sql = Sql::new("drop publication if exists ");
    sql.ident(name);
    sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    for look in 0..LOOKS {
        let found =
            sqlx::raw_sql(slots_sql(name, subscription, "s.active")).fetch_all(&mut *conn).await?;
        if found.is_empty() {
            return Ok(());
        }
        let idle = "pg_catalog.pg_drop_replication_slot(s.slot_name)::pg_catalog.text";
        let mut sql = Sql::new("select ");
        sql.text(idle).text(" from pg_catalog.pg_replication_slots s where not s.active and ");
        is_its(&mut sql, name, subscription);
        if sqlx::raw_sql(sql.finish()).fetch_all(&mut *conn).await.is_err() {
            // It has become active meanwhile.
        }
        if look >= PATIENT_LOOKS {
            end_users(conn, name, subscription).await;
        }
        sleep(LOOK_AGAIN).await;
    }
    let attempted = format!("dropping the replication slot {name}: it is still in use");
    Err(Error::new(ErrorKind::Busy, attempted))
}

/// Ends the processes that still use the slots, if the role may.
async fn end_users(conn: &mut PgConnection, name: &Ident, subscription: Option<u32>) {
    let end = "pg_catalog.pg_terminate_backend(s.active_pid)";
    if let Err(error) = sqlx::raw_sql(slots_sql(name, subscription, end)).fetch_all(conn).await {
        tracing::debug!(target: "tenantry::moves", %error, "could not end the process that uses a slot");
    }
}

fn slots_sql(name: &Ident, subscription: Option<u32>, what: &'static str) -> sqlx::SqlStr {
    let mut sql = Sql::new("select ");
    sql.text(what).text(" from pg_catalog.pg_replication_slots s where ");
    is_its(&mut sql, name, subscription);
    sql.finish()
}

fn is_its(sql: &mut Sql, name: &Ident, subscription: Option<u32>) {
    sql.text("(s.slot_name operator(pg_catalog.=) ").literal(name.as_str());
    if let Some(oid) = subscription {
        sql.text(" or pg_catalog.starts_with(s.slot_name::pg_catalog.text, ");
        sql.literal(&format!("pg_{oid}_sync_")).text(")");
    }
    sql.text(")");
}
