//! The scratch tables, with the policies that the library generates.

use sqlx::{SqlStr, raw_sql};

use super::super::super::{
    create::now,
    mark::{Mark, note},
    row_tenants::{SHARED, schema_of},
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::Lease,
    rows::{RowTable, RowTables},
    sql::Sql,
    tenant::{Ident, IdentError, Rows},
};

/// The version of PostgreSQL from which on a view can run with the privileges of the session.
const INVOKER_VIEWS: u32 = 150_000;

/// Creates the tables, as the application's settings say, and grants tenants' sessions what migrations grant them.
pub(in crate::proof) async fn create(
    fleet: &Fleet,
    lease: &mut Lease,
    mark: &Mark,
) -> Result<(), Error> {
    let (schema, now) = (schema_of(mark)?, now(lease).await?);
    let has_views = lease.server_version_num().is_some_and(|version| version >= INVOKER_VIEWS);
    let rows = fleet.lookup().isolations().rows();
    let manager = fleet.server().role_of_manager();
    let sql = sql((&schema, &mark.name(SHARED)?), rows, now, manager, has_views)?;
    #[cfg(test)]
    let sql = fleet.server().options().broken.break_sql(sql);
    raw_sql(sql).execute(&mut **lease).await?;
    Ok(())
}

/// Returns the statements, which are atomic: one string is one transaction.
fn sql(
    (schema, shared): (&Ident, &Ident),
    rows: &Rows,
    now: i64,
    manager: Option<&Ident>,
    has_views: bool,
) -> Result<SqlStr, Error> {
    let mut sql = Sql::new("create schema ");
    sql.ident(schema).text("; comment on schema ").ident(schema).text(" is ").literal(&note(now));
    sql.text("; set local search_path to ").ident(schema).text(";");
    sql.sql(&tables(rows)?.create_sql());
    functions(&mut sql, rows.key_column());
    if has_views {
        sql.text("create view visitors with (security_invoker = true) as select p.");
        sql.ident(rows.key_column())
            .text("::text as owner from visits v join people p on p.id = v.person_id;");
    }
    if let Some(role) = rows.sessions_role().or(manager) {
        sql.text("grant usage on schema ").ident(schema).text(", ").ident(shared);
        sql.text(" to ").ident(role);
        sql.text("; grant select, insert, update, delete on people, visits to ").ident(role);
        if has_views {
            sql.text("; grant select on visitors to ").ident(role);
        }
    }
    Ok(sql.finish())
}

fn tables(rows: &Rows) -> Result<RowTables, Error> {
    let people = RowTable::new("people").and_then(|table| table.unique(["email"]));
    let visits = RowTable::new("visits").and_then(|table| table.references("person_id", "people"));
    let unnamed = |error: IdentError| {
        Error::new(ErrorKind::Config, "naming a scratch table").with_source(error)
    };
    Ok(RowTables::new(rows).table(people.map_err(unnamed)?).table(visits.map_err(unnamed)?))
}

/// Appends functions that read the rows, or reveal a value that a condition is asked about.
fn functions(sql: &mut Sql, column: &Ident) {
    let mut owners = Sql::new("select ");
    owners.ident(column).text("::text from people");
    let mut first = Sql::new("declare found text; begin select ");
    first.ident(column).text("::text into found from people limit 1; return found; end");
    sql.text("create function owners() returns setof text language sql stable as ");
    sql.literal(owners.as_str());
    sql.text("; create function first_owner() returns text language plpgsql stable as ");
    sql.literal(first.as_str());
    sql.text(
        "; create function reveal(seen text, own text) returns boolean language plpgsql volatile cost 0.0001 \
         as 'begin if seen <> own then raise exception ''%'', seen; end if; return true; end';",
    );
}
