//! The library's own statements name the schema of everything that they look up, so that nothing which a
//! tenant has created is found instead. Checked by reading the SQL in the sources.

use crate::source::sources;

/// The folder that reads SQL and sends none.
const READS_SQL: &str = "migrate/lint/";

/// The folders that print SQL for people, with the names of a schema under its search path.
const PRINTS_SQL: [&str; 4] = ["rows/tables/", "schema/ddl/", "schema/lint/", "schema/repair/"];

/// The folder of hostile tenants' SQL, which runs in scratch schemas.
const TENANTS_SQL: &str = "proof/attacks/";

/// The folders whose pieces make one statement each, so that a name which one of them gives is known in all.
const ONE_STATEMENT: [&str; 2] = ["schema/read/", "doctor/fleet/"];

/// What SQL begins with that is not appended to other SQL.
const BEGINNINGS: &[&str] = &[
    "alter", "begin", "comment", "create", "declare", "delete", "do", "drop", "insert", "lock",
    "rollback", "select", "set", "update", "with",
];

/// What may stand before a parenthesis although no schema is named: the grammar knows these words, or what
/// follows them is a list of columns.
const WORDS: &[&str] = &[
    "and",
    "all",
    "any",
    "array",
    "as",
    "by",
    "check",
    "coalesce",
    "conflict",
    "copy",
    "default",
    "else",
    "exists",
    "extract",
    "filter",
    "from",
    "greatest",
    "join",
    "key",
    "lateral",
    "least",
    "not",
    "on",
    "operator",
    "or",
    "ordinality",
    "over",
    "row",
    "select",
    "then",
    "values",
    "when",
    "where",
];

/// After these words a name is one that the statement itself gives.
const NAMING: &[&str] = &["as", "recursive", "with"];

/// What comes before the name of a table, and what may stand there in its place.
const TAKING_A_TABLE: &[&str] = &["from", "into", "join", "table", "update"];
const NO_TABLES: &[&str] = &["if", "lateral", "only", "or", "rows", "select", "set", "stdin"];

/// Types whose names are looked up, where they cannot be taken for a column's.
const TYPES: &[&str] =
    &["bytea", "float8", "int4", "int8", "jsonb", "record", "regclass", "text", "timestamptz"];

/// Types that the grammar knows.
const KEYWORD_TYPES: &[&str] = &["bigint", "boolean", "int", "integer"];

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
    let begins = BEGINNINGS.contains(&first) || text.contains("pg_catalog.");
    appended || (text.contains(' ') && begins)
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

/// A piece of SQL as it is read, with the names that other pieces of the same file give to what they select.
struct Piece<'a> {
    tokens: Vec<Token>,
    given: &'a [String],
}

impl Piece<'_> {
    /// Returns the word at a place, if there is one, and nothing else.
    fn word(&self, at: Option<usize>) -> &str {
        match at.and_then(|at| self.tokens.get(at)) {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    fn is_mark(&self, at: Option<usize>, mark: char) -> bool {
        at.and_then(|at| self.tokens.get(at)) == Some(&Token::Mark(mark))
    }

    /// Returns what is looked up along the search path at a place.
    fn looked_up(&self, at: usize) -> Option<&str> {
        match &self.tokens[at] {
            Token::Operator(operator) => (!self.is_named(at, operator)).then_some(operator),
            Token::Word(name) if name.contains('.') => None,
            Token::Word(name) => {
                let found = self.hides_an_operator(at, name)
                    || self.is_a_function(at, name)
                    || self.is_a_type(at, name)
                    || self.is_a_table(at, name);
                found.then_some(name)
            }
            Token::Quoted | Token::Mark(_) => None,
        }
    }

    /// Says whether an operator has its schema, or is none.
    fn is_named(&self, at: usize, operator: &str) -> bool {
        let (before, after) = (at.checked_sub(1), Some(at + 1));
        let has_schema = self.word(before) == "pg_catalog." && self.is_mark(after, ')');
        has_schema
            || match operator {
                "=" => self.is_assignment(at),
                "-" => self.word(after).starts_with(|c: char| c.is_ascii_digit()),
                "*" => {
                    let word = self.word(before);
                    word == "unlisten" || word.ends_with('.') || self.is_mark(before, '(')
                }
                _ => false,
            }
    }

    /// Says whether an equals sign sets a column or a setting.
    fn is_assignment(&self, at: usize) -> bool {
        let Some(target) = at.checked_sub(1) else { return false };
        let Some(before) = target.checked_sub(1) else {
            return SETTINGS.contains(&self.word(Some(target)));
        };
        let words = (0..target).rev().map(|at| self.word(Some(at)));
        let clause = words.clone().find(|word| ["set", "where", "select", "on"].contains(word));
        let in_list = self.is_mark(Some(before), ',') && !self.word(Some(target)).contains('.');
        // What begins with a comma continues a list.
        let in_set = clause == Some("set") || (clause.is_none() && before == 0);
        (in_list && in_set) || ["set", "local"].contains(&self.word(Some(before)))
    }

    fn hides_an_operator(&self, at: usize, name: &str) -> bool {
        let next = self.word(Some(at + 1));
        // An operator has a left side; this is the clause of `create table a.b (like c.d)`.
        let is_clause = name == "like" && self.is_mark(at.checked_sub(1), '(');
        (HIDDEN_OPERATORS.contains(&name) && !is_clause)
            || (name == "in" && self.is_mark(Some(at + 1), '('))
            || (name == "distinct" && next == "from")
            || (name == "case" && next != "when")
    }

    fn is_a_function(&self, at: usize, name: &str) -> bool {
        let is_called = self.is_mark(Some(at + 1), '(');
        is_called && !WORDS.contains(&name) && !NAMING.contains(&self.word(at.checked_sub(1)))
    }

    fn is_a_type(&self, at: usize, name: &str) -> bool {
        let is_cast = [1, 2].iter().all(|back| self.is_mark(at.checked_sub(*back), ':'));
        match self.word(at.checked_sub(1)) {
            _ if is_cast => !KEYWORD_TYPES.contains(&name),
            "as" => false,
            "returns" if name == "trigger" => true,
            _ => TYPES.contains(&name),
        }
    }

    /// Says whether a word is a table that no part of the statement has given its name.
    fn is_a_table(&self, at: usize, name: &str) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let named = TAKING_A_TABLE.contains(&self.word(Some(before)));
        let of_time = self.word(before.checked_sub(1)) == "epoch";
        let given = self.given.iter().any(|given| given == name);
        named && !of_time && !given && !NO_TABLES.contains(&name)
    }
}

/// The names that a piece of SQL gives to what it selects.
fn given(sql: &str) -> impl Iterator<Item = String> {
    let piece = Piece { tokens: tokens(sql), given: &[] };
    (0..piece.tokens.len()).filter_map(move |at| {
        let selected =
            piece.is_mark(Some(at + 2), '(') || piece.word(Some(at + 2)) == "materialized";
        let names = piece.word(Some(at + 1)) == "as" && selected;
        let recursive = piece.word(at.checked_sub(1)) == "recursive";
        (names || recursive).then(|| piece.word(Some(at)).to_owned())
    })
}

/// Everything in a piece of SQL that is looked up along the search path.
fn looked_up(sql: &str, given: &[String]) -> Vec<String> {
    let piece = Piece { tokens: tokens(sql), given };
    let places = 0..piece.tokens.len();
    places.filter_map(|at| piece.looked_up(at)).map(str::to_owned).collect()
}

/// The names that all pieces of SQL of a folder give.
fn given_in(folder: &str) -> Vec<String> {
    let sources = sources().into_iter().filter(|source| source.path.starts_with(folder));
    let pieces = sources.flat_map(|source| sql_in(&source.text));
    pieces.flat_map(|sql| given(&sql).collect::<Vec<_>>()).collect()
}

#[test]
fn the_library_names_the_schema_of_all_that_it_looks_up() {
    let (mut found, mut read) = (Vec::new(), 0);
    let common = ONE_STATEMENT.map(given_in);
    for source in sources() {
        let prints = PRINTS_SQL.iter().any(|folder| source.path.starts_with(folder));
        if prints
            || source.path.starts_with(READS_SQL)
            || source.path.starts_with(TENANTS_SQL)
            || source.path.ends_with("tests.rs")
        {
            continue;
        }
        let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let pieces = sql_in(code);
        let mut given: Vec<_> = pieces.iter().flat_map(|sql| given(sql)).collect();
        for (_, common) in
            ONE_STATEMENT.iter().zip(&common).filter(|(of, _)| source.path.starts_with(**of))
        {
            given.extend_from_slice(common);
        }
        read += pieces.len();
        for sql in pieces {
            let names = looked_up(&sql, &given).into_iter();
            found.extend(names.map(|name| format!("{}: {name} in {sql}", source.path)));
        }
    }
    assert!(read > 100, "only {read} pieces of SQL were found");
    assert!(found.is_empty(), "{found:#?}");
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
        ("select (a like 'b')", "like"),
        (" and i.kind in ('a', 'b')", "in"),
        ("select a is not distinct from b", "distinct"),
        ("select case a when b then c end", "case"),
        ("select nullif(a, b)", "nullif"),
        ("select from a.b join c.d using (e)", "using"),
        ("select a::text", "text"),
        ("select a::name", "name"),
        ("create table a.b (c timestamptz)", "timestamptz"),
        ("create table a.b (c pg_catalog.timestamptz default now())", "now"),
        ("create function a.b() returns trigger as $$ begin end $$", "trigger"),
        ("create function a.b() as $$ begin if a = b then end if; end $$", "="),
        (" and starts_with(a, b)", "starts_with"),
        ("select a from b", "b"),
        ("insert into b (c) values (1)", "b"),
    ] {
        let found = looked_up(sql, &[]);
        assert!(found.contains(&name.to_owned()), "{sql}: {found:?}");
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
        "unlisten *; select pg_catalog.count(*) filter (where a)",
        "create temporary table pg_temp.a (like b.c including generated) on commit drop",
        "select case when a then b end, exists (select from a.b), coalesce(a, b)",
    ] {
        let given: Vec<_> = given(sql).collect();
        assert_eq!(looked_up(sql, &given), Vec::<String>::new(), "{sql}");
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
