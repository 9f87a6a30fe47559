//! Names of schemas and keys of rows that were given up, and when they can be reused.
//!
//! A transaction that began before a tenant was renamed or dropped continues to look up tables by the schema's name.
//! If a new tenant got that name meanwhile, the transaction would run in the new tenant's schema. So a name is free
//! again only when no session can still refer to the old tenant by it. The same applies to the key of a tenant in the
//! tables of all.

mod keys;
mod look;

use std::time::Duration;

use sqlx::{PgConnection, Row, SqlStr};

pub(super) use self::keys::{
    KeyThen, claim_key, claim_key_in_snapshot, ensure_table_of_keys, is_given_up, keep_key_sql,
    note_key_sql, take_key_back_sql,
};
use self::look::{look, remember};
use super::{Provisioner, holders};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    pool::{KeyDigest, RETIRED_KEYS, RetiredTable, SEEN_AS, keep_to_owner},
    sql::Sql,
    tenant::Ident,
};

/// The table of names that were given up, in the shared schema.
const TABLE: &str = "tenantry_retired";

/// The minimum time for which a name or key is reserved: twice the time for which a session is assumed to be that of
/// its tenant without a recheck, so that no statement can still begin for the old one.
const QUARANTINE: Duration = SEEN_AS.saturating_mul(2);

/// The time of a key that is kept with the rows of a tenant that has moved: so much later than it was given up.
const KEPT: &str = "60000000 hours";

/// No quarantine is as long as this: the key is kept with rows that have moved.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// The lock for creating the table.
const LOCK: u64 = 7_234_619_037_116;

/// Ensures that the table exists. Not in a transaction: two of them would collide.
pub(crate) async fn ensure_table(conn: &mut PgConnection, shared: &Ident) -> Result<(), Error> {
    // Any name: they are all in one table.
    if (Retired::Name { shared, name: shared }).has_table(conn).await? {
        return Ok(());
    }
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(");
    sql.number(LOCK).text("); create table if not exists ").ident(shared).text(".");
    sql.text(TABLE).text(
        " (name pg_catalog.text primary key, schema pg_catalog.oid not null, \
         retired_at pg_catalog.timestamptz not null, waits_for pg_catalog.text[])",
    );
    keep_to_owner(sql.text("; "), shared, TABLE);
    let made = sqlx::raw_sql(sql.finish()).execute(conn).await;
    made.map(drop).map_err(|error| {
        let attempted = format!(
            "the shared schema must have a table {TABLE}, so that names are not reused too soon, but it cannot be \
             created: grant the role create on {shared} once"
        );
        Error::new(ErrorKind::Database, attempted).with_source(error)
    })
}

/// Records that a name is retired by the schema that is called `now` from now on; the last statement before the
/// commit.
pub(crate) fn note_sql(shared: &Ident, name: &Ident, now: &Ident) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    sql.ident(shared).text(".");
    sql.text(TABLE).text(" (name, schema, retired_at) select ").literal(name.as_str());
    sql.text(
        ", n.oid, pg_catalog.clock_timestamp() from pg_catalog.pg_namespace n \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(now.as_str()).text(
        " on conflict (name) do update set schema = excluded.schema, \
         retired_at = excluded.retired_at, waits_for = null",
    );
    sql.finish()
}

/// Makes a name free again, whose schema has got it back.
pub(crate) fn forget_sql(shared: &Ident, name: &Ident) -> SqlStr {
    let mut sql = Sql::new("delete from ");
    (Retired::Name { shared, name }).rows(&mut sql);
    sql.finish()
}

/// Waits until no session pins the schema, within the transaction's `lock_timeout`, and keeps new ones out until the
/// end of the transaction.
pub(super) fn lock_out_sql(schema: &Ident) -> SqlStr {
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(p.key) from (select ");
    holders::pin_key(&mut sql, schema);
    sql.text(") as p (key)");
    sql.finish()
}

/// What a tenant has given up.
#[derive(Debug, Clone, Copy)]
enum Retired<'a> {
    /// The name of a schema. The record is in the shared schema.
    Name { shared: &'a Ident, name: &'a Ident },
    /// A key in the tables of this schema, which has the record.
    Key { schema: &'a Ident, key: &'a str, column: &'a Ident },
}

/// Why a name or key is not free.
#[derive(Debug)]
enum InUse {
    /// The quarantine is not over.
    Quarantined { retry_after: Duration },
    /// A transaction or lease can still refer to the tenant that had it.
    Open {
        /// The ids of transactions whose start only their own role can see.
        unknown: Vec<String>,
        /// The sessions, in words.
        who: String,
    },
}

impl Provisioner {
    /// Refuses the name of a schema that is not free.
    pub(crate) async fn refuse_name_in_use(&self, name: &Ident) -> Result<(), Error> {
        let shared = self.fleet.shared_site().schema;
        self.refuse_in_use(Retired::Name { shared: &shared, name }).await
    }

    /// Refuses what is not free.
    async fn refuse_in_use(&self, retired: Retired<'_>) -> Result<(), Error> {
        let mut lease = self.fleet.lease().await?;
        match look(&mut lease, retired).await? {
            None => Ok(()),
            Some(found) => {
                found.remember(&mut lease, retired).await?;
                Err(found.of(retired))
            }
        }
    }

    /// Claims a name in the transaction in which a schema got it, unless the name is reserved. The session that
    /// retired it has committed by now, or waits for this transaction.
    pub(crate) async fn claim_name(
        &self,
        conn: &mut PgConnection,
        name: &Ident,
    ) -> Result<(), Error> {
        let shared = self.fleet.shared_site().schema;
        let retired = Retired::Name { shared: &shared, name };
        if let Some(found) = look(conn, retired).await? {
            return Err(found.of(retired));
        }
        if retired.has_table(conn).await? {
            let mut sql = Sql::new("delete from ");
            retired.rows(&mut sql);
            sqlx::raw_sql(sql.finish()).execute(conn).await?;
        }
        Ok(())
    }
}

impl Retired<'_> {
    /// Returns the schema and the name of the table that has its record.
    fn table(&self) -> (&Ident, &'static str) {
        match self {
            Self::Name { shared, .. } => (shared, TABLE),
            Self::Key { schema, .. } => (schema, RETIRED_KEYS),
        }
    }

    /// Returns `true` if the table with the records exists.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if the one for keys is not the library's own.
    async fn has_table(self, conn: &mut PgConnection) -> Result<bool, Error> {
        let (schema, table) = self.table();
        let mut sql = Sql::new("select pg_catalog.to_regclass(");
        sql.literal(&format!("{}.{table}", schema.quoted())).text(") is not null");
        let is_there = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
        let Self::Key { column, .. } = self else { return Ok(is_there) };
        let in_snapshot = RetiredTable::read(conn, schema, column, None).await?.exists(schema)?;
        if is_there && !in_snapshot {
            // Only a look-up by name sees what was created after the snapshot of the transaction.
            let attempted = "another session has just dropped the first tenant: try again";
            return Err(Error::new(ErrorKind::Busy, attempted));
        }
        Ok(in_snapshot)
    }

    /// Appends the table as `r`, and the condition of its record.
    fn rows(self, sql: &mut Sql) {
        let (schema, table) = self.table();
        sql.ident(schema).text(".").text(table).text(" r where r.");
        self.is_its(sql);
    }

    /// Appends the condition of its record, beginning with the name of a column.
    fn is_its(self, sql: &mut Sql) {
        match self {
            Self::Name { name, .. } => {
                sql.text("name operator(pg_catalog.=) ").literal(name.as_str());
            }
            Self::Key { schema, key, .. } => {
                let digest = KeyDigest::of(schema, key).get();
                sql.text("digest operator(pg_catalog.=) ").integer(digest);
                sql.text("::pg_catalog.int8");
            }
        }
    }

    /// Describes it, and its former owner.
    fn described(self) -> (String, &'static str) {
        match self {
            Self::Name { .. } => ("the schema of that name".into(), "renamed or dropped"),
            Self::Key { schema, key, .. } => {
                (format!("the tenant with the key {key:?} in schema {schema}"), "dropped")
            }
        }
    }
}

impl InUse {
    /// Records the transactions that have to end.
    async fn remember(&self, conn: &mut PgConnection, retired: Retired<'_>) -> Result<(), Error> {
        match self {
            Self::Open { unknown, .. } if !unknown.is_empty() => {
                remember(conn, retired, unknown).await
            }
            _ => Ok(()),
        }
    }

    /// Returns the error for rows that were kept, and cannot be removed yet.
    fn of_kept(self) -> Error {
        let (attempted, after) = match self {
            Self::Quarantined { retry_after: after } => (
                format!(
                    "a process may not have heard yet that the tenant has moved: sweep again in {after:.1?}"
                ),
                after,
            ),
            Self::Open { who, .. } => (
                format!(
                    "a transaction or lease that began before the tenant had moved is still open{who}: end it, and \
                     sweep again"
                ),
                RETRY_AFTER,
            ),
        };
        Error::new(ErrorKind::Busy, attempted).with_retry_after(after)
    }

    /// Returns the error for a name or key.
    fn of(self, retired: Retired<'_>) -> Error {
        let (whose, gone) = retired.described();
        let (attempted, after) = match self {
            Self::Quarantined { retry_after } if retry_after > LONG => {
                let attempted = format!(
                    "{whose} has moved to another place, and its rows are kept here: sweep them first, or give the new \
                     tenant another key"
                );
                return Error::new(ErrorKind::NameInUse, attempted);
            }
            Self::Quarantined { retry_after: after } => (
                format!(
                    "{whose} was {gone} less than {QUARANTINE:?} ago; try again in {after:.1?}"
                ),
                after,
            ),
            Self::Open { who, .. } => (
                format!(
                    "a transaction or lease that began before {whose} was {gone} is still open{who}; end it, or try \
                     again in {RETRY_AFTER:.1?}"
                ),
                RETRY_AFTER,
            ),
        };
        let attempted = match retired {
            Retired::Name { .. } => attempted,
            Retired::Key { .. } => attempted + "; or give the new tenant another key",
        };
        Error::new(ErrorKind::NameInUse, attempted).with_retry_after(after)
    }
}
