//! SQL that resets a session and applies a binding.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sqlx::{Row, SqlStr, postgres::PgRow};

use super::{
    application_name,
    backend::{FIRST, FirstAnswer},
    look::look,
    occupant::Occupant,
    pin::{Pin, Pinned, TRY_PIN, WAIT_FOR_PIN, lock, look_after_drop, oid_of, schema_of},
    replicas::Lsn,
    retired_keys::KeyQuestion,
    rows::row_with,
};
use crate::{
    sql::Sql,
    tenant::{Binding, RowKey, Schema},
};

/// The required extent of a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// For a session that ran only plain queries: removes anything that a called function can have
    /// left.
    Plain,
    /// For any session: also transactions and deallocated statements.
    Thorough,
    /// For a session for which sqlx keeps no statements, such as a new one: as thorough, but drops
    /// all prepared statements, which costs less than looking for them.
    Bare,
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
    /// `true` if the process, which is new, has not said yet who it is.
    pub(super) who: bool,
    /// `true` if the schemas are inspected in the same round trip.
    pub(super) look: bool,
    pub(super) pin: Pin,
    /// What is asked about keys that were given up, in the same round trip.
    pub(super) keys: Option<KeyQuestion<'a>>,
    /// The name to which the tenant is appended; `None` keeps the session's own.
    pub(super) name: Option<&'a str>,
    /// `true` if the server is a replica, and tells how far it has replayed the log.
    pub(super) on_replica: bool,
}

/// The session limits that the server supports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Upkeep {
    pub(super) transaction_timeout: bool,
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
/// The response is one [`ResetRow`], and another row without columns for each statement that was
/// prepared with SQL.
pub(super) fn bind_sql(to: &Occupant, terms: Terms<'_>) -> SqlStr {
    let mut sql = Sql::default();
    reset(&mut sql, terms);
    verify(&mut sql, to, terms);
    if terms.reset != Reset::Bare {
        sql.text("; select from pg_catalog.pg_prepared_statement() where from_sql");
    }
    if let (Pin::AfterDrop, Some(pinned @ Pinned::Schema(_, schema))) = (terms.pin, to.pinned()) {
        lock(sql.text("; select "), WAIT_FOR_PIN, pinned);
        look_after_drop(&mut sql, schema);
    }
    if let Some(keys) = terms.keys {
        // After the pin: no other tenant gets the key in between.
        keys.append(sql.text("; "));
    }
    if terms.look {
        sql.text("; ");
        look(&mut sql, &to.binding, to.schemas_of_tables());
    }
    let Terms { checked, idle_in_transaction, upkeep, .. } = terms;
    let limits = Limits { checked, idle_in_transaction, upkeep };
    set_limits(&mut sql, &to.binding, limits, Scope::Session);
    if to.reads() {
        // A replica may be promoted at any time.
        sql.text("; set default_transaction_read_only to on");
    }
    apply(&mut sql, to, terms.name, Scope::Session);
    sql.finish()
}

/// Appends the statements that remove the state of a session.
fn reset(sql: &mut Sql, terms: Terms<'_>) {
    match terms.reset {
        Reset::Plain => {}
        Reset::Thorough => _ = sql.text("begin; rollback; "),
        Reset::Bare => _ = sql.text("begin; rollback; deallocate all; "),
    }
    clear(sql);
    if terms.discard_plans {
        // Plans in functions with their own search path remember the previous settings.
        sql.text("discard plans; ");
    }
}

/// Appends the statements that remove the settings, cursors and temporary objects of a session. Afterwards, names
/// are looked up only in `pg_catalog`.
pub(super) fn clear(sql: &mut Sql) {
    sql.text(
        "reset session authorization; reset all; set search_path to pg_catalog, pg_temp; \
         close all; unlisten *; discard temp; discard sequences; ",
    );
}

/// The row that a reset returns.
#[derive(Clone, Copy)]
pub(super) struct ResetRow<'r>(&'r PgRow);

/// Appends the query that returns a [`ResetRow`]. The columns without a reader release advisory
/// locks, pin the schema, and set the seed of `random()`, which is not part of `reset all`.
fn verify(sql: &mut Sql, to: &Occupant, terms: Terms<'_>) {
    sql.text("select ").integer(terms.echo).text(
        " as tenantry_echo, pg_catalog.pg_backend_pid(), pg_catalog.pg_advisory_unlock_all(), ",
    );
    match (terms.pin, to.pinned()) {
        (Pin::Yes, Some(pinned)) => lock(sql, TRY_PIN, pinned),
        _ => sql.text("null"),
    };
    // Quoted, so that it is parsed as the target type and not converted from a `numeric`.
    sql.text(", pg_catalog.setseed('0.").number(draw().unsigned_abs()).text("'), ");
    sql.text(match terms.reset {
        Reset::Plain => {
            "pg_catalog.timestamptz_eq(pg_catalog.transaction_timestamp(), \
             pg_catalog.statement_timestamp()), "
        }
        Reset::Thorough | Reset::Bare => "true, ",
    });
    match to.binding.own().first() {
        Some(schema) => oid_of(sql, schema),
        None => sql.text("null::pg_catalog.oid"),
    };
    sql.text(r", '\\'");
    if terms.on_replica {
        sql.text(
            ", pg_catalog.pg_is_in_recovery() as tenantry_replays, \
             pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as tenantry_replayed",
        );
    }
    if terms.reset == Reset::Thorough {
        sql.text(
            ", pg_catalog.count(*) as tenantry_statements from pg_catalog.pg_prepared_statement() \
             where not from_sql",
        );
    } else if terms.who {
        let [columns, table] = FIRST;
        sql.text(", ").text(columns).text(table);
    }
}

/// What a replica says about itself in the response to a bind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replayed {
    pub(super) in_recovery: bool,
    pub(super) lsn: Option<Lsn>,
}

impl<'r> ResetRow<'r> {
    const ECHO: &'static str = "tenantry_echo";
    const BACKEND: usize = 1;
    const OWN_TRANSACTION: usize = 5;
    const SCHEMA: usize = 6;
    const BACKSLASHES: usize = 7;

    pub(super) fn find(rows: &'r [PgRow]) -> Option<Self> {
        row_with(Self::ECHO, rows).map(Self)
    }

    /// Returns the number that was sent.
    pub(super) fn echo(self) -> sqlx::Result<i64> {
        self.0.try_get(Self::ECHO)
    }

    /// Returns the process that answers.
    pub(super) fn backend(self) -> sqlx::Result<i32> {
        self.0.try_get(Self::BACKEND)
    }

    /// Returns `true` if the reset is a separate transaction, which begins with its statement.
    pub(super) fn is_own_transaction(self) -> sqlx::Result<bool> {
        self.0.try_get(Self::OWN_TRANSACTION)
    }

    /// Returns the schema that currently has the name of the occupant's.
    pub(super) fn schema(self) -> sqlx::Result<Schema> {
        self.0.try_get(Self::SCHEMA).map(schema_of)
    }

    /// Returns `true` if the server has read the text of the reset, and therefore that of the statements before it,
    /// with backslashes as escapes: `standard_conforming_strings` was off.
    pub(super) fn reads_escapes(self) -> sqlx::Result<bool> {
        self.0.try_get(Self::BACKSLASHES).map(|backslashes: &str| backslashes.len() != 2)
    }

    /// Returns what the process of a new connection has said about itself.
    pub(super) fn first(self) -> sqlx::Result<FirstAnswer> {
        FirstAnswer::try_from(self.0)
    }

    /// Returns whether a replica is in recovery, and how far it has replayed the log.
    pub(super) fn replayed(self) -> sqlx::Result<Replayed> {
        let lsn: Option<&str> = self.0.try_get("tenantry_replayed")?;
        let lsn = lsn.and_then(|lsn| lsn.parse().ok());
        Ok(Replayed { in_recovery: self.0.try_get("tenantry_replays")?, lsn })
    }

    /// Returns the number of statements that the server has for sqlx; only after a thorough reset.
    pub(super) fn statements(self) -> sqlx::Result<i64> {
        self.0.try_get("tenantry_statements")
    }
}

/// How long settings last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Session,
    Transaction,
}

impl Scope {
    /// Appends the beginning of a setting.
    fn set(self, sql: &mut Sql) -> &mut Sql {
        sql.text(match self {
            Self::Session => "; set ",
            Self::Transaction => "; set local ",
        })
    }
}

/// The limits of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// `true` if the server can detect disconnected clients.
    pub(super) checked: bool,
    pub(super) idle_in_transaction: Option<Duration>,
    pub(super) upkeep: Option<Upkeep>,
}

/// Appends limits.
pub(super) fn set_limits(sql: &mut Sql, binding: &Binding, limits: Limits, scope: Scope) {
    if limits.checked {
        // A statement whose client has disconnected ends within this time.
        scope.set(sql).text("client_connection_check_interval to '1s'");
    }
    if let Some(limit) = limits.idle_in_transaction {
        // A transaction of the library may wait for something else, such as its other files.
        let limit = if binding.is_librarys { Duration::ZERO } else { limit };
        scope.set(sql).text("idle_in_transaction_session_timeout to ").number(whole_millis(limit));
    }
    if let Some(upkeep) = limits.upkeep {
        set_for_upkeep(sql, upkeep);
        if binding.fails_under_policies {
            sql.text("; set row_security to off");
        }
    }
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

/// Appends the settings, the name, the search path, the key and the role of an occupant.
pub(super) fn apply(sql: &mut Sql, to: &Occupant, name: Option<&str>, scope: Scope) {
    for (name, value) in to.binding.settings() {
        sql.text("; select pg_catalog.set_config(").literal(name);
        sql.text(", ").literal(value).text(match scope {
            Scope::Session => ", false)",
            Scope::Transaction => ", true)",
        });
    }
    if let (Some(name), Some(tenant)) = (name, to.tenant()) {
        // After the tenant's own settings, which must not hide the owner of the session.
        let name = application_name::with_tenant(name, tenant);
        scope.set(sql).text("application_name to ").literal(&name);
    }
    scope.set(sql).text("search_path to ").idents(&to.binding.search_path);
    if to.binding.search_path.is_empty() {
        sql.text("''");
    }
    if let Some(RowKey { setting, value }) = to.binding.key() {
        // A utility statement, because calling `set_config` costs more.
        scope.set(sql).ident(&setting.class).text(".").ident(&setting.name);
        sql.text(" to ").literal(value);
    }
    match (to.binding.role(), scope) {
        (Some(role), _) => _ = scope.set(sql).text("role ").ident(role),
        // Nothing is known of the session that the transaction gets.
        (None, Scope::Transaction) => _ = scope.set(sql).text("role none"),
        (None, Scope::Session) => {}
    }
}

/// Formats a duration as a server setting: zero means no limit, so any other duration must not
/// round to zero.
fn whole_millis(time: Duration) -> u64 {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = time.as_nanos().div_ceil(1_000_000).min(most);
    u64::try_from(millis).unwrap_or(u64::MAX)
}
