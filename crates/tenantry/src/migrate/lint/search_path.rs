//! Statements that change where names are looked up.

use super::{
    Rule,
    found::Found,
    piece::{Piece, Within},
    rules::{Context, Of},
    script::Kind,
    words::{beginnings, follows, starts},
};

const MESSAGE: &str = "the search_path is that of the tenant; what follows would be about another schema: leave this out";

/// Statements that change the search path.
const CHANGES: &[&[&str]] = &[
    &["set", "search_path"],
    &["set", "session", "search_path"],
    &["set", "local", "search_path"],
    &["set", "schema"],
    &["set", "session", "schema"],
    &["set", "local", "schema"],
    &["reset", "search_path"],
    &["reset", "all"],
    &["discard", "all"],
];

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function of the shared schema is called by whoever knows it.
    if context.subject.of == Of::Shared && piece.within == Within::Routine {
        return;
    }
    for statement in beginnings(piece.tokens) {
        let changes = CHANGES.iter().any(|words| starts(statement, words));
        let of_role = piece.within == Within::File
            && statement[0].is("alter")
            && statement.get(1).is_some_and(|what| what.is_one_of(&["role", "user", "database"]))
            && follows(statement, &["set", "search_path"]).is_some();
        if changes || of_role {
            found.add(piece.offset + statement[0].at, Rule::SearchPath, MESSAGE);
        }
    }
    check_calls(piece, found);
}

/// Finds `set_config('search_path', …)`.
fn check_calls(piece: &Piece<'_>, found: &mut Found<'_>) {
    for (index, function) in piece.tokens.iter().enumerate() {
        let is_call = function.is("set_config")
            && piece.tokens.get(index + 1).is_some_and(|open| open.kind == Kind::Open);
        if !is_call {
            continue;
        }
        // The name of the parameter can stand before it, and a cast behind.
        let argument = piece.tokens[index + 2..].iter().take(6);
        let mut argument = argument.take_while(|token| token.kind != Kind::Comma);
        let is_named = argument.any(|token| {
            matches!(token.kind, Kind::Text | Kind::Dollar)
                && token.text.trim_matches(['\'', '$']).eq_ignore_ascii_case("search_path")
        });
        if is_named {
            found.add(piece.offset + function.at, Rule::SearchPath, MESSAGE);
        }
    }
}
