//! The library's own statements name the schema of everything that they look up, so that nothing which a
//! tenant has created is found instead. Checked by reading the SQL in the sources.

use std::io;

use crate::architecture::sources;

/// Files, or folders, whose SQL is not looked at, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("pool/reset.rs", "a reset sets the search path before it looks anything up"),
    ("migrate/lint/", "it reads SQL and sends none"),
    ("pool/session.rs", "as reset.rs, of which it is the caller"),
];

/// What SQL begins with that is not appended to other SQL.
const BEGINNINGS: &[&str] = &[
    "alter", "begin", "comment", "create", "declare", "delete", "do", "drop", "insert", "lock",
    "rollback", "select", "set", "update", "with",
];

/// What may stand before a parenthesis although no schema is named: the grammar knows these words, or what
/// follows them is a list of columns.
const WORDS: &[&str] = &[
    "and",
    "any",
    "as",
    "by",
    "check",
    "coalesce",
    "conflict",
    "exists",
    "extract",
    "filter",
    "from",
    "lateral",
    "not",
    "on",
    "operator",
    "or",
    "ordinality",
    "over",
    "select",
    "then",
    "values",
    "when",
    "where",
];

/// After these words a name is one that the statement itself gives.
const NAMING: &[&str] = &["as", "recursive", "with"];

/// Types whose names are looked up, other than `bigint` and the like, which are keywords.
const TYPES: &[&str] = &[
    "bytea",
    "float8",
    "int4",
    "int8",
    "jsonb",
    "name",
    "record",
    "regclass",
    "text",
    "timestamptz",
];

/// Keywords that stand for an operator, which is looked up along the search path.
const HIDDEN_OPERATORS: &[&str] =
    &["between", "ilike", "like", "natural", "nullif", "overlaps", "similar", "using"];

/// Settings whose assignment is a piece of text by itself.
const SETTINGS: &[&str] = &["lock_timeout", "statement_timeout"];

/// A piece of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name or keyword with the schemas before it, or a parameter.
    Word(String),
    Operator(String),
    /// A constant, or an identifier in quotes.
    Quoted,
    Mark(char),
}

/// The SQL among the string literals of Rust code.
fn sql_in(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = code[at..].find(['"', '\'', '/']) {
        let start = at + offset;
        let rest = &code[start..];
        at = start + 1;
        if rest.starts_with("//") {
            at = start + rest.find('\n').unwrap_or(rest.len());
        } else if let Some(character) = rest.strip_prefix('\'') {
            // A character such as '"'; anything else is a lifetime.
            let skipped = if character.starts_with('\\') { 2 } else { 1 };
            let mut after = character.chars().skip(skipped);
            if after.next() == Some('\'') {
                at += character.chars().take(skipped + 1).map(char::len_utf8).sum::<usize>();
            }
        } else if rest.starts_with('"') {
            let before = &code[..start];
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with('r');
            let (text, length) = match raw {
                true => raw_literal(rest, hashes),
                false => literal(rest),
            };
            at = start + length;
            if is_sql(before, &text) {
                found.push(text);
            }
        }
    }
    found
}

/// Reads a literal that begins here, and returns how long it is.
fn literal(code: &str) -> (String, usize) {
    let (mut text, mut characters) = (String::new(), code.char_indices().skip(1).peekable());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, at + 1),
            '\\' => match characters.next() {
                Some((_, '\n')) => {
                    while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {}
                }
                Some((_, 'n')) => text.push('\n'),
                Some((_, other)) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, code.len())
}

fn raw_literal(code: &str, hashes: usize) -> (String, usize) {
    let end = format!("\"{}", "#".repeat(hashes));
    let length = code[1..].find(&end).unwrap_or(code.len() - 1);
    (code[1..=length].to_owned(), length + 1 + end.len())
}

/// Says whether a literal is SQL, by what stands before it and how it begins.
fn is_sql(before: &str, text: &str) -> bool {
    let appended = [".text(", "Sql::new("].iter().any(|call| before.trim_end().ends_with(call));
    let first = text.split_whitespace().next().unwrap_or_default();
    appended || (text.contains(' ') && BEGINNINGS.contains(&first))
}

fn tokens(sql: &str) -> Vec<Token> {
    let (mut tokens, mut characters) = (Vec::new(), sql.chars().peekable());
    while let Some(character) = characters.next() {
        let is_of_operator = |c: &char| "=<>!~|+-*/%^&@#?".contains(*c);
        let is_of_word = |c: &char| c.is_alphanumeric() || "_.$".contains(*c);
        match character {
            '\'' => {
                while characters.next().is_some_and(|next| next != '\'') {}
                tokens.push(Token::Quoted);
            }
            '"' => {
                while characters.next().is_some_and(|next| next != '"') {}
                tokens.push(Token::Quoted);
            }
            // The quotes of the body of a function, which is SQL, too.
            '$' if characters.peek() == Some(&'$') => drop(characters.next()),
            first if is_of_operator(&first) => {
                let mut operator = String::from(first);
                while let Some(next) = characters.next_if(is_of_operator) {
                    operator.push(next);
                }
                tokens.push(Token::Operator(operator));
            }
            first if is_of_word(&first) => {
                let mut word = String::from(first);
                while let Some(next) = characters.next_if(is_of_word) {
                    word.push(next);
                }
                tokens.push(Token::Word(word.to_ascii_lowercase()));
            }
            space if space.is_whitespace() => {}
            other => tokens.push(Token::Mark(other)),
        }
    }
    tokens
}

/// Everything in a piece of SQL that is looked up along the search path.
fn looked_up(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let word = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        let is =
            |at: Option<usize>, mark| at.and_then(|at| tokens.get(at)) == Some(&Token::Mark(mark));
        let (before, after) = (at.checked_sub(1), Some(at + 1));
        match &tokens[at] {
            Token::Operator(operator) => {
                let named = word(before) == "pg_catalog." && is(after, ')');
                let sign = operator == "-" && word(after).starts_with(|c: char| c.is_ascii_digit());
                if !(named || sign || (operator == "=" && is_assignment(&tokens[..at]))) {
                    found.push(operator.clone());
                }
            }
            Token::Word(name) => {
                let earlier = word(before);
                let qualified = name.contains('.');
                let called = is(after, '(') && !qualified;
                let cast = is(before, ':') && is(at.checked_sub(2), ':');
                let flagged = HIDDEN_OPERATORS.contains(&name.as_str())
                    || (called && name == "in")
                    || (called && !WORDS.contains(&name.as_str()) && !NAMING.contains(&earlier))
                    || (name == "distinct" && word(after) == "from")
                    || (name == "case" && word(after) != "when")
                    || (cast && !qualified && TYPES.contains(&name.as_str()))
                    || (TYPES.contains(&name.as_str())
                        && name != "name"
                        && !is_selected(&tokens, at))
                    || (name == "trigger" && earlier == "returns")
                    || (is_table(&tokens, at) && !qualified);
                if flagged {
                    found.push(name.clone());
                }
            }
            Token::Quoted | Token::Mark(_) => {}
        }
    }
    found
}

/// Says whether an equals sign after this sets a column or a setting.
fn is_assignment(before: &[Token]) -> bool {
    let [earlier @ .., Token::Word(target)] = before else { return false };
    let words = earlier.iter().rev().filter_map(|token| match token {
        Token::Word(word) => Some(word.as_str()),
        _ => None,
    });
    let clause = words.clone().find(|word| matches!(*word, "set" | "where" | "select" | "on"));
    match earlier {
        // The text continues a list.
        [Token::Mark(',')] => !target.contains('.'),
        [] => SETTINGS.contains(&target.as_str()),
        [.., Token::Mark(',')] => clause == Some("set"),
        [.., Token::Word(word)] => word == "set" || (word == "local" && clause == Some("set")),
        _ => false,
    }
}

/// Says whether a word that names a type is the alias of a column.
fn is_selected(tokens: &[Token], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| tokens[before] == Token::Word("as".into()))
}

/// Says whether a word is the name of a table that the statement does not define itself.
fn is_table(tokens: &[Token], at: usize) -> bool {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    let Some(before) = at.checked_sub(1) else { return false };
    let named = matches!(word(before), "from" | "join" | "into" | "update" | "table");
    let of_time = before.checked_sub(1).is_some_and(|before| word(before) == "epoch");
    let name = word(at);
    let is_keyword = matches!(name, "if" | "lateral" | "or" | "rows" | "only" | "set" | "select");
    let defined = (0..tokens.len()).any(|other| {
        word(other) == name
            && (word(other + 1) == "as"
                || other.checked_sub(1).is_some_and(|before| word(before) == "recursive"))
    });
    named && !of_time && !is_keyword && !defined
}

#[test]
fn the_library_names_the_schema_of_all_that_it_looks_up() -> io::Result<()> {
    let (mut found, mut read) = (Vec::new(), 0);
    for source in sources()? {
        let exempt = EXEMPT.iter().any(|(path, _)| source.path.starts_with(path));
        if exempt || source.path.ends_with("tests.rs") {
            continue;
        }
        let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for sql in sql_in(code) {
            read += 1;
            found.extend(
                looked_up(&sql).into_iter().map(|name| format!("{}: {name} in {sql}", source.path)),
            );
        }
    }
    assert!(read > 100, "only {read} pieces of SQL were found");
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn what_is_looked_up_is_seen() {
    for (sql, name) in [
        ("select from pg_catalog.pg_class where oid = $1", "="),
        (" where id = ", "="),
        (", a.b = ", "="),
        ("select a, b = c", "="),
        ("select set, 1 from pg_catalog.pg_class where a <> 'x = y'", "<>"),
        ("select i.type || ' '", "||"),
        ("select i.type like 'a'", "like"),
        (" and i.kind in ('a', 'b')", "in"),
        ("select a is not distinct from b", "distinct"),
        ("select case a when b then c end", "case"),
        ("select nullif(a, b)", "nullif"),
        ("select from a.b join c.d using (e)", "using"),
        ("select a::text", "text"),
        ("create table a.b (c timestamptz)", "timestamptz"),
        ("create table a.b (c pg_catalog.timestamptz default now())", "now"),
        ("create function a.b() returns trigger as $$ begin end $$", "trigger"),
        ("create function a.b() as $$ begin if a = b then end if; end $$", "="),
        (" and starts_with(a, b)", "starts_with"),
        ("select a from b", "b"),
        ("insert into b (c) values (1)", "b"),
    ] {
        assert!(looked_up(sql).contains(&name.to_owned()), "{sql}: {:?}", looked_up(sql));
    }
}

#[test]
fn what_is_named_is_not_taken_for_looked_up() {
    for sql in [
        "select from pg_catalog.pg_class where oid operator(pg_catalog.=) $1 and -1",
        "update a.b set c = 1, d = 2 where e operator(pg_catalog.=) 'f = g'",
        ", container = ",
        "set local lock_timeout = '5s'; ",
        "with recursive a (b) as (select 1), c as (select from a) select from c join a on true",
        " from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as asked (schema, place)",
        "select extract(epoch from created_at)::pg_catalog.float8, ''::bigint",
        "select case when a then b end, exists (select from a.b), coalesce(a, b)",
    ] {
        assert_eq!(looked_up(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn sql_is_found_among_other_literals() {
    let code = r##"
        // "select in a comment"
        let (quote, other) = ('"', '\''); // it's
        let error = format!("selecting {a} = {b}");
        sql.text(" and a \
                  b").text(if first { "" } else { ", " });
        fn life<'s>(sql: &'s mut Sql) { Sql::new("select \"a\"") }
        const RAW: &str = r#"select "b" "#;
    "##;
    assert_eq!(sql_in(code), [" and a b", "select \"a\"", "select \"b\" "]);
}
