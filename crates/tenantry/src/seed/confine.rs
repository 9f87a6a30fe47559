//! Confines a transaction of the library to the rows of one tenant, in tables that hold those of all.

use sqlx::{PgConnection, Row};

use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, Setting},
};

/// The maximum number of tables that an error names.
const NAMED: u64 = 3;

/// Lets the following statements of the transaction see and change only the rows of the site's tenant, as its own
/// sessions do: they run as the role of these, with the tenant's key. Does nothing for a tenant with tables of its
/// own.
///
/// # Errors
///
/// [`Config`](ErrorKind::Config) if the policies of a table do not apply to that role: an `update` without a condition
/// would change the rows of all tenants. [`PermissionDenied`](ErrorKind::PermissionDenied) if the maintenance role
/// cannot take on that role.
pub(crate) async fn confine(
    conn: &mut PgConnection,
    site: &Site,
    role: Option<&Ident>,
) -> Result<(), Error> {
    let Some(rows) = &site.rows else { return Ok(()) };
    let mut sql = Sql::new("set local row_security to on; ");
    set_key(&mut sql, rows);
    if let Some(role) = role {
        sql.text("set local role ").ident(role).text("; ");
    }
    unfiltered(&mut sql, rows, &site.schema);
    let tables = sqlx::raw_sql(sql.finish()).fetch_all(conn).await;
    let tables = tables.map_err(|error| refused(error, role))?;
    let tables: Vec<&str> = tables.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if tables.is_empty() { Ok(()) } else { Err(not_filtered(&tables, role)) }
}

/// Returns to the maintenance role.
pub(crate) async fn release(conn: &mut PgConnection, site: &Site) -> Result<(), Error> {
    if site.rows.is_some() {
        sqlx::raw_sql("set local role none").execute(conn).await?;
    }
    Ok(())
}

/// Appends the statement that gives a transaction the tenant's key.
pub(crate) fn set_key(sql: &mut Sql, rows: &RowsOfTenant) {
    let Setting { class, name } = rows.of.key_setting();
    sql.text("set local ").ident(class).text(".").ident(name);
    sql.text(" to ").literal(&rows.key).text("; ");
}

/// Appends the query for tables with the tenants' column whose policies do not apply to the current role. A partition
/// is reached through its table.
fn unfiltered(sql: &mut Sql, rows: &RowsOfTenant, schema: &Ident) {
    sql.text(
        "select pg_catalog.quote_ident(c.relname::pg_catalog.text) from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
           and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
         where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
           and not c.relispartition and not pg_catalog.row_security_active(c.oid) \
           and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str()).text(" and a.attname operator(pg_catalog.=) ");
    sql.literal(rows.of.key_column().as_str()).text(" order by 1 limit ").number(NAMED);
}

fn not_filtered(tables: &[&str], role: Option<&Ident>) -> Error {
    let role =
        role.map_or_else(|| "the maintenance role".to_owned(), |role| format!("role {role}"));
    let attempted = format!(
        "row-level security does not keep {role} to the tenant's rows of {}: enable and force it on the table, and \
         have tenants served by a role without superuser and bypassrls (Rows::role)",
        tables.join(", ")
    );
    Error::new(ErrorKind::Config, attempted)
}

fn refused(error: sqlx::Error, role: Option<&Ident>) -> Error {
    let error = Error::from(error);
    match (error.kind(), role) {
        (ErrorKind::PermissionDenied, Some(role)) => {
            let attempted = format!(
                "the maintenance role cannot work as role {role}, which serves the tenant: grant it membership"
            );
            Error::new(ErrorKind::PermissionDenied, attempted).with_source(error)
        }
        _ => error,
    }
}
