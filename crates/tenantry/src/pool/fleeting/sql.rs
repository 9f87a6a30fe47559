//! SQL that begins a bound transaction, and that ends it.

use std::time::Duration;

use sqlx::{
    Row, SqlStr,
    postgres::{PgRow, types::Oid},
};

use super::modes::Modes;
use crate::{
    pool::{
        look::look,
        occupant::Occupant,
        pin::{lock, oid_of, schema_of},
        reset::{Limits, Scope, apply, clear, draw, set_limits},
        retired_keys::KeyQuestion,
        rows::row_with,
    },
    sql::Sql,
    tenant::Schema,
};

/// How a transaction begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::pool) struct BeginTerms<'a> {
    pub(in crate::pool) modes: Modes,
    /// `true` if the schema was seen to have its name so recently that this is not checked again.
    pub(in crate::pool) is_seen: bool,
    /// `true` if SQL of the application could end the transaction and go on.
    pub(in crate::pool) is_handed_out: bool,
    /// An unpredictable number that the response must return.
    pub(in crate::pool) echo: i64,
    /// `true` if statements that others have prepared on the server's session are dropped, because
    /// the pooler does not keep those of its clients apart.
    pub(in crate::pool) deallocates: bool,
    /// `true` if the server can detect disconnected clients.
    pub(in crate::pool) checked: bool,
    pub(in crate::pool) idle_in_transaction: Option<Duration>,
    /// `true` if the schemas are inspected in the same round trip.
    pub(in crate::pool) look: bool,
    /// What is asked about keys that were given up.
    pub(in crate::pool) keys: Option<KeyQuestion<'a>>,
    /// The name of the session.
    pub(in crate::pool) name: &'a str,
    /// `true` if the tenant is appended to it.
    pub(in crate::pool) name_tenant: bool,
}

/// Begins a transaction and binds it to the occupant, in one string.
///
/// First it removes what others have left in the server's session, as a bind does: which statements leave
/// something, their text does not always show. Every setting after that ends with the transaction.
///
/// What is handed out is reset in a transaction of its own, for what comes after it: SQL of the application that ends
/// the transaction itself, and goes on in the same string or session, finds no table under an
/// unqualified name.
///
/// The response is one [`BeginRow`], unless that is not needed, and those of the questions.
pub(in crate::pool) fn begin_sql(to: &Occupant, terms: BeginTerms<'_>) -> SqlStr {
    let mut sql = Sql::default();
    if terms.is_handed_out {
        // Committed on its own: SQL of the application may also roll back.
        sql.text("begin; ");
    }
    reset(&mut sql, terms.name);
    sql.text(if terms.deallocates { "deallocate all; " } else { "" });
    if terms.is_handed_out {
        // Isolation is set before any query.
        sql.text("commit; ");
    }
    terms.modes.begin(&mut sql);
    let pinned = to.pinned().filter(|_| to.is_always_pinned());
    if let Some(pinned) = pinned {
        // A statement of its own, so that the next one sees what it has waited for.
        lock(sql.text("; select "), "pg_catalog.pg_advisory_xact_lock_shared(", pinned);
    }
    if !terms.is_seen {
        verify(&mut sql, to, terms.echo);
    }
    if let Some(keys) = terms.keys {
        keys.append(sql.text("; "));
    }
    if terms.look {
        sql.text("; ");
        look(&mut sql, &to.binding, to.schemas_of_tables());
    }
    let limits = Limits {
        checked: terms.checked,
        idle_in_transaction: terms.idle_in_transaction,
        upkeep: None,
    };
    set_limits(&mut sql, &to.binding, limits, Scope::Transaction);
    apply(&mut sql, to, terms.name_tenant.then_some(terms.name), Scope::Transaction);
    sql.finish()
}

/// Appends the statements that remove the settings, cursors and temporary objects of the server's session.
///
/// `reset all` sets what sqlx asks for at connect to the server's defaults, because the pooler has not
/// opened the server's session with it.
fn reset(sql: &mut Sql, name: &str) {
    clear(sql);
    sql.text(
        "set timezone to 'UTC'; set datestyle to 'ISO, MDY'; set client_encoding to 'UTF8'; \
         set application_name to ",
    );
    sql.literal(name).text("; ");
}

/// Appends the query that returns a [`BeginRow`]. Reading a table makes the session notice schemas
/// that others have renamed or dropped.
fn verify(sql: &mut Sql, to: &Occupant, echo: i64) {
    sql.text("; select ").integer(echo).text(
        " as tenantry_echo, pg_catalog.pg_backend_pid(), pg_catalog.pg_advisory_unlock_all(), ",
    );
    sql.text(MARK).text(", ");
    match to.binding.own().first() {
        Some(schema) => oid_of(sql, schema),
        None => sql.text("null::pg_catalog.oid"),
    };
    sql.text(", d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database()");
}

/// What identifies a transaction in its session: when it began, and the process.
const MARK: &str = "pg_catalog.concat(pg_catalog.pg_backend_pid(), '/', pg_catalog.encode( \
    pg_catalog.timestamptz_send(pg_catalog.transaction_timestamp()), 'hex'))";

/// The row that a begin returns.
#[derive(Clone, Copy)]
pub(in crate::pool) struct BeginRow<'r>(&'r PgRow);

impl<'r> BeginRow<'r> {
    /// Returns the row that carries the number that was sent.
    pub(in crate::pool) fn find(rows: &'r [PgRow], echo: i64) -> Option<Self> {
        let row = row_with(ECHO, rows)?;
        is_echo(row, echo).then_some(Self(row))
    }

    /// Returns the server process that has answered.
    pub(in crate::pool) fn backend(self) -> sqlx::Result<i32> {
        self.0.try_get(1)
    }

    /// Returns what identifies the transaction.
    pub(in crate::pool) fn mark(self) -> sqlx::Result<Box<str>> {
        self.0.try_get(3)
    }

    /// Returns the schema that has the name of the occupant's.
    pub(in crate::pool) fn schema(self) -> sqlx::Result<Schema> {
        self.0.try_get(4).map(schema_of)
    }

    /// Returns the database of the session.
    pub(in crate::pool) fn database(self) -> sqlx::Result<u32> {
        self.0.try_get(5).map(|Oid(oid)| oid)
    }
}

const ECHO: &str = "tenantry_echo";

/// Whether the transaction to commit may have left state in the server's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pool) enum Traces {
    None,
    Any,
}

/// Commits a transaction of one statement. What it may have left in the server's session is removed in
/// the same message, before the pooler gives the session to another client.
pub(in crate::pool) fn commit_sql(traces: Traces, name: &str) -> SqlStr {
    let mut sql = Sql::new("commit");
    if traces == Traces::Any {
        sql.text("; ");
        remove_traces(&mut sql, name);
    }
    sql.finish()
}

/// Commits a transaction that was handed out, if it is still the one with this mark.
///
/// `close all` stands for any statement that a failed transaction refuses: the rest of the string is
/// then not executed. The empty transaction at the end is for sqlx, which still counts one.
pub(in crate::pool) fn commit_handed_out_sql(mark: &str, name: &str) -> SqlStr {
    let mut sql = Sql::new("close all; ");
    require(&mut sql, mark);
    // The last `begin` would take statements into its transaction that are outside of one.
    sql.text("; commit; begin; ");
    remove_traces(&mut sql, name);
    sql.text("; commit; begin");
    sql.finish()
}

/// Fails if the transaction with this mark is over.
pub(in crate::pool) fn require_sql(mark: &str) -> SqlStr {
    let mut sql = Sql::default();
    require(&mut sql, mark);
    sql.finish()
}

/// A number cannot be read from this text, and the server's error quotes it.
const OVER: &str = "tenantry: the transaction is over";

/// Appends a query that fails if the transaction with this mark is over. The text is not a constant
/// to the planner, which would otherwise fail at once.
fn require(sql: &mut Sql, mark: &str) {
    sql.text("select case when pg_catalog.texteq(").text(MARK).text(", ").literal(mark);
    sql.text(") then 0 else pg_catalog.concat(")
        .literal(OVER)
        .text(", pg_catalog.now())::pg_catalog.int4 end");
}

/// Returns `true` if a commit was refused because the transaction was over.
pub(in crate::pool) fn says_over(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().as_deref() == Some("22P02") && error.message().contains(OVER)
    })
}

/// Appends what removes the state that statements can have left in the server's session.
fn remove_traces(sql: &mut Sql, name: &str) {
    reset(sql, name);
    sql.text("select pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed('0.");
    sql.number(draw().unsigned_abs()).text("')");
}

/// Rolls back a transaction that was handed out, like [`commit_handed_out_sql`].
pub(in crate::pool) fn roll_back_handed_out_sql(name: &str) -> SqlStr {
    let mut sql = Sql::new("rollback; begin; ");
    remove_traces(&mut sql, name);
    sql.text("; commit; begin");
    sql.finish()
}

/// Ends a transaction, if one is open, and returns a number. Removes what outlasts a rollback, such as
/// locks of the session.
pub(in crate::pool) fn rollback_sql(echo: i64, name: &str) -> SqlStr {
    let mut sql = Sql::new("rollback; ");
    remove_traces(&mut sql, name);
    sql.text("; select ").integer(echo).text(" as tenantry_echo");
    sql.finish()
}

/// Returns `true` if a row carries this number.
pub(in crate::pool) fn is_echo(row: &PgRow, echo: i64) -> bool {
    row.try_get::<i64, _>(ECHO).is_ok_and(|got| got == echo)
}
