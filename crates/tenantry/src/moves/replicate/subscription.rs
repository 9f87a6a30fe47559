//! The subscription, on the target.

use sqlx::{PgConnection, Row, postgres::types::Oid};

use crate::{
    error::{Error, ErrorKind},
    moves::conninfo::Conninfo,
    sql::Sql,
    tenant::Ident,
};

/// Creating the slot waits for all transactions of the source, also those of other tenants. The session is reset
/// afterwards.
const LIMITS: &str = "set statement_timeout = '120s'";

/// Returns `true` if libpq cannot read a connection string. The message can have a part of the password.
pub(super) fn is_unreadable(error: &sqlx::Error) -> bool {
    const SYNTAX_ERROR: &str = "42601";
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some(SYNTAX_ERROR)
}

/// Returns the OID of the subscription, if it exists.
pub(super) async fn find(conn: &mut PgConnection, name: &Ident) -> Result<Option<u32>, Error> {
    let mut sql = Sql::new(
        "select s.oid from pg_catalog.pg_subscription s where s.subname operator(pg_catalog.=) ",
    );
    sql.literal(name.as_str());
    let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    let oid = row.map(|row| row.try_get(0)).transpose()?;
    Ok(oid.map(|Oid(oid)| oid))
}

/// Subscribes to the publication of the same name: the rows are copied, and changes since are applied.
pub(super) async fn subscribe(
    conn: &mut PgConnection,
    name: &Ident,
    conninfo: &Conninfo,
    has_slot: bool,
) -> Result<(), Error> {
    if find(conn, name).await?.is_some() {
        return Ok(());
    }
    sqlx::raw_sql(LIMITS).execute(&mut *conn).await?;
    let mut sql = Sql::new("create subscription ");
    sql.ident(name).text(" connection ").literal(conninfo.as_str()).text(" publication ");
    sql.ident(name).text(" with").text(" (").assign("slot_name").literal(name.as_str());
    sql.text(if has_slot { ", create_slot = false)" } else { ")" });
    match sqlx::raw_sql(sql.finish()).execute(conn).await {
        Ok(_) => Ok(()),
        Err(error) if is_unreadable(&error) => {
            let attempted = "subscribing: the connection string of the source cannot be read";
            Err(Error::new(ErrorKind::Config, attempted))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the number of tables whose rows are not copied yet, and of all.
pub(super) async fn progress(conn: &mut PgConnection, name: &Ident) -> Result<(i64, i64), Error> {
    let mut sql = Sql::new(
        "select pg_catalog.count(*) filter (where r.srsubstate operator(pg_catalog.<>) 'r'), pg_catalog.count(*) \
         from pg_catalog.pg_subscription_rel r \
         join pg_catalog.pg_subscription s on s.oid operator(pg_catalog.=) r.srsubid \
         where s.subname operator(pg_catalog.=) ",
    );
    sql.literal(name.as_str());
    let row = sqlx::raw_sql(sql.finish()).fetch_one(conn).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// How often the target has failed. PostgreSQL tries again forever, and counts from 15 on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failures {
    pub(super) copying: i64,
    pub(super) applying: i64,
}

/// Returns how often the target has failed to copy rows, and to apply changes.
pub(super) async fn failures(conn: &mut PgConnection, name: &Ident) -> Result<Failures, Error> {
    if conn.server_version_num().is_none_or(|version| version < 150_000) {
        return Ok(Failures::default());
    }
    let mut sql = Sql::new(
        "select s.sync_error_count, s.apply_error_count from pg_catalog.pg_stat_subscription_stats s \
         where s.subname operator(pg_catalog.=) ",
    );
    sql.literal(name.as_str());
    match sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? {
        Some(row) => Ok(Failures { copying: row.try_get(0)?, applying: row.try_get(1)? }),
        None => Ok(Failures::default()),
    }
}

/// Removes the subscription, whether or not the source can be reached. Returns its OID.
pub(super) async fn remove(conn: &mut PgConnection, name: &Ident) -> Result<Option<u32>, Error> {
    let Some(oid) = find(conn, name).await? else { return Ok(None) };
    let mut sql = Sql::new("alter subscription ");
    sql.ident(name).text(" disable; alter subscription ").ident(name);
    sql.text(" set").text(" (").assign("slot_name").text("none); drop subscription ").ident(name);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(Some(oid))
}
