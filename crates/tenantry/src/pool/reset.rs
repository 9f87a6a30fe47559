//! SQL that resets a session and applies a binding.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sqlx::SqlStr;

use super::{application_name, look::look, occupant::Occupant};
use crate::{
    sql::Sql,
    tenant::{Ident, SchemaOid},
};

/// The required extent of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// For a session that ran only plain queries: removes anything that a called function can have
    /// left.
    Plain,
    /// For any session: also transactions and deallocated statements.
    Thorough,
}

/// Parameters of a bind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) reset: Reset,
    /// `true` if plans made under other settings are discarded, including those in functions.
    pub(super) discard_plans: bool,
    /// An unpredictable number that the response must return.
    pub(super) echo: i64,
    /// `true` if the server can detect disconnected clients.
    pub(super) checked: bool,
    /// Idle limit of transactions, except the library's own; `None` keeps the server's
    /// configuration.
    pub(super) idle_in_transaction: Option<Duration>,
    /// Settings of the library's own work that must not depend on server defaults.
    pub(super) upkeep: Option<Upkeep>,
    /// `true` if the schemas are inspected in the same round trip.
    pub(super) look: bool,
    pub(super) pin: Pin,
    /// The name to which the tenant is appended; `None` keeps the session's own.
    pub(super) name: Option<&'a str>,
}

/// The session limits that the server supports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upkeep {
    pub(super) transaction_timeout: bool,
}

/// Appends the settings of the library's own work.
///
/// It sets its own limits where needed; a limit meant for requests would abort a run midway. Files
/// are parsed, and records are written and sent, as the library expects; a second look-up in a
/// transaction really runs again.
fn set_for_upkeep(sql: &mut Sql, upkeep: Upkeep) {
    sql.text(
        "; set statement_timeout to 0; set idle_in_transaction_session_timeout to 0; \
         set idle_session_timeout to 0; set standard_conforming_strings to on; set bytea_output to hex; \
         set default_transaction_isolation to 'read committed'",
    );
    if upkeep.transaction_timeout {
        sql.text("; set transaction_timeout to 0");
    }
}

/// Draws an unpredictable number from 2⁶¹ up to 2⁶², so that its literal is a `bigint`.
pub(super) fn draw() -> i64 {
    // Hashing with random keys yields an unpredictable number.
    ((RandomState::new().hash_one(0_u8) >> 3) | (1 << 61)).cast_signed()
}

/// Resets everything that a session can carry in one string, then applies the binding.
///
/// It does what [`DISCARD ALL`](https://www.postgresql.org/docs/current/sql-discard.html) does,
/// with two exceptions: the statements prepared by sqlx stay, because sqlx still relies on them, and
/// plans are discarded only with [`Terms::discard_plans`]. `begin; rollback` ends any transaction
/// without the warning that a lone `rollback` would write to the server's log.
///
/// First it resets the role and then the search path, to only `pg_catalog`, before any query:
/// `reset all` sets both to the defaults of the role or the database, which a tenant's SQL may have
/// changed. (`reset session authorization` resets the role regardless of its default.) The query is
/// text, because a prepared statement can be replaced by another of the same name, and every name
/// in it is qualified.
///
/// The response is one row:
///
/// | column | meaning |
/// |---|---|
/// | `tenantry_echo` | the number that was sent |
/// | 1 | the process that answers |
/// | 2, 3, 4 | nothing: advisory locks are released, the schema is pinned, and the seed of `random()` is set, which is not part of `reset all` |
/// | 5 | whether this is a separate transaction, which begins with its statement |
/// | 6 | the current OID of the occupant's schema, if it has one |
/// | 7 | after a thorough reset, the number of statements that the server has for sqlx |
///
/// and another without columns for each statement that was prepared with SQL.
pub(super) fn bind_sql(to: &Occupant, terms: Terms<'_>) -> SqlStr {
    let mut sql = Sql::new(match terms.reset {
        Reset::Plain => "",
        Reset::Thorough => "begin; rollback; ",
    });
    sql.text(
        "reset session authorization; reset all; set search_path to pg_catalog, pg_temp; \
         close all; unlisten *; discard temp; discard sequences; ",
    );
    if terms.discard_plans {
        // Plans in functions with their own search path remember the previous settings.
        sql.text("discard plans; ");
    }
    sql.text("select ");
    sql.integer(terms.echo).text(
        " as tenantry_echo, pg_catalog.pg_backend_pid(), pg_catalog.pg_advisory_unlock_all(), ",
    );
    let own = to.oid().zip(to.binding.own().first());
    match (terms.pin, own) {
        (Pin::Yes, Some((oid, schema))) => lock(&mut sql, TRY_PIN, oid, schema),
        _ => sql.text("null"),
    };
    // Quoted, so that it is parsed as the target type and not converted from a `numeric`.
    sql.text(", pg_catalog.setseed('0.").number(draw().unsigned_abs()).text(
        "'), pg_catalog.timestamptz_eq(pg_catalog.transaction_timestamp(), \
         pg_catalog.statement_timestamp()), ",
    );
    match to.binding.own().first() {
        Some(schema) => oid_of(&mut sql, schema),
        None => sql.text("null::pg_catalog.oid"),
    };
    if terms.reset == Reset::Thorough {
        sql.text(
            ", pg_catalog.count(*) from pg_catalog.pg_prepared_statement() where not from_sql",
        );
    }
    sql.text("; select from pg_catalog.pg_prepared_statement() where from_sql");
    if let (Pin::AfterDrop, Some((oid, schema))) = (terms.pin, own) {
        lock(sql.text("; select "), WAIT_FOR_PIN, oid, schema);
        look_after_drop(&mut sql, schema);
    }
    if terms.look {
        sql.text("; ");
        look(&mut sql, &to.binding);
    }
    if terms.checked {
        // A statement whose client has disconnected ends within this time.
        sql.text("; set client_connection_check_interval to '1s'");
    }
    if let Some(limit) = terms.idle_in_transaction {
        // A transaction of the library may wait for something else, such as its other files.
        let limit = if to.binding.is_librarys { Duration::ZERO } else { limit };
        sql.text("; set idle_in_transaction_session_timeout to ").number(whole_millis(limit));
    }
    if let Some(upkeep) = terms.upkeep {
        set_for_upkeep(&mut sql, upkeep);
    }
    for (name, value) in &to.binding.settings {
        sql.text("; select pg_catalog.set_config(").literal(name);
        sql.text(", ").literal(value).text(", false)");
    }
    if let (Some(name), Some(tenant)) = (terms.name, to.tenant()) {
        // After the tenant's own settings, which must not hide the owner of the session.
        let name = application_name::with_tenant(name, tenant);
        sql.text("; set application_name to ").literal(&name);
    }
    sql.text("; set search_path to ").idents(&to.binding.search_path);
    if to.binding.search_path.is_empty() {
        sql.text("''");
    }
    if let Some(role) = &to.binding.role {
        sql.text("; set role ").ident(role);
    }
    sql.finish()
}

/// Formats a duration as a server setting: zero means no limit, so any other duration must not
/// round to zero.
fn whole_millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).min(most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// Appends the current OID of a schema; null if none has that name.
fn oid_of<'s>(sql: &'s mut Sql, schema: &Ident) -> &'s mut Sql {
    sql.text("pg_catalog.to_regnamespace(").literal(&schema.quoted().to_string());
    sql.text(")::pg_catalog.oid")
}

/// Whether a session holds the pin of a schema until it is reset: a shared lock that shows others
/// that the session works on that very schema, whatever its name.
///
/// It is for sessions that stay with their user for longer than a statement or a transaction, which
/// others see anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pin {
    No,
    /// Acquired without waiting. No part of the library holds it exclusively.
    Yes,
    /// A drop or rename may hold it exclusively, so acquiring it waits.
    AfterDrop,
}

/// The high half of the keys of the locks by which sessions pin a schema. The low half is the
/// schema's OID, with the [hash of the name](pin_hash) under which they work on it: a renamed
/// schema has different pins.
pub(crate) const PINS: u32 = 0x7e4a_0001;

/// Hashes the name of a schema identically in every version and process (FNV-1a).
pub(crate) fn pin_hash(schema: &Ident) -> u32 {
    let bytes = schema.as_str().bytes();
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns a statement that pins a schema. It returns one row, `tenantry_pinned`, with the current
/// OID of the schema of that name.
pub(super) fn pin_sql(how: Pin, oid: SchemaOid, schema: &Ident) -> SqlStr {
    let mut sql = Sql::new("select ");
    match how {
        Pin::No | Pin::Yes => {
            lock(&mut sql, TRY_PIN, oid, schema).text(", ");
            oid_of(&mut sql, schema).text(" as tenantry_pinned");
        }
        Pin::AfterDrop => {
            lock(&mut sql, WAIT_FOR_PIN, oid, schema);
            look_after_drop(&mut sql, schema);
        }
    }
    sql.finish()
}

/// Acquired without waiting where only a hostile session can hold it exclusively: any login of the
/// database can, and must not block the leases of others.
const TRY_PIN: &str = "pg_catalog.pg_try_advisory_lock_shared(";

const WAIT_FOR_PIN: &str = "pg_catalog.pg_advisory_lock_shared(";

/// Begins a transaction that pins a schema until its end, whatever runs in it: the session's pin is
/// lost with `pg_advisory_unlock_all()`.
///
/// The caller's own statement may end in a comment or a semicolon.
pub(super) fn begin_pinned_sql(begin: Option<&SqlStr>, oid: SchemaOid, schema: &Ident) -> SqlStr {
    let mut sql = Sql::default();
    match begin {
        Some(begin) => sql.vouched(begin, 0..begin.as_str().len()),
        None => sql.text("begin"),
    };
    sql.text("\n; select ");
    lock(&mut sql, "pg_catalog.pg_advisory_xact_lock_shared(", oid, schema);
    sql.finish()
}

fn lock<'s>(
    sql: &'s mut Sql,
    function: &'static str,
    oid: SchemaOid,
    schema: &Ident,
) -> &'s mut Sql {
    let low = oid.get() ^ pin_hash(schema);
    let key = (i64::from(PINS) << 32) | i64::from(low);
    sql.text(function).integer(key).text("::pg_catalog.int8)")
}

/// Appends a separate statement that reads the table and not the name cache: opening the table
/// makes the session process a rename that it has waited for.
fn look_after_drop(sql: &mut Sql, schema: &Ident) {
    sql.text("; select n.oid as tenantry_pinned from pg_catalog.pg_namespace n ");
    sql.text("where n.nspname operator(pg_catalog.=) ").literal(schema.as_str());
}
