//! The tenant that moves.

use std::fmt::Write;

use sqlx::{Connection, Executor, PgConnection, Postgres};
use tenantry::{TenantManager, provision::CreateOptions};

use crate::{
    failure::Failure,
    trusted::{self, trusted},
};

pub(super) const TENANT: &str = "moving";
pub(super) const SCHEMA: &str = "tenant_moving";
pub(super) const TABLES: usize = 20;

/// The note of the rows that the writers insert.
pub(super) const WRITTEN: &str = "written";

/// Creates the tenant on the main server, with as many rows in each table. With 50,000 rows, a table and its index
/// have 9 MB.
pub(super) async fn create(manager: &TenantManager, url: &str, rows: usize) -> Result<(), Failure> {
    manager.provisioner().create(TENANT, CreateOptions::default()).await?;
    // The foreign keys hold by construction.
    let mut sql = format!("set search_path = {SCHEMA}; set session_replication_role = replica; ");
    for table in 1..=TABLES {
        let parent = parent(table);
        write!(
            sql,
            "create table things{table} (
               id serial primary key,
               parent int not null references things{parent},
               hits int not null default 0,
               note text not null
             );
             insert into things{table} (parent, note)
             select n, rpad(md5(n::text), 112, md5((n * 7)::text)) from generate_series(1, {rows}) n; "
        )?;
    }
    let mut conn = PgConnection::connect(url).await?;
    for sql in [sql, "vacuum analyze".to_owned(), "checkpoint".to_owned()] {
        trusted::run(&mut conn, sql).await?;
    }
    conn.close().await?;
    Ok(())
}

/// Returns the table that a table refers to: the one before it.
fn parent(table: usize) -> usize {
    table.saturating_sub(1).max(1)
}

/// Returns the bytes of all tables, with their indexes.
pub(super) async fn bytes(url: &str) -> Result<i64, Failure> {
    let mut conn = PgConnection::connect(url).await?;
    let sql = format!(
        "select sum(pg_total_relation_size(oid))::bigint from pg_class \
         where relkind = 'r' and relnamespace = '{SCHEMA}'::regnamespace"
    );
    let bytes = sqlx::query_scalar(trusted(sql)).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(bytes)
}

/// Returns the statement that a writer runs: a row in one table and a change in another one, both or none.
///
/// Its parameters are the id of a row that no other writer changes, and the note.
pub(super) fn write_sql(table: usize) -> String {
    let parent = parent(table);
    format!(
        "with hit as (update things{parent} set hits = hits + 1 where id = $1) \
         insert into things{table} (parent, note) values ($1, $2)"
    )
}

/// Counts the writes that are there: rows that were inserted, and changes.
pub(super) async fn written(
    tenant: impl Executor<'_, Database = Postgres>,
) -> Result<(u64, u64), Failure> {
    let of_all = |sql: fn(usize) -> String| (1..=TABLES).map(sql).collect::<Vec<_>>().join(" + ");
    let rows =
        of_all(|table| format!("(select count(*) from things{table} where note = '{WRITTEN}')"));
    let hits = of_all(|table| format!("(select sum(hits) from things{table})"));
    let sql = trusted(format!("select ({rows})::bigint, ({hits})::bigint"));
    let (rows, hits): (i64, i64) = sqlx::query_as(sql).fetch_one(tenant).await?;
    Ok((u64::try_from(rows)?, u64::try_from(hits)?))
}
