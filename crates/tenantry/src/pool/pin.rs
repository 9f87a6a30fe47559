//! Locks by which sessions show that they work on a schema.

use sqlx::{
    Row, SqlStr,
    postgres::{PgRow, types::Oid},
};

use super::rows::row_with;
use crate::{
    sql::Sql,
    tenant::{Ident, Schema, SchemaOid},
};

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
/// OID of the schema of that name; no row if no schema has it.
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
pub(super) const TRY_PIN: &str = "pg_catalog.pg_try_advisory_lock_shared(";

pub(super) const WAIT_FOR_PIN: &str = "pg_catalog.pg_advisory_lock_shared(";

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

pub(super) fn lock<'s>(
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
pub(super) fn look_after_drop(sql: &mut Sql, schema: &Ident) {
    sql.text("; select n.oid as tenantry_pinned from pg_catalog.pg_namespace n ");
    sql.text("where n.nspname operator(pg_catalog.=) ").literal(schema.as_str());
}

/// The name of the column with the OID of a schema that was pinned.
const PINNED: &str = "tenantry_pinned";

/// Reads the current schema from the response to a pin, which has no row if there is none.
pub(super) fn schema_in(rows: &[PgRow]) -> sqlx::Result<Schema> {
    row_with(PINNED, rows).map_or(Ok(Schema::Missing), |row| row.try_get(PINNED).map(schema_of))
}

/// Returns `true` if the response has the row of a pin.
pub(super) fn has_schema(rows: &[PgRow]) -> bool {
    row_with(PINNED, rows).is_some()
}

pub(super) fn schema_of(oid: Option<Oid>) -> Schema {
    oid.map_or(Schema::Missing, |Oid(oid)| Schema::There(SchemaOid::new(oid)))
}

/// Appends the current OID of a schema; null if none has that name.
pub(super) fn oid_of<'s>(sql: &'s mut Sql, schema: &Ident) -> &'s mut Sql {
    sql.text("pg_catalog.to_regnamespace(").literal(&schema.quoted().to_string());
    sql.text(")::pg_catalog.oid")
}
