//! Locks on the tables of a tenant.

use sqlx::{PgConnection, SqlStr};

use crate::{sql::Sql, tenant::Ident};

/// Limits while the tables are locked against vacuum, which no request notices. Autovacuum gives way after
/// `deadlock_timeout`, 1 s by default.
pub(super) const PATIENT: &str =
    "set local lock_timeout = '5s'; set local statement_timeout = '10s'";

/// Limits while writes wait. They stay below `deadlock_timeout`: in a deadlock with a transaction of the application,
/// the lock gives way.
pub(super) const BRIEF: &str =
    "set local lock_timeout = '300ms'; set local statement_timeout = '300ms'";

/// Returns the tables of a schema, in the order of their OIDs.
pub(super) async fn tables_of(
    conn: &mut PgConnection,
    schema: &Ident,
) -> sqlx::Result<Vec<String>> {
    let tables = sqlx::query_scalar(
        "select c.relname::pg_catalog.text from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where n.nspname operator(pg_catalog.=) $1 \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
         order by c.oid",
    );
    tables.bind(schema.as_str()).persistent(false).fetch_all(conn).await
}

/// Returns the statement that locks these tables. It takes no snapshot.
pub(super) fn lock_sql(schema: &Ident, tables: &[String], mode: &'static str) -> SqlStr {
    let mut sql = Sql::default();
    for (index, table) in tables.iter().enumerate() {
        sql.text(if index == 0 { "lock table only " } else { ", only " });
        sql.ident(schema).text(".").name(table);
    }
    if !tables.is_empty() {
        sql.text(mode);
    }
    sql.finish()
}
