//! Errors that the coordinator of a Citus cluster passes on from a worker: they are recognized by the function that
//! raises them, which no language changes, and the names of objects are only in their message.

use std::borrow::Cow;

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

/// The source file of Citus with the functions that pass on a worker's error, or the loss of the connection to it.
const FILE: &str = "remote_commands.c";

/// The functions.
const ROUTINES: [&str; 2] = ["ReportResultError", "ReportConnectionError"];

/// The functions of Citus that find out by themselves that a worker does not answer, with their source files.
const FINDS_AWAY: [(&str, &str); 7] = [
    ("adaptive_executor.c", "CheckConnectionTimeout"),
    ("connection_management.c", "FinishConnectionListEstablishment"),
    ("connection_management.c", "WaitEventSetFromMultiConnectionStates"),
    ("metadata_utility.c", "DistributedRelationSizeOnWorker"),
    ("remote_commands.c", "BuildWaitEventSet"),
    ("remote_commands.c", "WaitForAllConnections"),
    ("shard_transfer.c", "ShardListSizeInBytes"),
];

/// The functions that find the connection to a worker broken in the middle of a transaction. Their errors have the code of
/// an internal one.
const FINDS_BROKEN: [(&str, &str); 2] = [
    ("remote_transaction.c", "CheckRemoteTransactionsHealth"),
    ("remote_transaction.c", "MarkRemoteTransactionFailed"),
];

/// The function that asks a worker for its disk space. It also refuses one that has too little; Citus translates neither
/// message.
const CHECKS_SPACE: (&str, &str) = ("shard_transfer.c", "CheckSpaceConstraints");

/// The functions that pass on the outcome of `copy`. They do not pass on the code of a worker's error.
const COPIES: [(&str, &str); 1] = [("multi_copy.c", "ReportCopyError")];

/// How the messages begin that Citus and libpq have for a broken connection, and a worker for its shutdown. An error
/// that Citus passes on without a code, or with the one of an internal error, has no other sign.
const BROKEN: [&str; 12] = [
    "connection not open",
    "could not receive data from server",
    "could not send data to server",
    "Failed to COPY to destination shard",
    "Failed to COPY to shard",
    "failed to complete COPY on",
    "no connection to the server",
    "server closed the connection unexpectedly",
    "SSL connection has been closed unexpectedly",
    "SSL error",
    "SSL SYSCALL error",
    "terminating connection",
];

/// Returns `true` if the connection to a worker broke in the middle of a transaction.
pub(super) fn is_broken_off(error: &dyn DatabaseError) -> bool {
    let has_no_figures =
        || is_raised_by(error, &[CHECKS_SPACE]) && error.message().starts_with("Could not fetch");
    let has_no_code = || error.code().is_some_and(|code| code == "XX000" || code == "58030");
    let is_passed_on = || is_of_worker(error) || is_raised_by(error, &COPIES);
    is_raised_by(error, &FINDS_BROKEN)
        || has_no_figures()
        || has_no_code() && is_passed_on() && tells_of_break(error.message())
}

/// Returns `true` if a message, in English, is that of a broken connection. libpq's has a second line that begins with a
/// tab in every language, if the server has closed the connection without a word; an empty one says nothing else.
fn tells_of_break(message: &str) -> bool {
    message.is_empty()
        || message.contains("\n\t")
        || BROKEN.iter().any(|begin| message.starts_with(begin))
}

fn is_raised_by(error: &dyn DatabaseError, functions: &[(&str, &str)]) -> bool {
    let at = |error: &PgDatabaseError| {
        functions.contains(&(error.file()?, error.routine()?)).then_some(())
    };
    error.try_downcast_ref().and_then(at).is_some()
}

/// Returns `true` if an error of class 08, 53 or 57 is about a worker, and not about the coordinator.
pub(super) fn tells_of_worker(error: &dyn DatabaseError) -> bool {
    is_of_worker(error) || is_raised_by(error, &FINDS_AWAY)
}

/// Returns the message of an error without the numbers of shards, if a worker has raised it.
pub(crate) fn message_of(error: &dyn DatabaseError) -> Cow<'_, str> {
    match is_of_worker(error) {
        true => without_numbers(error.message()).into(),
        false => error.message().into(),
    }
}

/// Removes the numbers of shards from the names in a message: that of a table from all names that have the same, and
/// the one of an index, whose name always has it.
fn without_numbers(message: &str) -> String {
    let ends_with =
        |before: &str, all: &[&str]| all.iter().any(|words| before.trim_end().ends_with(words));
    let of_tables = quoted(message).filter(|(before, _)| ends_with(before, &["relation", "table"]));
    let numbers: Vec<_> = of_tables.filter_map(|(_, name)| Some(shard_of(name)?.1)).collect();
    let (mut text, mut left) = (String::with_capacity(message.len()), message);
    for (before, name) in quoted(message) {
        let is_index = ends_with(before, &["index", "unique constraint", "exclusion constraint"]);
        let short = shard_of(name).filter(|(_, number)| match numbers.is_empty() {
            true => is_index,
            false => numbers.contains(number),
        });
        let short = short.map_or(name, |(short, _)| short);
        text.extend([before, "\"", short, "\""]);
        left = left.get(before.len() + name.len() + 2..).unwrap_or_default();
    }
    text + left
}

/// Returns `true` if a worker, or the connection to it, has caused the error.
pub(super) fn is_of_worker(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| {
        error.file() == Some(FILE) && error.routine().is_some_and(|name| ROUTINES.contains(&name))
    })
}

/// The names of objects in the message of an error of class 23, without the numbers of shards.
///
/// A worker's tables are shards: `users_102009` is the one of `users`. Indexes, and constraints that were added to an
/// existing table, carry the same number. Names that Citus has shortened, of 55 bytes or more, stay shortened.
///
/// The workers' `lc_messages` must be English or `C`; otherwise there are no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Names<'a> {
    pub(super) constraint: Option<&'a str>,
    pub(super) table: Option<&'a str>,
    pub(super) column: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// Reads the names in the message of an error, if a worker has raised it.
    pub(super) fn of(error: &'a dyn DatabaseError) -> Option<Self> {
        let is_violation = error.code().is_some_and(|code| code.starts_with("23"));
        (is_violation && is_of_worker(error)).then(|| Self::in_message(error.message()))
    }

    fn in_message(message: &'a str) -> Self {
        let (mut names, mut is_index) = (Self::default(), false);
        for (before, name) in quoted(message) {
            let is_after = |words: &str| before.trim_end().ends_with(words);
            if is_after("constraint") {
                names.constraint = Some(name);
                is_index = is_after("unique constraint") || is_after("exclusion constraint");
            } else if is_after("column") {
                names.column = Some(name);
            } else if is_after("relation") || is_after("table") {
                // A row that is still referenced: the last table is the one of the constraint.
                names.table = Some(name);
            }
        }
        let shard = names.table.and_then(shard_of).map(|(_, shard)| shard);
        names.table = names.table.map(|table| shard_of(table).map_or(table, |(name, _)| name));
        names.constraint = names.constraint.map(|constraint| match shard_of(constraint) {
            // Without a table in the message, it is an index, whose name always has the number.
            Some((name, number)) if shard.map_or(is_index, |shard| shard == number) => name,
            _ => constraint,
        });
        names
    }
}

/// Returns the names in double quotes, each with the text between it and the one before.
fn quoted(message: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = message.split('"');
    // A name is followed by more text, which can be empty.
    let pairs = message.matches('"').count() / 2;
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?))).take(pairs)
}

/// Splits the name of a shard's object: `users_102009`.
fn shard_of(name: &str) -> Option<(&str, &str)> {
    let (rest, number) = name.rsplit_once('_')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !rest.is_empty()).then_some((rest, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_the_numbers_of_shards_and_no_others() {
        for (message, expected) in [
            (
                "could not create unique index \"users_2024_102009\"",
                "could not create unique index \"users_2024\"",
            ),
            (
                "check constraint \"q2_2024\" of relation \"users_102009\" is violated by some row",
                "check constraint \"q2_2024\" of relation \"users\" is violated by some row",
            ),
            (
                "update on table \"a_102009\" violates foreign key constraint \"f_102010\" on table \"b_102010\"",
                "update on table \"a\" violates foreign key constraint \"f\" on table \"b\"",
            ),
            (
                "invalid input syntax for type integer: \"a_1\"",
                "invalid input syntax for type integer: \"a_1\"",
            ),
            ("a single \" stays", "a single \" stays"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(message), expected);
        }
    }

    #[test]
    fn a_broken_connection_is_told_from_the_fault_of_a_statement() {
        for message in [
            "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally",
            "Der Server beendete die Verbindung unerwartet\n\tDas heißt wahrscheinlich",
            "failed to complete COPY on 127.0.0.1:9701",
            "terminating connection due to administrator command",
            "",
        ] {
            assert!(tells_of_break(message), "{message}");
        }
        for message in
            ["cache lookup failed for relation 7", "tuple concurrently updated", "line\nline"]
        {
            assert!(!tells_of_break(message), "{message}");
        }
    }

    #[test]
    fn names_lose_the_number_of_the_shard_and_no_other() {
        for (message, constraint, table, column) in [
            (
                "duplicate key value violates unique constraint \"users_pkey_102009\"",
                Some("users_pkey"),
                None,
                None,
            ),
            (
                "conflicting key value violates exclusion constraint \"stays_2024_102009\"",
                Some("stays_2024"),
                None,
                None,
            ),
            (
                "new row for relation \"users_102009\" violates check constraint \"users_n_check\"",
                Some("users_n_check"),
                Some("users"),
                None,
            ),
            (
                "new row for relation \"taxes_2023_102009\" violates check constraint \"tax_2024\"",
                Some("tax_2024"),
                Some("taxes_2023"),
                None,
            ),
            (
                "check constraint \"q2_102009\" of relation \"users_102009\" is violated by some row",
                Some("q2"),
                Some("users"),
                None,
            ),
            (
                "insert or update on table \"orders_102010\" violates foreign key constraint \"orders_u_fkey_102010\"",
                Some("orders_u_fkey"),
                Some("orders"),
                None,
            ),
            (
                "update or delete on table \"users_102009\" violates foreign key constraint \
                 \"orders_u_fkey_102010\" on table \"orders_102010\"",
                Some("orders_u_fkey"),
                Some("orders"),
                None,
            ),
            (
                "null value in column \"id\" of relation \"users_102009\" violates not-null constraint",
                None,
                Some("users"),
                Some("id"),
            ),
            (
                "value for domain positive violates check constraint \"positive_1\"",
                Some("positive_1"),
                None,
                None,
            ),
            ("doppelter Schlüsselwert verletzt Unique-Constraint »x_1«", None, None, None),
            ("\"", None, None, None),
        ] {
            let found = Names::in_message(message);
            assert_eq!(found, Names { constraint, table, column }, "{message}");
        }
    }
}
