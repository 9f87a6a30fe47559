//! Keys in the tables of all tenants that were given up: a process has to see them before another
//! tenant can get them.
//!
//! Nothing in a session tells that its key belongs to another tenant now, as the OID of a schema
//! does. So each drop notes the key in a table beside the rows, and a bind that comes first after a
//! while reads what was noted since. Handles of the earlier tenant are refused from then on.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::RwLock;
use sqlx::{Row, postgres::PgRow};
use tokio::time::Instant;

use super::{
    pin::{KeyDigest, SEEN_AS},
    retired_table::{foreign, misfit},
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// The table of keys that were given up, in the schema with the rows. Every role can read it: it has
/// digests only.
pub(crate) const RETIRED_KEYS: &str = "_tenantry_retired_keys";

/// What this process has read of the keys that were given up, in one database.
#[derive(Debug)]
pub(crate) struct RetiredKeys {
    /// The schema of the table.
    schema: Ident,
    began: Instant,
    /// When they were last read from the primary, in nanoseconds since it began; zero means never.
    read_at: AtomicU64,
    /// `true` if the table is known to exist.
    is_there: AtomicBool,
    /// `true` if there is anything to look up.
    has_any: AtomicBool,
    given_up: RwLock<GivenUp>,
}

/// Until when tenants have lost their keys.
#[derive(Debug, Default)]
struct GivenUp {
    /// A tenant that was looked up before this time does not have the key any longer.
    since: HashMap<KeyDigest, Instant>,
    /// The same for all keys, after more were given up than are remembered.
    of_all: Option<Instant>,
}

/// How soon they are read again by a bind that takes place anyway.
const EARLY: Duration = Duration::from_millis(2_500);

/// A drop may take this long from its note to the end of its commit.
const LATE: Duration = Duration::from_secs(60);

/// How many are remembered one by one.
const MOST: usize = 100_000;

/// What a bind asks about the keys that were given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyQuestion<'a> {
    schema: &'a Ident,
    at: Instant,
    /// How far back to read; `None` asks whether the table exists.
    back: Option<Duration>,
    on_standby: bool,
}

/// The answer to a [`KeyQuestion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAnswer {
    Read,
    /// The table has turned out to exist: it is to be read.
    ReadNext,
}

impl RetiredKeys {
    pub(crate) fn new(schema: &Ident) -> Self {
        Self {
            schema: schema.clone(),
            began: Instant::now(),
            read_at: AtomicU64::new(0),
            is_there: AtomicBool::new(false),
            has_any: AtomicBool::new(false),
            given_up: RwLock::default(),
        }
    }

    /// Returns `true` if they were read so recently that no key can have been given to another tenant
    /// since.
    pub(super) fn are_known(&self, now: Instant) -> bool {
        self.since_read(now).is_some_and(|since| since < SEEN_AS)
    }

    fn since_read(&self, now: Instant) -> Option<Duration> {
        let read_at = self.read_at.load(Ordering::Acquire);
        let read_at = (read_at > 0).then(|| self.began + Duration::from_nanos(read_at))?;
        Some(now.saturating_duration_since(read_at))
    }

    /// Returns `true` if a tenant that was looked up at this time has lost its key since.
    pub(super) fn has_lost(&self, key: KeyDigest, looked_up: Instant) -> bool {
        if !self.has_any.load(Ordering::Acquire) {
            return false;
        }
        let given_up = self.given_up.read();
        let since = given_up.since.get(&key).copied();
        since.max(given_up.of_all).is_some_and(|since| looked_up < since)
    }

    /// Returns what a bind has to ask, if anything. What a standby tells is not used for other
    /// sessions, because it may lag behind.
    pub(super) fn question(&self, now: Instant, on_standby: bool) -> Option<KeyQuestion<'_>> {
        let since = self.since_read(now);
        if !on_standby && since.is_some_and(|since| since < EARLY) {
            return None;
        }
        let since = since.unwrap_or_else(|| now.saturating_duration_since(self.began));
        let back = self.is_there.load(Ordering::Relaxed).then(|| since.saturating_add(LATE));
        Some(KeyQuestion { schema: &self.schema, at: now, back, on_standby })
    }

    /// Records the answer to a question, which is in the response to the bind.
    pub(super) fn note(
        &self,
        question: KeyQuestion<'_>,
        rows: &[PgRow],
    ) -> sqlx::Result<KeyAnswer> {
        let answered = Instant::now();
        for row in rows {
            if row.try_column(READABLE).is_ok() {
                if let Some(why) = row.try_get::<Option<&str>, _>(MISFIT)? {
                    return Err(foreign(&self.schema, why).into());
                }
                if !row.try_get::<bool, _>(READABLE)? {
                    return Err(self.unreadable().into());
                }
                self.is_there.store(true, Ordering::Relaxed);
                return Ok(KeyAnswer::ReadNext);
            }
            if row.try_column(DIGEST).is_ok() {
                let taken: Option<f64> = row.try_get(TAKEN)?;
                let taken = taken.and_then(|ago| Duration::try_from_secs_f64(ago).ok());
                // Until it is given to another tenant, no tenant has it.
                let since = taken.map_or(Some(question.at), |ago| question.at.checked_sub(ago));
                self.give_up(KeyDigest::read(row.try_get(DIGEST)?), since, answered);
            }
        }
        if !question.on_standby {
            let at = question.at.saturating_duration_since(self.began).as_nanos();
            self.read_at.fetch_max(u64::try_from(at).unwrap_or(u64::MAX).max(1), Ordering::AcqRel);
        }
        Ok(KeyAnswer::Read)
    }

    fn give_up(&self, key: KeyDigest, since: Option<Instant>, answered: Instant) {
        let since = since.unwrap_or(self.began);
        let mut given_up = self.given_up.write();
        if given_up.since.len() >= MOST && !given_up.since.contains_key(&key) {
            given_up.since.clear();
            given_up.of_all = Some(answered);
        }
        let noted = given_up.since.entry(key).or_insert(since);
        *noted = since.max(*noted);
        self.has_any.store(true, Ordering::Release);
    }

    /// Records that the table could not be read: it may be gone.
    pub(super) fn doubt(&self) {
        self.is_there.store(false, Ordering::Relaxed);
    }

    fn unreadable(&self) -> Error {
        let schema = &self.schema;
        let attempted = format!(
            "the connection's role may not read the table {RETIRED_KEYS} in schema {schema}, and would not notice that \
             a key belongs to another tenant: grant it usage on the schema, and select on the table"
        );
        Error::new(ErrorKind::Config, attempted)
    }
}

const READABLE: &str = "tenantry_keys_are_readable";
const MISFIT: &str = "tenantry_keys_misfit";
const DIGEST: &str = "tenantry_key";
const TAKEN: &str = "tenantry_taken_ago";

impl KeyQuestion<'_> {
    /// Returns `true` if it reads the table.
    pub(super) fn reads(self) -> bool {
        self.back.is_some()
    }

    /// Appends the query.
    pub(super) fn append(self, sql: &mut Sql) {
        match self.back {
            None => self.ask_for_table(sql),
            Some(back) => self.read(sql, back),
        }
    }

    fn ask_for_table(self, sql: &mut Sql) {
        sql.text(
            "select pg_catalog.has_schema_privilege(n.oid, 'usage') \
               and pg_catalog.has_table_privilege(c.oid, 'select') as tenantry_keys_are_readable, ",
        );
        misfit(sql);
        sql.text(
            "end as tenantry_keys_misfit \
             from pg_catalog.pg_namespace n join pg_catalog.pg_class c \
               on c.relnamespace operator(pg_catalog.=) n.oid \
             where n.nspname operator(pg_catalog.=) ",
        );
        sql.literal(self.schema.as_str()).text(" and c.relname operator(pg_catalog.=) ");
        sql.literal(RETIRED_KEYS);
    }

    fn read(self, sql: &mut Sql, back: Duration) {
        sql.text(
            "select k.digest as tenantry_key, pg_catalog.date_part('epoch', \
               pg_catalog.clock_timestamp() operator(pg_catalog.-) k.taken_at) as tenantry_taken_ago from ",
        );
        sql.ident(self.schema).text(".").text(RETIRED_KEYS).text(
            " k where coalesce(k.taken_at, k.retired_at) operator(pg_catalog.>) \
               (pg_catalog.clock_timestamp() operator(pg_catalog.-) ",
        );
        let back = format!("{}s", back.as_secs().saturating_add(1).min(FARTHEST));
        sql.literal(&back).text("::pg_catalog.interval)");
    }
}

/// The farthest that is read back, in seconds: a hundred years.
const FARTHEST: u64 = 100 * 365 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(nth: usize) -> KeyDigest {
        KeyDigest::of(&schema(), &format!("t{nth}"))
    }

    fn schema() -> Ident {
        Ident::parse("app").expect("an identifier")
    }

    #[test]
    fn a_tenant_that_was_looked_up_before_has_lost_its_key() {
        let keys = RetiredKeys::new(&schema());
        let read = keys.began + 10 * SECOND;
        assert!(!keys.has_lost(key(1), keys.began));
        keys.give_up(key(1), Some(read), read);
        assert!(keys.has_lost(key(1), read - SECOND));
        assert!(!keys.has_lost(key(1), read), "the next tenant has it");
        assert!(!keys.has_lost(key(2), keys.began));
        // Given to the next tenant earlier than it was read the last time: nothing changes.
        keys.give_up(key(1), Some(keys.began), read + SECOND);
        assert!(keys.has_lost(key(1), read - SECOND));
    }

    #[test]
    fn no_more_keys_are_remembered_than_fit() {
        let keys = RetiredKeys::new(&schema());
        let read = keys.began + 10 * SECOND;
        for nth in 0..=MOST {
            keys.give_up(key(nth), Some(keys.began + SECOND), read);
        }
        assert!(keys.given_up.read().since.len() <= MOST);
        assert!(keys.has_lost(key(MOST + 9), read - SECOND), "it is not known any longer");
        assert!(!keys.has_lost(key(0), read));
    }

    #[test]
    fn what_is_asked_goes_back_to_what_was_read_before() {
        let keys = RetiredKeys::new(&schema());
        let at = |seconds: u64| keys.began + Duration::from_secs(seconds);
        let back = |now, on_standby| keys.question(now, on_standby).map(|asked| asked.back);
        assert!(!keys.are_known(at(0)));
        assert_eq!(back(at(100), false), Some(None), "is there a table?");
        keys.is_there.store(true, Ordering::Relaxed);
        assert_eq!(back(at(100), false), Some(Some(100 * SECOND + LATE)));
        let asked = keys.question(at(100), true).expect("it was never read");
        assert_eq!(keys.note(asked, &[]).unwrap(), KeyAnswer::Read);
        assert!(!keys.are_known(at(100)), "a standby may lag");
        let asked = keys.question(at(100), false).expect("it was never read");
        assert_eq!(keys.note(asked, &[]).unwrap(), KeyAnswer::Read);
        assert!(keys.are_known(at(104)) && !keys.are_known(at(105)));
        assert_eq!(back(at(102), false), None);
        assert_eq!(back(at(102), true), Some(Some(2 * SECOND + LATE)));
        assert_eq!(back(at(103), false), Some(Some(3 * SECOND + LATE)));
    }
}
