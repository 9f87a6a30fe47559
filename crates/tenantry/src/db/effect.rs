//! What a statement can do to its session, read from its text.

use crate::pool::Effect;

/// Whether the protocol allows only one statement per text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// PostgreSQL itself refuses a second statement.
    Extended,
    /// Any number of statements.
    Simple,
}

/// Properties of a statement, derived from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// State that it may have changed.
    pub(super) effect: Effect,
    /// `true` if it may be run again after a failure: it is a single query or data change, which
    /// leaves no effect when it fails. A procedure, a `do` block or a string of several statements
    /// may have committed part of its work.
    pub(super) repeatable: bool,
    /// `true` if it may create functions or tables.
    pub(super) changes_schema: bool,
}

/// Derives the possible effects of a statement from its text.
///
/// Only an obvious query or data change is taken to leave the session unchanged. Everything else is
/// not, nor is a statement that names a function which modifies the session, or calls a function in
/// another schema, which the pool has not inspected. A false positive costs a reset in the
/// background. Functions in the tenant's own schema are inspected at the bind; newer ones are
/// discovered at the next rebind at the latest, which resets the session in any case.
pub(super) fn read(sql: &str, protocol: Protocol) -> Reading {
    let statement = skip_to_keyword(sql);
    let keyword = keyword(statement);
    let is = |word: &str| keyword.eq_ignore_ascii_case(word);
    let query = is("select") || is("with");
    let change = is("insert") || is("update") || is("delete") || is("merge") || is("values");
    let single = protocol == Protocol::Extended || !statement.trim_end_matches(END).contains(';');
    let on_data = (query || change) && single;
    let plain = on_data
        && !reaches_into_session(statement, query)
        && !calls_elsewhere(statement)
        && !has_escaped_names(statement);
    Reading {
        effect: if plain { Effect::OnData } else { Effect::OnSession },
        repeatable: on_data && protocol == Protocol::Extended,
        changes_schema: !on_data
            && (!single || !["set", "show", "listen", "notify"].into_iter().any(is)),
    }
}

const END: [char; 5] = [';', ' ', '\n', '\r', '\t'];

/// Returns the word that a statement begins with.
pub(super) fn keyword(statement: &str) -> &str {
    statement.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
}

/// Skips white space, comments and opening parentheses.
pub(super) fn skip_to_keyword(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
        } else if let Some(comment) = sql.strip_prefix("/*") {
            // Comments nest in PostgreSQL. For a nested one, no keyword is found: the safe result.
            let body = comment.split_once("*/").filter(|(body, _)| !body.contains("/*"));
            sql = body.map_or("", |(_, rest)| rest);
        } else {
            return sql;
        }
    }
}

/// Returns `true` if the statement names a function that modifies the session, or creates a table:
/// an `into` in a query does so unless it belongs to `insert into` or `merge into`.
fn reaches_into_session(statement: &str, query: bool) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut previous: &[u8] = b"";
    for word in statement.as_bytes().split(|byte| !is_word(*byte)) {
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        let starts = |other: &[u8]| {
            word.get(..other.len()).is_some_and(|word| word.eq_ignore_ascii_case(other))
        };
        let reaches = match word.first().map(u8::to_ascii_lowercase) {
            None => continue,
            // The last one belongs to pg_trgm.
            Some(b's') => is(b"set_config") || is(b"setseed") || is(b"set_limit"),
            // Connections that the extension keeps in the session.
            Some(b'd') => starts(b"dblink"),
            // These run SQL passed to them as text.
            Some(b'q') => starts(b"query_to_xml"),
            Some(b'c') => starts(b"cursor_to_xml"),
            Some(b't') => is(b"ts_stat") || is(b"ts_rewrite"),
            // Updating this view is equivalent to `set`.
            Some(b'p') => {
                is_advisory_lock(word)
                    || is(b"pg_settings")
                    || starts(b"pg_replication_origin")
                    || starts(b"postgres_fdw")
            }
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

/// Returns `true` if the statement calls a function, or uses an operator, of a schema other than
/// `pg_catalog`: a name, a dot, a name and a parenthesis, with white space and comments between
/// them.
///
/// String literals are not recognized: text in one that looks like a call counts as a call.
fn calls_elsewhere(statement: &str) -> bool {
    if !statement.contains('.') {
        return false;
    }
    let mut rest = statement;
    let mut previous = "";
    while let Some(start) = rest.find(|c: char| c == '"' || is_word(c)) {
        rest = &rest[start..];
        let (schema, after) = name(rest);
        rest = after;
        if let Some(mut after) = skip(after).strip_prefix('.') {
            let mut qualifier = schema;
            loop {
                let (last, next) = name(skip(after));
                if last.is_empty() {
                    break;
                }
                match skip(next).strip_prefix('.') {
                    // The schema is the second to last part.
                    Some(more) => (qualifier, after) = (last, more),
                    None => {
                        let columns = previous.eq_ignore_ascii_case("into");
                        if skip(next).starts_with('(') && !columns && !is_catalog(qualifier) {
                            return true;
                        }
                        rest = next;
                        break;
                    }
                }
            }
        } else if schema.eq_ignore_ascii_case("operator")
            && let Some(inside) = skip(after).strip_prefix('(')
        {
            let (qualifier, next) = name(skip(inside));
            if skip(next).starts_with('.') && !is_catalog(qualifier) {
                return true;
            }
        }
        previous = schema;
    }
    false
}

/// Returns `true` if there are names written with escapes, `U&"…"`, which cannot be matched.
fn has_escaped_names(statement: &str) -> bool {
    statement.contains('"') && (statement.contains("U&\"") || statement.contains("u&\""))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// Splits off a name, quoted or not. It is empty if there is none.
fn name(text: &str) -> (&str, &str) {
    let end = match text.strip_prefix('"') {
        Some(quoted) => end_of_quoted(quoted) + 1,
        None => text.find(|c: char| !is_word(c)).unwrap_or(text.len()),
    };
    text.split_at(end)
}

/// Returns the end of a quoted name, including its closing quote. Two quotes stand for one in the
/// name.
fn end_of_quoted(quoted: &str) -> usize {
    let mut end = 0;
    while let Some(at) = quoted[end..].find('"') {
        end += at + 1;
        match quoted[end..].starts_with('"') {
            true => end += 1,
            false => return end,
        }
    }
    quoted.len()
}

fn is_catalog(schema: &str) -> bool {
    schema.eq_ignore_ascii_case("pg_catalog") || schema == "\"pg_catalog\""
}

/// Skips white space and comments.
pub(super) fn skip(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        text = if let Some(comment) = text.strip_prefix("--") {
            comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest)
        } else if let Some(comment) = text.strip_prefix("/*") {
            skip_comment(comment)
        } else {
            return text;
        };
    }
}

/// Skips the rest of a comment. Comments nest in PostgreSQL.
fn skip_comment(mut text: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = text.find(['*', '/']) else { return "" };
        text = &text[at..];
        text = if let Some(rest) = text.strip_prefix("/*") {
            depth += 1;
            rest
        } else if let Some(rest) = text.strip_prefix("*/") {
            depth -= 1;
            rest
        } else {
            &text[1..]
        };
    }
    text
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
            "select u.id, pg_catalog.now() from public.plans p join users u on (u.plan = p.id)",
            "insert into public.audit (what, at) values ($1, now())",
            "select count(t.id) from t where t.id in (1, 2) and t.a = any($1)",
            "select a.b, (c.d) from x.y as z (k) where \"a\".\"b\" operator(pg_catalog.=) 1.5",
        ] {
            let extended = read(sql, Protocol::Extended);
            assert_eq!((extended.effect, extended.repeatable), (Effect::OnData, true), "{sql}");
            let simple = read(sql, Protocol::Simple);
            assert_eq!((simple.effect, simple.repeatable), (Effect::OnData, false), "{sql}");
            assert!(!simple.changes_schema, "{sql}");
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
            assert_eq!(read(sql, Protocol::Extended).effect, Effect::OnSession, "{sql}");
        }
        assert_eq!(read("select 1; set a = 1", Protocol::Simple).effect, Effect::OnSession);
    }

    #[test]
    fn finds_calls_into_other_schemas() {
        for sql in [
            "select public.perform($1)",
            "select \"public\".\"perform\" ($1)",
            "select public /* x */ . -- y\n perform /**/ ($1)",
            "select saas.public.perform($1)",
            "insert into users select * from audit.rows(1)",
            "insert into users (id) values (public.next_id())",
            "select 1 operator(public.+) 2",
            "update users set at = other.now()",
            r#"select public.U&"perform"($1)"#,
            r#"select U&"set\005fconfig"('a', 'b', false)"#,
            r#"select 1 operator(U&"public".+) 2"#,
            "select public.perform /* /* */ */ ($1)",
            "select 1 operator /* /* */ */ (public.+) 2",
            r#"select public."a""b"()"#,
            "select query_to_xml('select set_' || 'config(1)', true, true, '')",
            "select * from ts_stat($1)",
        ] {
            let reading = read(sql, Protocol::Extended);
            assert_eq!((reading.effect, reading.repeatable), (Effect::OnSession, true), "{sql}");
        }
    }

    #[test]
    fn knows_what_may_make_a_function() {
        for sql in
            ["create function f() returns int", "do $$ begin end $$", "call p()", "drop table t"]
        {
            assert!(read(sql, Protocol::Extended).changes_schema, "{sql}");
        }
        for sql in ["set a = 1", "select public.f()", "listen x"] {
            assert!(!read(sql, Protocol::Extended).changes_schema, "{sql}");
        }
        for sql in ["select 1; create table t ()", "set a to b; create function f() returns int"] {
            assert!(read(sql, Protocol::Simple).changes_schema, "{sql}");
        }
    }
}
