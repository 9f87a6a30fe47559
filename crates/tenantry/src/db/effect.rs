use crate::pool::Effect;

/// Whether the text can hold one statement only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// PostgreSQL itself refuses a second statement.
    Extended,
    /// Any number of statements.
    Simple,
}

/// Says what a statement may have changed, by its text.
///
/// Only what is plainly a query or a change of rows is taken to leave the session alone; everything
/// else, and everything that names one of the functions that reach into the session, is not. A
/// mistake in the careful direction costs a reset in the background. A function that hides such a
/// call is found out at the next rebind at the latest, which resets the session in any case.
pub(super) fn effect_of(sql: &str, protocol: Protocol) -> Effect {
    let statement = skip_to_keyword(sql);
    let keyword = statement.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let is = |word: &str| keyword.eq_ignore_ascii_case(word);
    let query = is("select") || is("with");
    let change = is("insert") || is("update") || is("delete") || is("merge") || is("values");
    let single =
        || protocol == Protocol::Extended || !statement.trim_end_matches(END).contains(';');
    if (query || change) && single() && !reaches_into_session(statement, query) {
        Effect::OnData
    } else {
        Effect::OnSession
    }
}

const END: [char; 5] = [';', ' ', '\n', '\r', '\t'];

/// Skips white space, comments and opening parentheses.
fn skip_to_keyword(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            // Comments nest in PostgreSQL. Where one does, no keyword is found: the careful answer.
            let body = comment.split_once("*/").filter(|(body, _)| !body.contains("/*"));
            sql = body.map_or("", |(_, rest)| rest);
        } else {
            return sql;
        }
    }
}

/// Says whether the statement names a function that reaches into the session, or makes a table: an
/// `into` in a query is one unless it is that of `insert into` or `merge into`.
fn reaches_into_session(statement: &str, query: bool) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut previous: &[u8] = b"";
    for word in statement.as_bytes().split(|byte| !is_word(*byte)) {
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        let reaches = match word.first().map(u8::to_ascii_lowercase) {
            None => continue,
            Some(b's') => is(b"set_config") || is(b"setseed"),
            // An update of this view is another way to say `set`.
            Some(b'p') => is_advisory_lock(word) || is(b"pg_settings"),
            Some(b'i') => {
                let rows = previous.eq_ignore_ascii_case(b"insert")
                    || previous.eq_ignore_ascii_case(b"merge");
                query && is(b"into") && !rows
            }
            Some(_) => false,
        };
        if reaches {
            return true;
        }
        previous = word;
    }
    false
}

fn is_advisory_lock(word: &[u8]) -> bool {
    [b"pg_advisory".as_slice(), b"pg_try_advisory"]
        .iter()
        .any(|start| word.get(..start.len()).is_some_and(|word| word.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_leaves_the_session_alone() {
        for sql in [
            "select 1",
            "SELECT * FROM users WHERE id = $1",
            "  -- a comment\n  /* another */ (select 1)",
            "insert into users (name) values ($1) returning id",
            "with gone as (delete from a returning *) insert into b select * from gone",
            "update users set name = $1",
            "delete from users",
            "values (1)",
            "merge into a using b on true when matched then delete",
            "select 1;",
        ] {
            assert_eq!(effect_of(sql, Protocol::Extended), Effect::OnData, "{sql}");
            assert_eq!(effect_of(sql, Protocol::Simple), Effect::OnData, "{sql}");
        }
    }

    #[test]
    fn is_careful_with_everything_else() {
        for sql in [
            "",
            "set search_path = x",
            "begin",
            "create temp table t ()",
            "prepare p as select 1",
            "listen x",
            "call p()",
            "do $$ begin end $$",
            "copy users to stdout",
            "select set_config('a', 'b', false)",
            "SELECT SET_CONFIG('a', 'b', false)",
            "select pg_advisory_lock(1)",
            "select * into temp t from users",
            "select * into t from users",
            "with x as (select 1) select * into t from x",
            "/* a /* nested */ comment */ set x = 1",
            "explain analyze select 1",
            "/* old: /* hint */ select 1 */ begin",
            "-- \r begin /*\n select 1 */",
            "update pg_settings set setting = 'tenant_b' where name = 'search_path'",
        ] {
            assert_eq!(effect_of(sql, Protocol::Extended), Effect::OnSession, "{sql}");
        }
        assert_eq!(effect_of("select 1; set a = 1", Protocol::Simple), Effect::OnSession);
    }
}
