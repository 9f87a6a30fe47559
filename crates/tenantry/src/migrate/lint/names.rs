//! Finds the schemas that a statement names.

use std::collections::HashSet;

use super::script::{Kind, Token};

/// What the names of a statement are looked at for.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    /// Says whether a schema may be named.
    pub(super) allowed: &'a dyn Fn(&str) -> bool,
    /// Where the statement stands.
    pub(super) within: Within,
    /// Names that stand for a table, a variable or a parameter around the statement.
    pub(super) around: &'a HashSet<String>,
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    File,
    /// In a function, where three names in a row may be a variable and two of its fields.
    Body,
}

/// Words after which the name of an object stands, whatever the statement.
const BEFORE_AN_OBJECT: &[&str] = &[
    "table",
    "view",
    "index",
    "sequence",
    "type",
    "domain",
    "function",
    "procedure",
    "routine",
    "aggregate",
    "collation",
    "statistics",
    "references",
    "into",
    "join",
    "truncate",
    "lock",
    "call",
];

/// Words between such a word and the name.
const BETWEEN: &[&str] = &["only", "if", "not", "exists", "concurrently", "lateral"];

/// Statements in which `on` stands before the name of a table.
const ON_A_TABLE: &[&str] =
    &["index", "trigger", "policy", "rule", "grant", "revoke", "statistics"];

/// Functions whose arguments have a `from` that is no clause.
const WITH_FROM: &[&str] = &["extract", "substring", "trim", "overlay", "position"];

/// Words that end the list of tables after `from`.
const ENDS_FROM: &[&str] = &[
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "union",
    "except",
    "intersect",
    "set",
    "returning",
    "window",
    "for",
    "fetch",
    "loop",
    "then",
    "values",
    "select",
];

/// Returns the schemas that must not be named, and where they are.
pub(super) fn foreign(statement: &[Token<'_>], names: Names<'_>) -> Vec<(usize, String)> {
    if statement[0].is_one_of(&["set", "reset", "show"]) {
        // The name of a setting has a dot, too.
        return Vec::new();
    }
    let mut declared = declared(statement);
    declared.extend(names.around.iter().cloned());
    let mut found = Vec::new();
    let mut from = From::default();
    for (index, token) in statement.iter().enumerate() {
        from.read(statement, index);
        if let Some(schema) = schema_of_text(statement, index)
            && !(names.allowed)(&schema)
        {
            found.push((token.at, schema));
        }
        let Some(parts) = chain(statement, index) else { continue };
        let schema = token.name();
        if (names.allowed)(&schema) || is_temporary(&schema) {
            continue;
        }
        let stands_for_itself = declared.contains(&schema) || is_of_column(statement, index, parts);
        let qualifies = from.is_item || is_object(statement, index, parts, names.within);
        let is_schema = match schema.as_str() {
            // Nobody calls a table so: it is the schema wherever it stands.
            "public" => !stands_for_itself,
            _ if parts > 2 && names.within == Within::File => !stands_for_itself,
            _ => qualifies && !is_column(statement, index, parts, &declared, names.within),
        };
        if is_schema {
            found.push((token.at, schema));
        }
    }
    found
}

fn is_temporary(schema: &str) -> bool {
    schema == "pg_temp" || schema.starts_with("pg_temp_")
}

/// Returns how many names there are in a row with dots between them, when one begins here.
fn chain(statement: &[Token<'_>], begin: usize) -> Option<usize> {
    let is_dot = |index: usize| statement.get(index).is_some_and(|token| token.kind == Kind::Dot);
    if !statement[begin].is_name() || begin.checked_sub(1).is_some_and(is_dot) {
        return None;
    }
    let mut parts = 1;
    let mut next = begin + 1;
    while is_dot(next) && statement.get(next + 1).is_some_and(Token::is_name) {
        parts += 1;
        next += 2;
    }
    (parts > 1).then_some(parts)
}

/// Returns the names that stand for a table of the statement, and so before its columns.
pub(super) fn declared(statement: &[Token<'_>]) -> HashSet<String> {
    let mut declared: HashSet<String> = ["new", "old", "excluded"].map(str::to_owned).into();
    for (index, pair) in statement.windows(2).enumerate() {
        let [before, name] = pair else { continue };
        let is_dotted = statement.get(index + 2).is_some_and(|next| next.kind == Kind::Dot);
        if !name.is_name() || is_dotted {
            continue;
        }
        let introduces = before.is_one_of(&[
            "as",
            "from",
            "join",
            "into",
            "update",
            "with",
            "recursive",
            "using",
            "only",
            "table",
            "on",
            "lateral",
            "alias",
            "for",
            "declare",
        ]);
        // An alias without `as` stands behind the name of a table, or behind a closing parenthesis.
        if introduces || before.is_name() || matches!(before.kind, Kind::Close | Kind::Comma) {
            declared.insert(name.name());
        }
    }
    declared
}

/// Says whether a chain stands where the name of an object does.
fn is_object(statement: &[Token<'_>], index: usize, parts: usize, within: Within) -> bool {
    let after = index + 2 * parts - 1;
    if statement.get(after).is_some_and(|token| token.kind == Kind::Open) {
        // A function that is called, or a table with its columns.
        return true;
    }
    let Some(mut before) = index.checked_sub(1) else { return false };
    while before > 0 && statement[before].is_one_of(BETWEEN) {
        before -= 1;
    }
    let word = &statement[before];
    let first = &statement[0];
    let is_first = |keywords: &[&str]| first.is_one_of(keywords);
    let previous = before.checked_sub(1).map(|index| &statement[index]);
    match word.kind {
        // In a function, `select … into record.field` sets a variable.
        Kind::Word if word.is("into") && within == Within::Body => {
            previous.is_some_and(|word| word.is_one_of(&["insert", "merge"]))
        }
        Kind::Word if word.is_one_of(BEFORE_AN_OBJECT) => true,
        Kind::Word if word.is_one_of(&["copy", "analyze", "vacuum", "cluster"]) => before == 0,
        // `owned by t.c`, `on column t.c`: with three names the first is a schema.
        Kind::Word if word.is_one_of(&["by", "column"]) => parts > 2,
        // `for update`, `on update`, `do update` are about something else.
        Kind::Word if word.is("update") => {
            previous.is_none_or(|word| !word.is_one_of(&["for", "on", "do", "or", "key"]))
        }
        Kind::Word if word.is("on") => {
            is_about(statement, ON_A_TABLE) && depth(statement, before) == 0
        }
        Kind::Word if word.is("using") => is_first(&["delete", "merge"]),
        Kind::Word if word.is("of") => previous.is_some_and(|word| word.is("partition")),
        Kind::Word if word.is("like") => {
            let in_list = |token: &Token<'_>| matches!(token.kind, Kind::Open | Kind::Comma);
            is_about(statement, &["table"]) && previous.is_some_and(in_list)
        }
        Kind::Word if word.is("to") => is_about(statement, &["rule"]),
        Kind::Open => previous.is_some_and(|word| word.is("inherits")),
        Kind::Comma => {
            depth(statement, before) == 0
                && is_first(&["drop", "truncate", "lock", "grant", "revoke"])
        }
        // A cast: `::x.y`.
        Kind::Other => word.text == ":" && previous.is_some_and(|word| word.text == ":"),
        _ => false,
    }
}

/// Says whether two names are a table and its column: `owned by t.c`, `on column t.c`.
fn is_of_column(statement: &[Token<'_>], index: usize, parts: usize) -> bool {
    let before = index.checked_sub(1).map(|index| &statement[index]);
    parts == 2 && before.is_some_and(|word| word.is_one_of(&["by", "column"]))
}

/// Says whether a chain that stands where an object can is a column all the same.
fn is_column(
    statement: &[Token<'_>],
    index: usize,
    parts: usize,
    declared: &HashSet<String>,
    within: Within,
) -> bool {
    let in_body = within == Within::Body && declared.contains(&statement[index].name());
    // `from t.column`, where `t` is another item of the list: only an array of it can be unnested.
    let of_item =
        parts == 2 && declared.contains(&statement[index].name()) && !is_defined(statement);
    in_body || of_item
}

/// Says whether the statement defines something, so that its names are those of objects.
fn is_defined(statement: &[Token<'_>]) -> bool {
    statement[0].is_one_of(&["create", "alter", "drop", "truncate", "grant", "revoke", "comment"])
}

/// Says whether a statement is about one of these, by its first words.
fn is_about(statement: &[Token<'_>], kinds: &[&str]) -> bool {
    statement.iter().take(5).any(|token| token.is_one_of(kinds))
}

fn depth(statement: &[Token<'_>], end: usize) -> usize {
    statement[..end].iter().fold(0_usize, |depth, token| match token.kind {
        Kind::Open => depth + 1,
        Kind::Close => depth.saturating_sub(1),
        _ => depth,
    })
}

/// Follows the lists of tables after `from`, in a statement and in what is between its parentheses.
#[derive(Debug, Default)]
struct From {
    /// Whether a list is open, for each parenthesis that is open.
    outer: Vec<Clause>,
    here: Clause,
    /// Whether the token that was read last is an item of a list.
    is_item: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Clause {
    open: bool,
    /// Whether the next token is an item.
    expects: bool,
    /// Whether a `from` here is no clause.
    in_function: bool,
}

impl From {
    fn read(&mut self, statement: &[Token<'_>], index: usize) {
        let token = &statement[index];
        self.is_item = self.here.expects && token.is_name() && !token.is_one_of(BETWEEN);
        let previous = index.checked_sub(1).map(|index| &statement[index]);
        match token.kind {
            Kind::Open => {
                self.here.expects = false;
                self.outer.push(self.here);
                let in_function = previous.is_some_and(|word| word.is_one_of(WITH_FROM));
                self.here = Clause { in_function, ..Clause::default() };
            }
            Kind::Close => self.here = self.outer.pop().unwrap_or_default(),
            Kind::Comma => self.here.expects = self.here.open,
            Kind::Word if token.is("from") => {
                // `is distinct from` compares, `revoke … from` names a role.
                let compares = previous.is_some_and(|word| word.is("distinct"));
                let of_role = statement[0].is("revoke");
                let opens = !compares && !of_role && !self.here.in_function;
                self.here.open |= opens;
                self.here.expects = opens;
            }
            Kind::Word if token.is_one_of(ENDS_FROM) => {
                (self.here.open, self.here.expects) = (false, false);
            }
            Kind::Word if token.is_one_of(BETWEEN) => {}
            _ => self.here.expects = false,
        }
    }
}

/// Returns the schema in a text that names an object: `nextval('s.x')`, `'s.x'::regclass`.
fn schema_of_text(statement: &[Token<'_>], index: usize) -> Option<String> {
    let token = &statement[index];
    if token.kind != Kind::Text {
        return None;
    }
    let text = token.text.strip_prefix('\'')?.strip_suffix('\'')?;
    let (schema, object) = text.split_once('.')?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '"' | '-');
    if object.is_empty() || schema.is_empty() || !schema.chars().all(plain) {
        return None;
    }
    let is = |at: Option<usize>, words: &[&str]| {
        at.and_then(|at| statement.get(at)).is_some_and(|token| token.is_one_of(words))
    };
    let cast = is(index.checked_add(3), &["regclass", "regtype", "regproc", "regprocedure"]);
    let called = ["nextval", "currval", "setval", "to_regclass", "to_regtype", "to_regproc"];
    let called = is(index.checked_sub(2), &called);
    let name = match schema.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => schema.to_ascii_lowercase(),
    };
    (cast || called).then_some(name)
}
