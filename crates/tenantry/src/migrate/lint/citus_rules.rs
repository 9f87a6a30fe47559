//! Warnings about statements that a coordinator of Citus refuses on the tables of a distributed schema.

use super::{
    Rule,
    context::Context,
    found::Found,
    live::{SERIAL, VOLATILE},
    piece::{Piece, Within},
    script::{Kind, Token},
    words::{follows, starts},
};

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function's statements run later.
    if !context.lint.is_for_citus() || piece.within == Within::Routine {
        return;
    }
    for statement in piece.statements() {
        if let Some(message) = of_statement(statement) {
            found.add(piece.offset + statement[0].at, Rule::Citus, message);
        }
    }
}

fn of_statement(statement: &[Token<'_>]) -> Option<&'static str> {
    match &*statement.first()?.keyword() {
        "create" if is_trigger(statement) => Some(TRIGGER),
        "create" if starts(statement, &["create", "schema"]) => {
            let has_elements =
                statement[2..].iter().any(|token| token.is_one_of(&["create", "grant"]));
            has_elements.then_some(SCHEMA)
        }
        "create" if is_table(statement) => match () {
            () if follows(statement, &["inherits"]).is_some() => Some(INHERITS),
            () => refers_elsewhere(statement).then_some(REFERENCE),
        },
        "alter" if starts(statement, &["alter", "table"]) => match () {
            () if adds_serial(statement) => Some(ADD_SERIAL),
            () if follows(statement, &["inherit"]).is_some() => Some(INHERITS),
            () => refers_elsewhere(statement).then_some(REFERENCE),
        },
        "alter" if starts(statement, &["alter", "sequence"]) => {
            follows(statement, &["owned", "by"]).map(|_| OWNED_BY)
        }
        "update" | "insert" | "delete" | "merge" | "with" => {
            let returning = follows(statement, &["returning"]);
            let returned = returning.map_or(&[][..], |at| &statement[at..]);
            let changes = follows(statement, &["update"]).is_some_and(|at| {
                let end = returning.unwrap_or(statement.len()).max(at);
                calls(&statement[at..end], &[VOLATILE])
            });
            let returns = calls(returned, &[VOLATILE, STABLE])
                || returned.iter().any(|token| token.is_one_of(CLOCKS));
            (changes || returns).then_some(if changes { UPDATE } else { RETURNING })
        }
        _ => None,
    }
}

fn is_trigger(create: &[Token<'_>]) -> bool {
    [
        &["create", "trigger"][..],
        &["create", "or", "replace", "trigger"],
        &["create", "constraint", "trigger"],
    ]
    .into_iter()
    .any(|words| starts(create, words))
}

fn is_table(create: &[Token<'_>]) -> bool {
    create.iter().take(4).any(|token| token.is("table"))
}

/// Returns `true` if a foreign key names a table with its schema.
fn refers_elsewhere(statement: &[Token<'_>]) -> bool {
    statement
        .windows(3)
        .any(|three| three[0].is("references") && three[1].is_name() && three[2].kind == Kind::Dot)
}

/// Returns `true` if a column is added whose type creates a sequence.
fn adds_serial(alter: &[Token<'_>]) -> bool {
    let Some(add) = follows(alter, &["add"]) else { return false };
    alter[add..].iter().any(|token| token.is_one_of(SERIAL))
}

fn calls(tokens: &[Token<'_>], names: &[&[&str]]) -> bool {
    tokens.windows(2).any(|pair| {
        pair[1].kind == Kind::Open && names.iter().any(|names| pair[0].is_one_of(names))
    })
}

/// Functions whose value changes between statements.
const STABLE: &[&str] = &["now", "statement_timestamp", "transaction_timestamp", "current_setting"];

/// The same, as words that are called without brackets.
const CLOCKS: &[&str] = &[
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "current_user",
];

const TRIGGER: &str = "Citus refuses triggers on distributed tables, unless citus.enable_unsafe_triggers is on: use a \
                       generated column or a default, or do it in the application";
const SCHEMA: &str =
    "Citus refuses create schema with objects in it: create them in separate statements";
const INHERITS: &str =
    "Citus does not distribute tables that inherit: use partitions, or separate tables";
const REFERENCE: &str = "in a Citus cluster, a foreign key to another schema needs a reference table there: call \
                         create_reference_table in the migration of the shared schema";
const ADD_SERIAL: &str = "Citus refuses to add a serial column to a distributed table: create a sequence, add a bigint \
                          column, and set its default to nextval";
const OWNED_BY: &str = "Citus refuses owned by for a sequence of a distributed table: create the column as an identity \
                        with its table";
const UPDATE: &str = "Citus refuses volatile functions in the update of a distributed table: compute the values in a \
                      temporary table or in the application";
const RETURNING: &str = "Citus refuses functions in returning whose value changes: return the columns, and read them \
                         afterwards";
