//! Statements that change the search path.

use super::{
    Rule,
    context::{Context, Of},
    found::Found,
    piece::{Piece, Within},
    set_config::set_configs,
    words::{beginnings, follows, starts},
};

const MESSAGE: &str = "the search_path is the tenant's, and the following statements would affect another \
                       schema: remove this";

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
    // A function of the shared schema runs only when called.
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
    for set in set_configs(piece.tokens).filter(|set| set.setting == "search_path") {
        found.add(piece.offset + set.at, Rule::SearchPath, MESSAGE);
    }
}
