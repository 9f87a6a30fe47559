//! The SQL of a session: what takes everything off it and puts a binding on.

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

/// How much of a reset is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// For a session on which plain queries ran alone: whatever a function that they called can have
    /// left.
    Plain,
    /// For any session: transactions and deallocated statements, too.
    Thorough,
}

/// What a session is bound with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) reset: Reset,
    /// Whether plans that were made under other settings go, those in functions too.
    pub(super) discard_plans: bool,
    /// A number that nobody can guess; it has to come back.
    pub(super) echo: i64,
    /// Whether the server can look after clients that have gone.
    pub(super) checked: bool,
    /// How long a transaction may be idle, unless it is the library's own; `None` leaves it to the server.
    pub(super) idle_in_transaction: Option<Duration>,
    /// For the library's own work: what the server's defaults must not decide.
    pub(super) upkeep: Option<Upkeep>,
    /// Whether the schemas are looked at on the way.
    pub(super) look: bool,
    pub(super) pin: Pin,
    /// The name that the tenant is put behind; `None` leaves the session's own.
    pub(super) name: Option<&'a str>,
}

/// Which limits on sessions the server knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upkeep {
    pub(super) transaction_timeout: bool,
}

/// Appends the settings of the library's own work.
///
/// It has limits of its own where it needs them; one that is meant for requests would end a run in the middle.
/// Files are read, and records are written and sent, as the library expects it; what it looks up twice in a
/// transaction is looked up twice.
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

/// Draws a number that nobody can guess, from 2⁶¹ up to 2⁶², so that it is a `bigint` as it stands.
pub(super) fn draw() -> i64 {
    // Hashing with keys that nobody knows makes a number that nobody can guess.
    ((RandomState::new().hash_one(0_u8) >> 3) | (1 << 61)).cast_signed()
}

/// Everything that a session can carry, taken off in one string, then the binding put on.
///
/// It is what [`DISCARD ALL`](https://www.postgresql.org/docs/current/sql-discard.html) does, except
/// that the statements which sqlx has prepared stay: it still believes in them. `begin; rollback`
/// leaves any transaction without the warning that a lone `rollback` would write into the server's
/// log.
///
/// The role goes first and then the search path, to `pg_catalog` alone, before anything is asked:
/// `reset all` sets both to what the role's or the database's defaults say, which a tenant's SQL may
/// have changed. (`reset session authorization` takes the role off whatever its default.) What is
/// asked is text, because a prepared statement can be replaced by another of its name, and every name
/// in it is qualified.
///
/// The answer is one row:
///
/// | column | what it is |
/// |---|---|
/// | `tenantry_echo` | the number that was sent |
/// | 1 | the process that answers |
/// | 2, 3, 4 | nothing: advisory locks are released, the schema is pinned, and the seed of `random()` is set, which is not part of `reset all` |
/// | 5 | whether this is a transaction of its own, which begins when its statement does |
/// | 6 | the OID of the occupant's schema now, if it has one |
/// | 7 | after a thorough reset, how many statements the server has for sqlx |
///
/// and another without columns for each statement that somebody has prepared with SQL.
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
        // Plans in functions that set a search path of their own know the settings of the one before.
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
    // In quotes, so that it is read as what is wanted, and not made of a `numeric`.
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
        // A statement whose client has gone ends within this time instead of running on.
        sql.text("; set client_connection_check_interval to '1s'");
    }
    if let Some(limit) = terms.idle_in_transaction {
        // What the library does in a transaction may wait for something else, such as its other files.
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
        // After the tenant's own settings, which must not hide whose session it is.
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

/// Returns a time as a setting of the server has it: zero is none at all, so anything more is not zero.
fn whole_millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).min(most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// Appends what a schema's OID is now; null where there is none of that name.
fn oid_of<'s>(sql: &'s mut Sql, schema: &Ident) -> &'s mut Sql {
    sql.text("pg_catalog.to_regnamespace(").literal(&schema.quoted().to_string());
    sql.text(")::pg_catalog.oid")
}

/// Whether a session holds the pin of a schema until it is reset: a shared lock, by which others see
/// that somebody works on that very schema, whatever its name.
///
/// It is for sessions that stay with their user for longer than a statement or a transaction, which
/// others see anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pin {
    No,
    /// It is tried for. Nothing of the library holds it exclusively.
    Yes,
    /// A drop or rename may hold it exclusively, and is waited for.
    AfterDrop,
}

/// The high half of the keys of the locks by which sessions pin a schema. The low half is the schema's
/// OID, with the [hash of the name](pin_hash) under which they work on it: a schema that was renamed has
/// other pins from then on.
pub(crate) const PINS: u32 = 0x7e4a_0001;

/// Hashes the name of a schema, the same way in every version and process (FNV-1a).
pub(crate) fn pin_hash(schema: &Ident) -> u32 {
    let bytes = schema.as_str().bytes();
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Has a session pin a schema. The answer is one row, `tenantry_pinned`, with the OID of the schema of
/// that name now.
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

/// It is tried for and not waited for where only somebody hostile can hold it exclusively: any login of
/// the database can, and must not keep leases of others waiting.
const TRY_PIN: &str = "pg_catalog.pg_try_advisory_lock_shared(";

const WAIT_FOR_PIN: &str = "pg_catalog.pg_advisory_lock_shared(";

/// Begins a transaction that pins a schema until its end, whatever is run in it: the pin of the session
/// goes with `pg_advisory_unlock_all()`.
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

/// Appends a statement of its own, which reads the table and not the cache of names: opening it makes
/// the session hear of a rename that it has waited for.
fn look_after_drop(sql: &mut Sql, schema: &Ident) {
    sql.text("; select n.oid as tenantry_pinned from pg_catalog.pg_namespace n ");
    sql.text("where n.nspname operator(pg_catalog.=) ").literal(schema.as_str());
}
