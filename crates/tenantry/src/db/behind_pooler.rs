//! Which statements cannot work where a statement is a transaction, read from its text.

use super::effect::skip;

/// Returns why a statement cannot be run in a transaction of its own, bound to its tenant, if that is so.
///
/// Its text is one statement: PostgreSQL refuses several in the extended protocol. So only a command can end the
/// transaction; a procedure or a block cannot.
pub(super) fn objection(sql: &str) -> Option<&'static str> {
    let keyword = first_keyword(sql);
    let is_one_of = |words: &[&str]| words.iter().any(|word| keyword.eq_ignore_ascii_case(word));
    if is_one_of(&TRANSACTIONS) {
        return Some(
            "each statement on a handle is a transaction behind a transaction pooler: begin one with `begin` or \
             `transaction`, and end it there",
        );
    }
    if is_one_of(&SESSIONS) {
        return Some(
            "it changes or uses a session, and a transaction pooler keeps none: use `set local` in a transaction, \
             or a direct connection",
        );
    }
    None
}

/// Begin, end or divide a transaction.
const TRANSACTIONS: [&str; 9] =
    ["begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"];

/// Concern the session.
const SESSIONS: [&str; 12] = [
    "set",
    "reset",
    "discard",
    "listen",
    "unlisten",
    "load",
    "execute",
    "deallocate",
    "declare",
    "fetch",
    "move",
    "close",
];

/// Returns the first word of a statement. Empty statements in front of it do not count.
fn first_keyword(mut sql: &str) -> &str {
    loop {
        sql = skip(sql);
        match sql.strip_prefix([';', '(']) {
            Some(rest) => sql = rest,
            None => break,
        }
    }
    let end = sql.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(sql.len());
    &sql[..end]
}

/// Returns `true` if a text may be several statements.
pub(super) fn may_be_several(sql: &str) -> bool {
    sql.trim_end_matches([';', ' ', '\n', '\r', '\t']).contains(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_to_what_needs_a_session_or_ends_a_transaction() {
        for sql in [
            "commit",
            " ; commit",
            "/* a /* nested */ comment */ ROLLBACK",
            "-- a line\nend",
            "abort and chain",
            "prepare transaction 'a'",
            "begin",
            "set search_path to b",
            "set\trole b",
            "SET/**/session authorization b",
            "reset all",
            "discard all",
            "listen a",
            "execute p",
            "declare c cursor for select 1",
        ] {
            assert!(objection(sql).is_some(), "{sql}");
        }
    }

    #[test]
    fn objects_to_nothing_else() {
        for sql in [
            "",
            "select 1",
            "(select 1)",
            "select 'commit'",
            "with a as (select 1) select * from a",
            "insert into a values (1)",
            "call p()",
            "do $$ begin end $$",
            "copy a to stdout",
            "create table settings ()",
            "notify a",
            "setting",
            "explain analyze select 1",
        ] {
            assert_eq!(objection(sql), None, "{sql}");
        }
    }

    #[test]
    fn knows_when_a_text_is_one_statement() {
        assert!(!may_be_several("select 1; \n;"));
        assert!(may_be_several("select 1; select 2"));
        assert!(may_be_several("; select 1"));
    }
}
