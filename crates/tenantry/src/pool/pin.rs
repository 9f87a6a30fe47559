//! Locks by which sessions show that they work on a schema, or on the rows of a tenant in the tables
//! of all.

use std::time::Duration;

use sqlx::{
    Row, SqlStr,
    postgres::{PgRow, types::Oid},
};

use super::rows::row_with;
use crate::{
    sql::Sql,
    tenant::{Ident, Schema, SchemaOid},
};

/// Whether a session holds the pin of its occupant until it is reset: a shared lock that shows
/// others that the session works on that very schema, whatever its name, or on the rows with that
/// key.
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

/// How long a session seen in a tenant's schema is assumed to be there: other processes also rename
/// and drop tenants. A released name or key is not reused before twice this time.
pub(crate) const SEEN_AS: Duration = Duration::from_secs(5);

/// The high half of the keys of the locks by which sessions pin a schema. The low half is the
/// schema's OID, with the [hash of the name](pin_hash) under which they work on it: a renamed
/// schema has different pins.
pub(crate) const PINS: u32 = 0x7e4a_0001;

/// The high half of the keys of the locks by which sessions pin the key of a tenant in the tables of
/// all. The low half is [its hash](KeyDigest::pin_hash).
pub(crate) const PINS_OF_KEYS: u32 = 0x7e4a_0002;

/// What a session can pin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pinned<'a> {
    /// A schema, under its name.
    Schema(SchemaOid, &'a Ident),
    /// The key of a tenant in the tables of all.
    Key(KeyDigest),
}

/// A digest of a tenant's key in the tables of all, and of their schema. It is the same in every
/// version and process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct KeyDigest(i64);

impl KeyDigest {
    /// Digests a key as PostgreSQL prints it (64-bit FNV-1a).
    pub(crate) fn of(schema: &Ident, key: &str) -> Self {
        // No name and no key has a NUL byte.
        let bytes = schema.as_str().bytes().chain([0]).chain(key.bytes());
        let digest = bytes.fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(digest.cast_signed())
    }

    pub(super) fn read(digest: i64) -> Self {
        Self(digest)
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }

    /// Returns the low half of the key of its pin.
    pub(crate) fn pin_hash(self) -> u32 {
        let digest = self.0.cast_unsigned();
        u32::try_from((digest >> 32) ^ (digest & 0xffff_ffff)).unwrap_or_default()
    }
}

/// Hashes the name of a schema identically in every version and process (FNV-1a).
pub(crate) fn pin_hash(schema: &Ident) -> u32 {
    let bytes = schema.as_str().bytes();
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns a statement that pins a schema or a key. It returns one row, `tenantry_pinned`, with the
/// current OID of the schema of that name; no row if no schema has it.
pub(super) fn pin_sql(how: Pin, what: Pinned<'_>) -> SqlStr {
    let mut sql = Sql::new("select ");
    match (how, what) {
        (Pin::No | Pin::Yes, Pinned::Schema(_, schema)) => {
            lock(&mut sql, TRY_PIN, what).text(", ");
            oid_of(&mut sql, schema).text(" as tenantry_pinned");
        }
        (Pin::AfterDrop, Pinned::Schema(_, schema)) => {
            lock(&mut sql, WAIT_FOR_PIN, what);
            look_after_drop(&mut sql, schema);
        }
        (_, Pinned::Key(_)) => _ = lock(&mut sql, TRY_PIN, what),
    }
    sql.finish()
}

/// Acquired without waiting where only a hostile session can hold it exclusively: any login of the
/// database can, and must not block the leases of others.
pub(super) const TRY_PIN: &str = "pg_catalog.pg_try_advisory_lock_shared(";

pub(super) const WAIT_FOR_PIN: &str = "pg_catalog.pg_advisory_lock_shared(";

/// Begins a transaction that pins its occupant until its end, whatever runs in it: the session's pin is
/// lost with `pg_advisory_unlock_all()`.
///
/// A key is pinned without waiting, as in [`pin_sql`]. The caller's own statement may end in a comment or a
/// semicolon.
pub(super) fn begin_pinned_sql(begin: Option<&SqlStr>, what: Pinned<'_>) -> SqlStr {
    let mut sql = Sql::default();
    match begin {
        Some(begin) => sql.vouched(begin, 0..begin.as_str().len()),
        None => sql.text("begin"),
    };
    sql.text("\n; select ");
    let function = match what {
        Pinned::Schema(..) => "pg_catalog.pg_advisory_xact_lock_shared(",
        Pinned::Key(_) => "pg_catalog.pg_try_advisory_xact_lock_shared(",
    };
    lock(&mut sql, function, what);
    sql.finish()
}

/// Begins a transaction whose access mode is fixed: `set transaction` can change it only before the first query.
pub(super) fn begin_fixed_sql(begin: &SqlStr) -> SqlStr {
    let mut sql = Sql::default();
    sql.vouched(begin, 0..begin.as_str().len());
    sql.text("\n; select null");
    sql.finish()
}

pub(super) fn lock<'s>(sql: &'s mut Sql, function: &'static str, what: Pinned<'_>) -> &'s mut Sql {
    let (high, low) = match what {
        Pinned::Schema(oid, schema) => (PINS, oid.get() ^ pin_hash(schema)),
        Pinned::Key(key) => (PINS_OF_KEYS, key.pin_hash()),
    };
    let key = (i64::from(high) << 32) | i64::from(low);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_same_in_every_version() {
        let digest = |schema: &str, key| KeyDigest::of(&Ident::parse(schema).unwrap(), key);
        assert_eq!(digest("app", "acme").get().cast_unsigned(), 0xd069_9ae3_4458_a89a);
        assert_eq!(digest("app", "acme").pin_hash(), 0x9431_3279);
        assert_ne!(digest("app", "acme"), digest("appa", "cme"));
        assert_ne!(digest("app", "acme"), digest("app", "globex"));
    }
}
