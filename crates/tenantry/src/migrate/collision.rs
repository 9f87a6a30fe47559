//! Distinguishes statements that conflicted with one another from statements that are wrong.

use std::{error::Error as StdError, time::Duration};

use sqlx::postgres::PgDatabaseError;
use tokio::time::sleep;

use super::Failure;
use crate::{
    error::{Error, ErrorKind},
    retry::RetryPolicy,
};

/// A failure that is, or may be, caused by concurrent work of other sessions. The server has rolled everything back,
/// so it can be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collision {
    /// Two transactions wrote the same thing concurrently: a row, or a catalog entry of an object.
    Certain,
    /// Either other sessions caused it, or the statement always fails: one attempt without concurrency shows which.
    Possible,
}

/// SQLSTATEs for objects that already exist: a schema, a table, any other object, a function.
const ALREADY_EXISTS: [&str; 4] = ["42P06", "42P07", "42710", "42723"];

impl Collision {
    /// Reads it off an error.
    ///
    /// The messages of class XX are never translated.
    pub(super) fn of(error: &sqlx::Error) -> Option<Self> {
        let error: &PgDatabaseError = error.as_database_error()?.try_downcast_ref()?;
        match error.code() {
            code if code.starts_with("40") => Some(Self::Certain),
            "23505" if error.schema() == Some("pg_catalog") => {
                // Two equal labels in one `create type … as enum`; no other session can write to that type.
                let of_file = error.constraint() == Some("pg_enum_typid_label_index");
                (!of_file).then_some(Self::Certain)
            }
            "XX000" if is_overtaken(error.message()) => Some(Self::Certain),
            // The server also reports 53200 if its lock table, which all sessions share, is full.
            code if ALREADY_EXISTS.contains(&code) || code == "53200" => Some(Self::Possible),
            _ => None,
        }
    }

    /// Finds a collision in an error or in its sources.
    pub(crate) fn within(error: &Error) -> Option<Self> {
        // A concurrent creation of the same tenant collides by design.
        let of_name = matches!(error.kind(), ErrorKind::TenantExists | ErrorKind::NameInUse);
        let mut next = error.source().filter(|_| !of_name);
        while let Some(error) = next {
            if let Some(failure) = error.downcast_ref::<Failure>() {
                return failure.collision();
            }
            if let Some(error) = error.downcast_ref::<sqlx::Error>() {
                return Self::of(error);
            }
            next = error.source();
        }
        None
    }
}

/// Attempts at an operation that is rolled back completely when it fails.
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

impl Attempts {
    /// Waits briefly after an attempt that has collided with others. Returns `false` immediately if there should not
    /// be another attempt.
    pub(crate) async fn go_on_after<T>(&mut self, outcome: &Result<T, Error>) -> bool {
        self.0 += 1;
        match self.pause(outcome.as_ref().err().and_then(Collision::within)) {
            Some(pause) => sleep(pause).await,
            None => return false,
        }
        true
    }

    fn pause(&self, collision: Option<Collision>) -> Option<Duration> {
        let most = match collision? {
            Collision::Certain => 6,
            Collision::Possible => 2,
        };
        let policy = RetryPolicy::default().max_attempts(most);
        policy.initial_delay(Duration::from_millis(50)).delay_after(self.0, fastrand::f64(), None)
    }
}

/// Returns `true` if a catalog entry was deleted or updated after the statement read it.
fn is_overtaken(message: &str) -> bool {
    ["tuple concurrently ", "cache lookup failed for ", "could not open relation with OID "]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Returns `true` if an object to be created already exists.
pub(super) fn is_already_there(sqlstate: Option<&str>) -> bool {
    sqlstate.is_some_and(|code| ALREADY_EXISTS.contains(&code))
}

/// Returns `true` if a text expects that its objects can exist: only then does "already exists" indicate a concurrent
/// session.
pub(super) fn expects_others(sql: &str) -> bool {
    let words: Vec<_> = sql.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let words = words.join(" ");
    ["if not exists", "if exists", "or replace", "duplicate_"]
        .iter()
        .any(|mark| words.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_can_be_run_twice_expects_others() {
        for sql in [
            "create table if not\n  exists public.x (id int)",
            "DROP FUNCTION IF EXISTS f(); create function f() returns int language sql as 'select 1'",
            "create or replace view v as select 1",
            "do $$ begin create type e as enum (); exception when duplicate_object then null; end $$",
        ] {
            assert!(expects_others(sql), "{sql}");
        }
        assert!(!expects_others("create table x (id int)"));
    }

    #[test]
    fn what_may_be_the_statement_s_own_fault_is_tried_once_more() {
        let paused = |attempts, how| Attempts(attempts).pause(Some(how)).is_some();
        assert_eq!([1, 5, 6].map(|made| paused(made, Collision::Certain)), [true, true, false]);
        assert_eq!([1, 2].map(|made| paused(made, Collision::Possible)), [true, false]);
        assert_eq!(Attempts(1).pause(None), None);
    }

    #[test]
    fn what_an_entry_that_was_overtaken_is_called() {
        assert!(
            is_overtaken("tuple concurrently updated")
                && is_overtaken("tuple concurrently deleted")
        );
        assert!(is_overtaken("cache lookup failed for type 16391"));
        assert!(!is_overtaken("unrecognized node type: 7"));
    }
}
