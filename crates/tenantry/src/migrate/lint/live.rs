//! Warnings about statements that hurt a running service while its tables are changed.
//!
//! PostgreSQL's chapters on `alter table` and `create index` describe the alternatives that the messages suggest.

use super::{
    Rule,
    context::Context,
    found::Found,
    made::{Made, last_name, table_of},
    name::name_of,
    piece::{Piece, Within},
    syntax::SyntaxKind as S,
    tree::{Node, Tree},
};

/// Functions that return a different value for each row.
const VOLATILE: &[&str] = &[
    "clock_timestamp",
    "gen_random_bytes",
    "gen_random_uuid",
    "gen_ulid",
    "nextval",
    "random",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuid_generate_v7",
    "uuidv4",
    "uuidv7",
];

const SERIAL: &[&str] = &["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"];

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function's statements run later.
    let Some(tree) = piece.tree.as_ref().filter(|_| piece.within != Within::Routine) else {
        return;
    };
    for (at, rule, message) in warnings(tree, &context.made) {
        found.add(piece.offset + at, rule, message);
    }
}

type Warning = (usize, Rule, &'static str);

fn warnings(tree: &Tree<'_>, made: &Made) -> Vec<Warning> {
    let mut found = Vec::new();
    for node in tree.nodes() {
        let warning = match node.kind() {
            S::ALTER_TABLE | S::ALTER_MATERIALIZED_VIEW if !made.has(node) => {
                let actions = node.children();
                found.extend(actions.flat_map(|action| of_action(node, action, made)));
                None
            }
            S::CREATE_INDEX if !made.has(node) && !is_concurrent(node) && !is_of_parent(node) => {
                Some((Rule::IndexNotConcurrent, INDEX))
            }
            S::REINDEX if !is_concurrent(node) => Some((Rule::IndexNotConcurrent, REINDEX)),
            S::LOCK => Some((Rule::LockTable, LOCK)),
            S::DROP_TABLE if !drops_own(node, made) => Some((Rule::DropTable, DROP_TABLE)),
            S::CLUSTER if !made.has(node) => Some((Rule::TableRewrite, CLUSTER)),
            S::VACUUM if is_full(node) => Some((Rule::TableRewrite, VACUUM_FULL)),
            _ => None,
        };
        found.extend(warning.map(|(rule, message)| (node.at(), rule, message)));
    }
    found
}

/// Checks one action of an `alter table`.
fn of_action(statement: Node<'_, '_>, action: Node<'_, '_>, made: &Made) -> Vec<Warning> {
    let warnings = match action.kind() {
        S::ADD_COLUMN => of_new_column(action),
        S::ADD_CONSTRAINT => of_constraint(action).into_iter().collect(),
        S::ALTER_COLUMN => of_column(statement, action, made).into_iter().collect(),
        S::DROP_COLUMN => vec![(Rule::DropColumn, DROP_COLUMN)],
        S::RENAME_COLUMN => vec![(Rule::Rename, RENAME_COLUMN)],
        S::TABLE_RENAME_TO | S::VIEW_RENAME_TO => vec![(Rule::Rename, RENAME_TABLE)],
        S::SET_TABLESPACE | S::SET_LOGGED | S::SET_UNLOGGED | S::SET_ACCESS_METHOD => {
            vec![(Rule::TableRewrite, SET_STORAGE)]
        }
        _ => Vec::new(),
    };
    warnings.into_iter().map(|(rule, message)| (action.at(), rule, message)).collect()
}

fn of_new_column(column: Node<'_, '_>) -> Vec<(Rule, &'static str)> {
    let default = column.child(S::DEFAULT_CONSTRAINT);
    let generated = column.child(S::GENERATED_CONSTRAINT);
    let type_name = column.child(S::PATH_TYPE).map(|name| name_of(name.text()));
    let is_serial = type_name.is_some_and(|name| SERIAL.contains(&name.as_str()));
    let is_filled = default.is_some() || generated.is_some() || is_serial;
    let is_stored = generated.is_some_and(|generated| {
        generated.has(S::GENERATED_STORED) || generated.has(S::GENERATED_IDENTITY)
    });
    let rewrites = is_serial || is_stored || default.is_some_and(is_volatile);
    let has = |kind| column.child(kind).is_some();
    let warnings = [
        (rewrites, Rule::TableRewrite, ADD_FILLED),
        (has(S::NOT_NULL_CONSTRAINT) && !is_filled, Rule::NotNull, ADD_NOT_NULL),
        // The server knows that a key of nothing but nulls needs no check.
        (has(S::REFERENCES_CONSTRAINT) && is_filled, Rule::ConstraintNotValid, FOREIGN_KEY),
        (has(S::CHECK_CONSTRAINT), Rule::ConstraintNotValid, CHECK),
        (
            has(S::UNIQUE_CONSTRAINT) || has(S::PRIMARY_KEY_CONSTRAINT),
            Rule::IndexNotConcurrent,
            UNIQUE,
        ),
    ];
    let due = warnings.into_iter().filter(|(is_due, ..)| *is_due);
    due.map(|(_, rule, message)| (rule, message)).collect()
}

fn of_constraint(added: Node<'_, '_>) -> Option<(Rule, &'static str)> {
    let constraint = added.children().last()?;
    if constraint.has(S::NOT_VALID) || added.has(S::NOT_VALID) {
        return None;
    }
    match constraint.kind() {
        S::FOREIGN_KEY_CONSTRAINT => Some((Rule::ConstraintNotValid, FOREIGN_KEY)),
        S::CHECK_CONSTRAINT => Some((Rule::ConstraintNotValid, CHECK)),
        S::NOT_NULL_CONSTRAINT => Some((Rule::NotNull, SET_NOT_NULL)),
        S::UNIQUE_CONSTRAINT | S::PRIMARY_KEY_CONSTRAINT => {
            let is_ready = constraint.has(S::USING_INDEX_NAME);
            (!is_ready).then_some((Rule::IndexNotConcurrent, UNIQUE))
        }
        S::EXCLUDE_CONSTRAINT => Some((Rule::IndexNotConcurrent, EXCLUDE)),
        _ => None,
    }
}

fn of_column(
    statement: Node<'_, '_>,
    column: Node<'_, '_>,
    made: &Made,
) -> Option<(Rule, &'static str)> {
    if column.child(S::SET_NOT_NULL).is_some() {
        let checked = table_of(statement).is_some_and(|table| made.checked.contains(&table));
        return (!checked).then_some((Rule::NotNull, SET_NOT_NULL));
    }
    if column.child(S::ADD_GENERATED).is_some() {
        return None;
    }
    let set = column.child(S::SET_TYPE)?;
    let to = set.children().find(|child| is_type(child.kind()))?;
    let has_length = to.has(S::ARG_LIST);
    let is_text = matches!(to.kind(), S::VARCHAR_TYPE | S::CHARACTER_TYPE);
    // From text to text without a limit nothing is rewritten; any other type requires a `using`.
    let is_free = is_text || matches!(name_of(to.text()).as_str(), "text" | "citext");
    match set.child(S::USING_EXPR) {
        None if is_text && has_length => Some((Rule::VarcharShrink, SHRINK)),
        None if is_free => None,
        _ => Some((Rule::TableRewrite, SET_TYPE)),
    }
}

fn is_type(kind: S) -> bool {
    matches!(
        kind,
        S::PATH_TYPE
            | S::ARRAY_TYPE
            | S::BIT_TYPE
            | S::BIT_VARYING_TYPE
            | S::CHARACTER_TYPE
            | S::DOUBLE_TYPE
            | S::INTERVAL_TYPE
            | S::PERCENT_TYPE
            | S::TIME_TYPE
            | S::TIMESTAMP_TYPE
            | S::VARCHAR_TYPE
    )
}

fn is_volatile(default: Node<'_, '_>) -> bool {
    let mut calls = default.descendants().filter(|node| node.is(S::CALL_EXPR));
    calls.any(|call| {
        let function = call.children().next();
        let name = function.and_then(|name| name.text().rsplit('.').next().map(name_of));
        name.is_some_and(|name| VOLATILE.contains(&name.as_str()))
    })
}

fn is_concurrent(node: Node<'_, '_>) -> bool {
    node.has(S::CONCURRENTLY_KW)
}

/// Returns `true` if an index is only on a partitioned table itself, for which nothing is built.
fn is_of_parent(index: Node<'_, '_>) -> bool {
    let table = index.child(S::TABLE_RELATION_NAME);
    table.is_some_and(|table| table.child(S::ONLY_KW).is_some())
}

fn is_full(vacuum: Node<'_, '_>) -> bool {
    vacuum.has(S::FULL_KW)
}

fn drops_own(drop: Node<'_, '_>, made: &Made) -> bool {
    let mut tables = drop.children().filter(|child| child.is(S::TABLE_NAME_REF));
    tables.all(|table| made.tables.contains(&last_name(table)))
}

const INDEX: &str = "nobody can write to the table while its index is built: create index concurrently, in \
                     a file that begins with -- no-transaction";
const REINDEX: &str = "nobody can write to the table while its index is built: reindex … concurrently, in a \
                       file that begins with -- no-transaction";
const UNIQUE: &str = "nobody can use the table while the index of the constraint is built: create unique \
                      index concurrently first, in a file that begins with -- no-transaction, then add \
                      constraint … using index";
const EXCLUDE: &str = "nobody can use the table while the index of the constraint is built, and there is no \
                       concurrent way: do it while few do";
const LOCK: &str = "everybody who comes to the table waits until the file ends: leave it out, statements take \
                    the locks that they need, or keep the file short";
const DROP_TABLE: &str = "the release that is running may still use the table: drop it in the release after \
                          the one that no longer does";
const DROP_COLUMN: &str = "the release that is running may still read the column: drop it in the release \
                           after the one that no longer does";
const RENAME_COLUMN: &str = "the release that is running reads the column under its old name: add a column \
                             with the new name, write both, copy the rows, and drop the old one later";
const RENAME_TABLE: &str = "the release that is running knows the table under its old name: leave a view of \
                            that name behind, in the same file, until the next release";
const SET_STORAGE: &str = "the whole table is written anew, and nobody can use it meanwhile: do it while few \
                           do, or copy the rows into a new table in batches";
const CLUSTER: &str = "the whole table is written anew, and nobody can read it meanwhile: do it while few do, \
                       or with pg_repack";
const VACUUM_FULL: &str = "the whole table is written anew, and nobody can read it meanwhile: vacuum without \
                           full, or pg_repack";
const ADD_FILLED: &str = "the whole table is written anew, since each row gets a value of its own, and nobody \
                          can use it meanwhile: add the column without it, set the default, then fill the \
                          rows in batches";
const SET_TYPE: &str = "most changes of a type write the whole table anew, and nobody can use it meanwhile: \
                        add a column of the new type, write both, copy the rows in batches, and drop the old \
                        one later";
const SHRINK: &str = "if the column could be longer before, all rows are read and the table may be written \
                      anew, while nobody can use it, and it fails on what is too long: use text with add \
                      constraint … check (length(…) <= …) not valid, and validate constraint in a later file";
const ADD_NOT_NULL: &str = "this fails where the table has rows: give the column a default, or add it without \
                            not null, fill the rows, and set it then";
const SET_NOT_NULL: &str = "all rows are read while nobody can use the table: add constraint … check (… is not \
                            null) not valid, validate constraint in a later file, then set not null, which \
                            reads nothing, and drop the check";
const FOREIGN_KEY: &str = "all rows are checked while nobody can write to either table: add the foreign key \
                           not valid, and validate constraint in a later file";
const CHECK: &str = "all rows are checked while nobody can use the table: add the check not valid, and \
                     validate constraint in a later file";
