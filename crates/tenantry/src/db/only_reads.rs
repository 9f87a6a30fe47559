//! Whether a statement only reads, read from its text.

use super::effect::{Protocol, keyword, skip_to_keyword};

/// How a handle for reading runs a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// It is a query that names nothing that changes data.
    Plainly,
    /// It may name something that does: on a server that takes writes, it runs in a transaction that
    /// is read-only.
    Guarded,
    /// It is refused.
    Not,
}

/// Decides how a handle for reading runs a statement.
///
/// A function of the application that changes data shows in no text. A server in recovery refuses it.
pub(super) fn reads(sql: &str, protocol: Protocol) -> Reads {
    let statement = skip_to_keyword(sql);
    if protocol == Protocol::Simple
        && statement.trim_end_matches([';', ' ', '\n', '\r', '\t']).contains(';')
    {
        return Reads::Not;
    }
    let keyword = keyword(statement);
    let is = |words: &[&str]| words.iter().any(|word| keyword.eq_ignore_ascii_case(word));
    if is(&["select", "with", "values", "table"]) {
        if names_a_change(statement) { Reads::Guarded } else { Reads::Plainly }
    } else if is(&["show", "explain"]) {
        Reads::Guarded
    } else {
        Reads::Not
    }
}

/// Words of queries that change or lock rows, create a table, or use up a value of a sequence.
const CHANGES: [&str; 8] =
    ["insert", "update", "delete", "merge", "into", "share", "nextval", "setval"];

fn names_a_change(statement: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = statement.split(|c| !is_word(c));
    words.any(|word| CHANGES.iter().any(|change| word.eq_ignore_ascii_case(change)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_run_and_doubtful_ones_are_guarded() {
        for (sql, how) in [
            ("select * from users where id = $1", Reads::Plainly),
            ("-- a comment\n (SELECT 1)", Reads::Plainly),
            ("with x as (select 1) select * from x;", Reads::Plainly),
            ("values (1)", Reads::Plainly),
            ("table users", Reads::Plainly),
            ("select updated_at, deleted from users", Reads::Plainly),
            ("with gone as (delete from users returning *) select * from gone", Reads::Guarded),
            ("select * from users for update", Reads::Guarded),
            ("select * from users for no key update", Reads::Guarded),
            ("select * from users for key Share", Reads::Guarded),
            ("select * into copy from users", Reads::Guarded),
            ("select nextval('ids')", Reads::Guarded),
            ("select 'a delete'", Reads::Guarded),
            ("explain analyze delete from users", Reads::Guarded),
            ("show search_path", Reads::Guarded),
            ("insert into users values (1)", Reads::Not),
            ("UPDATE users set id = 1", Reads::Not),
            ("set search_path to x", Reads::Not),
            ("begin", Reads::Not),
            ("call p()", Reads::Not),
            ("do $$ begin end $$", Reads::Not),
            ("create table t ()", Reads::Not),
            ("", Reads::Not),
        ] {
            for protocol in [Protocol::Simple, Protocol::Extended] {
                assert_eq!(reads(sql, protocol), how, "{sql}");
            }
        }
        assert_eq!(reads("select 1; delete from users", Protocol::Simple), Reads::Not);
        assert_eq!(reads("select 'a;b'", Protocol::Extended), Reads::Plainly);
    }
}
