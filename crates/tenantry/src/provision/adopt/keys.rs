//! Rows that a tenant's sessions would not see.

use sqlx::{PgConnection, Row};

use crate::{error::Error, sql::Sql, tenant::Ident};

/// Returns what prevents a schema from becoming a tenant's with this key: tables that have rows with another one. Tables
/// whose policies hide rows from this session cannot be checked.
pub(super) async fn of_others(
    conn: &mut PgConnection,
    schema: &Ident,
    column: &Ident,
    key: &str,
) -> Result<Vec<String>, Error> {
    let mut blockers = Vec::new();
    for table in tables(conn, schema, column).await? {
        let mut sql = Sql::new("select t.");
        sql.ident(column).text("::pg_catalog.text from ").ident(schema).text(".").ident(&table);
        sql.text(" t where t.").ident(column).text("::pg_catalog.text operator(pg_catalog.<>) ");
        sql.literal(key).text(" limit 1");
        let Some(row) = sqlx::raw_sql(sql.finish()).fetch_optional(&mut *conn).await? else {
            continue;
        };
        let other: String = row.try_get(0)?;
        blockers.push(format!(
            "table {schema}.{table} has rows with the key {other:?}, which the tenant would not see with the key {key:?}: \
             name their key with Adopt::key, or change it"
        ));
    }
    Ok(blockers)
}

async fn tables(
    conn: &mut PgConnection,
    schema: &Ident,
    column: &Ident,
) -> Result<Vec<Ident>, Error> {
    let mut sql = Sql::new(
        "select c.relname::pg_catalog.text from pg_catalog.pg_class c \
         join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
         where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
         and not c.relispartition and not pg_catalog.row_security_active(c.oid) \
         and c.relnamespace operator(pg_catalog.=) (select n.oid from pg_catalog.pg_namespace n \
           where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str()).text(") and a.attname operator(pg_catalog.=) ");
    sql.literal(column.as_str()).text(" and not a.attisdropped order by 1");
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    rows.iter().map(|row| Ident::parse(row.try_get(0)?).map_err(Error::catalog)).collect()
}
