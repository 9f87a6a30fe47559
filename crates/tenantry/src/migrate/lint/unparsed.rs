//! Schema names in a statement that the parser does not know, found by the words before them.

use std::collections::HashSet;

use super::{
    named_in_text::{self, Names},
    piece::{Piece, Within},
    schema_name::Named,
    script::{Kind, Token},
};

/// Words that precede the name of an object in any statement.
const BEFORE_AN_OBJECT: &[&str] = &[
    "aggregate",
    "call",
    "collate",
    "collation",
    "domain",
    "from",
    "function",
    "index",
    "inherit",
    "join",
    "lock",
    "partition",
    "procedure",
    "references",
    "routine",
    "sequence",
    "statistics",
    "table",
    "truncate",
    "type",
    "view",
];

/// Words between such a word and the name.
const BETWEEN: &[&str] =
    &["only", "if", "not", "exists", "concurrently", "lateral", "of", "attach", "detach"];

/// Returns the schemas that a statement names.
pub(super) fn named(piece: &Piece<'_>) -> Vec<Named> {
    let tokens = piece.tokens;
    // The name of a setting contains a dot, too.
    if is_setting(tokens) {
        return Vec::new();
    }
    let aliases = aliases(tokens);
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let names = of_text(tokens, index);
        let schemas = names.map(|names| named_in_text::schemas(names, token.text));
        let schemas = schemas.unwrap_or_else(|| {
            let schema = schema_by_itself(tokens, index);
            schema.or_else(|| schema_before(piece, index, &aliases)).into_iter().collect()
        });
        found.extend(schemas.into_iter().map(|schema| Named::new(token.at, schema)));
    }
    found
}

fn is_setting(tokens: &[Token<'_>]) -> bool {
    let owners = ["role", "user", "database", "system"];
    match tokens {
        [first, ..] if first.is_one_of(&["set", "reset", "show"]) => true,
        [first, second, ..] => first.is("alter") && second.is_one_of(&owners),
        _ => false,
    }
}

/// Returns the table aliases of the statement.
fn aliases(tokens: &[Token<'_>]) -> HashSet<String> {
    let pairs = tokens.windows(2);
    pairs.filter(|pair| pair[0].is("as") && pair[1].is_name()).map(|pair| pair[1].name()).collect()
}

/// Checks dotted names.
fn schema_before(piece: &Piece<'_>, index: usize, aliases: &HashSet<String>) -> Option<String> {
    let tokens = piece.tokens;
    let is_dot = |index: usize| tokens.get(index).is_some_and(|token| token.kind == Kind::Dot);
    if !tokens[index].is_name() || index.checked_sub(1).is_some_and(is_dot) || !is_dot(index + 1) {
        return None;
    }
    let (mut parts, mut after) = (1, index + 1);
    while is_dot(after) {
        (parts, after) = (parts + 1, after + 2);
    }
    let is_called = tokens.get(after).is_some_and(|token| token.kind == Kind::Open);
    let schema = tokens[index].name();
    let is_variable =
        aliases.contains(&schema) || piece.within != Within::File && piece.around.contains(&schema);
    if is_variable && !is_called {
        return None;
    }
    let before = word_before(tokens, index)?;
    // `owned by t.c`, `on column t.c`: two names are a table and its column.
    let of_column = parts == 2 && tokens[before].is_one_of(&["by", "column"]);
    let is_schema = precedes_an_object(tokens, before)
        || is_called
        || (parts > 2 && piece.within == Within::File)
        || (schema == "public" && !of_column);
    is_schema.then_some(schema)
}

/// Returns the position of the word that a name follows, apart from words like `only`.
fn word_before(tokens: &[Token<'_>], name: usize) -> Option<usize> {
    let mut before = name.checked_sub(1)?;
    while before > 0 && tokens[before].is_one_of(BETWEEN) {
        before -= 1;
    }
    Some(before)
}

/// Returns `true` if the name of an object follows the word at this position.
fn precedes_an_object(tokens: &[Token<'_>], at: usize) -> bool {
    let word = &tokens[at];
    let previous = at.checked_sub(1).map(|index| &tokens[index]);
    let follows = |words: &[&str]| previous.is_some_and(|word| word.is_one_of(words));
    match () {
        () if word.is_one_of(BEFORE_AN_OBJECT) => true,
        () if word.is("into") => follows(&["insert", "merge"]),
        () if word.is("update") => !follows(&["for", "on", "do", "or", "key"]),
        () => word.text == ":",
    }
}

/// Returns what a text names, by the type before or after it, or by the function that it is passed to.
fn of_text(tokens: &[Token<'_>], index: usize) -> Option<Names> {
    let text = tokens.get(index)?;
    if !matches!(text.kind, Kind::Text | Kind::Dollar) {
        return None;
    }
    let (before, behind) = (&tokens[..index], &tokens[index + 1..]);
    let of_type =
        |name: &Token<'_>| name.is_name().then(|| named_in_text::of_type(&name.name())).flatten();
    // `::pg_catalog.regclass`, `as regclass`
    let casts = behind
        .iter()
        .take_while(|token| token.is_name() || token.kind == Kind::Dot || token.text == ":");
    let is_cast = behind.first().is_some_and(|token| token.text == ":" || token.is("as"));
    before
        .last()
        .and_then(of_type)
        .or_else(|| casts.filter(|_| is_cast).find_map(of_type))
        .or_else(|| of_argument(before, behind))
}

fn of_argument(before: &[Token<'_>], behind: &[Token<'_>]) -> Option<Names> {
    let (open, commas_before) = end_of(before.iter().rev(), Kind::Close, Kind::Open)?;
    let (_, commas_behind) = end_of(behind.iter(), Kind::Open, Kind::Close)?;
    let function = before.iter().rev().nth(open + 1).filter(|name| name.is_name())?;
    named_in_text::of_argument(&function.name(), commas_before, commas_before + commas_behind + 1)
}

/// Finds the end of the enclosing parentheses, and the number of commas before that.
fn end_of<'t>(
    tokens: impl Iterator<Item = &'t Token<'t>>,
    opens: Kind,
    closes: Kind,
) -> Option<(usize, usize)> {
    let (mut depth, mut commas) = (0_usize, 0);
    for (index, token) in tokens.enumerate() {
        match token.kind {
            kind if kind == opens => depth += 1,
            kind if kind == closes && depth == 0 => return Some((index, commas)),
            kind if kind == closes => depth -= 1,
            Kind::Comma if depth == 0 => commas += 1,
            Kind::Semicolon => return None,
            _ => {}
        }
    }
    None
}

/// Checks a schema that is named as such: `create schema s`, `in schema s`.
fn schema_by_itself(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let keyword = index.checked_sub(1).filter(|before| tokens[*before].is("schema"))?;
    let statement = ["create", "alter", "drop", "grant", "revoke", "comment"];
    let is_extension = tokens.get(1).is_some_and(|word| word.is("extension"));
    let before = &tokens[keyword.checked_sub(1)?];
    let is_about = keyword == 1 || before.is_one_of(&["in", "on", "set"]);
    let is_schema = is_about && tokens[0].is_one_of(&statement) && !is_extension;
    let name = tokens.get(index).filter(|token| is_schema && token.is_name())?;
    Some(name.name())
}
