//! Keeps every process from writing rows of one tenant in the tables of all, and lets them in again.
//!
//! The tables cannot be locked for as long as the move takes, because the other tenants write to them. A transaction
//! locks them against writes, waits for transactions that have written, and creates triggers that refuse rows with the
//! tenant's key. From then on, the others go on. The error of the triggers is that of a table that does not exist, so a
//! session that has heard of nothing asks the catalog, and waits there.
//!
//! Undoing replaces the function of the triggers by one that lets every row pass, which takes no lock of a table.

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    attempts::Attempt,
    drained,
    ended::ended,
    ends::Ends,
    failure::Failure,
    id::MoveId,
    locks::{BRIEF, PATIENT},
};
use crate::{
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{RowsAt, in_a_moment},
    sql::Sql,
    tenant::Ident,
};

/// The transaction that becomes the fence, and the tables: they cannot be altered, and no vacuum is at work there.
#[derive(Debug)]
pub(super) struct Held {
    tx: TenantTransaction,
    tables: Vec<String>,
}

/// How long the transaction may wait for the gate.
const IDLE: &str = "set local idle_in_transaction_session_timeout = '60s'";

/// Limits of what comes after the locks.
const ENOUGH: &str = "set local statement_timeout = '10s'";

/// What the triggers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// They refuse the tenant's rows.
    None,
    /// They refuse them in sessions of the tenant, which have not heard that it has moved. A migration of all tables
    /// changes the rows that are kept, too.
    Others,
    All,
}

/// The triggers of a table: what their names end with, when they fire, and the rows that they look at.
///
/// Those before a change refuse it before a row is returned. Those after it see what other triggers have made of a row
/// that fire later.
const TRIGGERS: [(&str, &str, &[&str]); 5] = [
    ("_i", " before insert on ", &["new"]),
    ("_u", " before update on ", &["old", "new"]),
    ("_d", " before delete on ", &["old"]),
    ("_ai", " after insert on ", &["new"]),
    ("_au", " after update on ", &["new"]),
];

/// What the names of the triggers begin with. Triggers fire in the order of their names, and this is the last character of
/// ASCII: others may set the key first.
const LAST: &str = "~";

/// The statement that refuses a row, as a table that does not exist is.
const REFUSE: &str = "raise exception using errcode = '42P01', \
                      message = 'the tenant moves, or has moved, to another place: begin again'; ";

/// Locks the tables against vacuum, which no request notices, and makes sure that there is a record of keys. Autovacuum only
/// gives way after a second, for which the lock against writes does not wait.
pub(super) async fn hold(ends: &Ends) -> Result<Held, Failure> {
    let site = ends.rows_at_source(&ends.schema)?;
    let rows = ends.rows_of_source(&site);
    let mut lease = ends.source.lease_for(&ends.source.site_of(&ends.schema)).await?;
    rows.ensure_records(&mut lease).await?;
    let tables = rows.tables(&mut lease).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    sqlx::raw_sql(PATIENT).execute(&mut *tx).await?;
    sqlx::raw_sql(IDLE).execute(&mut *tx).await?;
    let locked = sqlx::raw_sql(lock_sql(&ends.schema, &tables, " in share update exclusive mode"));
    let locked = locked.execute(&mut *tx).await;
    locked.map_err(|error| Failure::of_locks(error, "locking the tables against vacuum"))?;
    Ok(Held { tx, tables })
}

/// Returns the statement that locks tables with their partitions.
fn lock_sql(schema: &Ident, tables: &[String], mode: &'static str) -> SqlStr {
    let mut sql = Sql::default();
    for (place, table) in tables.iter().enumerate() {
        sql.text(if place == 0 { "lock table " } else { ", " });
        sql.ident(schema).text(".").name(table);
    }
    sql.text(mode);
    sql.finish()
}

/// Puts up the fence.
pub(super) async fn fence(ends: &Ends, held: Held, attempt: Attempt<'_>) -> Result<(), Failure> {
    let site = ends.rows_at_source(&ends.schema)?;
    let rows = ends.rows_of_source(&site);
    let Held { mut tx, tables } = held;
    let fenced = fence_within(&mut tx, ends, &tables, rows, attempt).await;
    ended(&ends.source, tx, fenced).await
}

async fn fence_within(
    tx: &mut PgConnection,
    ends: &Ends,
    tables: &[String],
    rows: RowsAt<'_>,
    attempt: Attempt<'_>,
) -> Result<(), Failure> {
    let schema = &ends.schema;
    drained::let_end(ends, tx).await?;
    sqlx::raw_sql(BRIEF).execute(&mut *tx).await?;
    if !rows.lock(tx).await? {
        let attempted = "another session is creating, restoring or dropping it";
        return Err(Failure::Blocked(Error::new(ErrorKind::Busy, attempted)));
    }
    let others =
        "waiting for transactions that have written to the tables of all tenants and are open";
    let locked = sqlx::raw_sql(lock_sql(schema, tables, " in share row exclusive mode"));
    let locked = locked.execute(&mut *tx).await;
    locked.map_err(|error| Failure::of_locks(error, others))?;
    sqlx::raw_sql(ENOUGH).execute(&mut *tx).await?;
    if rows.tables(tx).await? != *tables {
        let attempted = "the tables of all tenants were changed meanwhile";
        return Err(Failure::Blocked(Error::new(ErrorKind::Busy, attempted)));
    }
    let mut sql = Sql::default();
    function(&mut sql, ends, rows, attempt.id, Pass::None);
    for table in tables {
        triggers(&mut sql, schema, rows, attempt.id, table)?;
    }
    sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
    sqlx::raw_sql(rows.give_key_up_sql()?).execute(&mut *tx).await?;
    attempt.on_source().note(tx, schema).await
}

/// Lets the tenant's sessions write again, if the fence was put up.
pub(super) async fn restore(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    replace(ends, attempt, Pass::All, true).await
}

/// Lets migrations change the rows that are kept, once the tenant has moved.
pub(super) async fn loosen(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    replace(ends, attempt, Pass::Others, false).await
}

async fn replace(
    ends: &Ends,
    attempt: Attempt<'_>,
    pass: Pass,
    is_back: bool,
) -> Result<(), Failure> {
    let Ends { source, schema, .. } = ends;
    let site = ends.rows_at_source(schema)?;
    let rows = ends.rows_of_source(&site);
    let mut lease = source.lease_for(&source.site_of(schema)).await?;
    attempt.on_source().enter(&mut lease).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    let replaced = async {
        sqlx::raw_sql(PATIENT).execute(&mut *tx).await?;
        attempt.on_source().lock(&mut tx).await?;
        // Nothing is noted unless the fence was committed.
        if attempt.on_source().noted(&mut tx).await?.is_none() {
            return Ok(());
        }
        let mut sql = Sql::default();
        function(&mut sql, ends, rows, attempt.id, pass);
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        if is_back && rows.is_given_up(&mut tx).await? {
            sqlx::raw_sql(rows.take_key_back_sql()?).execute(&mut *tx).await?;
        }
        Ok(())
    };
    let replaced = replaced.await;
    ended(source, tx, replaced).await
}

/// Removes the triggers and their function, one by one: other tenants that wait behind the locks wait for a moment each.
pub(super) async fn remove(fleet: &Fleet, schema: &Ident, id: MoveId) -> Result<(), Error> {
    let mut lease = fleet.lease_for(&fleet.site_of(schema)).await?;
    let name = name_of(id);
    let triggers = sqlx::query(
        "select c.relname::pg_catalog.text, t.tgname::pg_catalog.text from pg_catalog.pg_trigger t \
         join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid \
         join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) p.pronamespace \
         where n.nspname operator(pg_catalog.=) $1 and p.proname operator(pg_catalog.=) $2 \
           and t.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid order by 1, 2",
    );
    let triggers = triggers.bind(schema.as_str()).bind(name.as_str()).persistent(false);
    for row in triggers.fetch_all(&mut *lease).await? {
        let (table, trigger): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let mut sql = Sql::new("drop trigger if exists ");
        sql.name(trigger).text(" on ").ident(schema).text(".").name(table);
        let attempted = format!("dropping the trigger {trigger} of table {schema}.{table}");
        in_a_moment(&mut lease, (schema.as_str(), table), sql, &attempted).await?;
    }
    let mut sql = Sql::new("drop function if exists ");
    sql.ident(schema).text(".").ident(&name).text("()");
    sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
    lease.settle().await;
    Ok(())
}

/// Returns the name of the function, which is part of those of the triggers.
fn name_of(id: MoveId) -> Ident {
    let name = format!("tenantry_fence_{}", id.digits());
    Ident::parse(&name).expect("it is short and has no NUL")
}

/// Appends the statement that creates or replaces the function.
fn function(sql: &mut Sql, ends: &Ends, rows: RowsAt<'_>, id: MoveId, pass: Pass) {
    let mut body = Sql::new("begin ");
    if pass == Pass::Others {
        let setting = ends.control.lookup().isolations().rows().key_setting();
        body.text("if pg_catalog.current_setting(").literal(&setting.to_string());
        body.text(", true) operator(pg_catalog.=) ").literal(rows.key()).text(" then ");
    }
    if pass != Pass::All {
        body.text(REFUSE);
    }
    body.text(if pass == Pass::Others { "end if; " } else { "" });
    body.text("if tg_op operator(pg_catalog.=) 'DELETE' then return old; end if; return new; end");
    sql.text("create or replace function ").ident(&ends.schema).text(".").ident(&name_of(id));
    sql.text("() returns pg_catalog.trigger language plpgsql as ").body(&body).text("; ");
}

/// Appends the statements that create the triggers of a table.
fn triggers(
    sql: &mut Sql,
    schema: &Ident,
    rows: RowsAt<'_>,
    id: MoveId,
    table: &str,
) -> Result<(), Error> {
    let function = name_of(id);
    for (end, fires, aliases) in TRIGGERS {
        sql.text("create trigger ").name(&format!("{LAST}{function}{end}")).text(fires);
        sql.ident(schema).text(".").name(table).text(" for each row when (");
        for (place, alias) in aliases.iter().enumerate() {
            sql.text(if place == 0 { "" } else { " or " });
            rows.is_tenants(sql, alias)?;
        }
        sql.text(") execute function ").ident(schema).text(".").ident(&function).text("(); ");
    }
    Ok(())
}
