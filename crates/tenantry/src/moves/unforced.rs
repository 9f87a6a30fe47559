//! Reads tables whose policies apply to their owner.
//!
//! Forced row security hides rows from the owner of a table, or refuses to read it. The owner may end that, and a
//! transaction that is rolled back, or that forces it again, keeps it from everybody else.

use sqlx::PgConnection;

use crate::{sql::Sql, tenant::Ident};

/// Policies apply to this role, which may end that.
const LIFTABLE: &str = "select c.relname::pg_catalog.text from pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
     where n.nspname operator(pg_catalog.=) $1 and c.relforcerowsecurity \
       and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
       and pg_catalog.row_security_active(c.oid) \
       and pg_catalog.pg_has_role(c.relowner, 'usage') \
     order by c.oid";

/// Ends, in an open transaction, that policies apply to the owner of a schema's tables, if this role is one that they
/// apply to. Returns these tables, which are locked until the transaction ends.
pub(super) async fn lift(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Vec<String>> {
    let tables = sqlx::query_scalar(LIFTABLE).bind(schema.as_str()).persistent(false);
    let tables: Vec<String> = tables.fetch_all(&mut *conn).await?;
    alter(conn, schema, &tables, " no force row level security; ").await?;
    Ok(tables)
}

/// Takes [`lift`] back.
pub(super) async fn force(
    conn: &mut PgConnection,
    schema: &Ident,
    tables: &[String],
) -> sqlx::Result<()> {
    alter(conn, schema, tables, " force row level security; ").await
}

async fn alter(
    conn: &mut PgConnection,
    schema: &Ident,
    tables: &[String],
    how: &'static str,
) -> sqlx::Result<()> {
    let mut sql = Sql::default();
    for table in tables {
        sql.text("alter table ").ident(schema).text(".").name(table).text(how);
    }
    sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)
}
