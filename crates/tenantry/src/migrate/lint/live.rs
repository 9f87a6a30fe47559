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
pub(super) const VOLATILE: &[&str] = &[
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

pub(super) const SERIAL: &[&str] =
    &["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"];

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

const INDEX: &str = "writes to the table are blocked while its index is built: use create index concurrently, \
                     in a file that starts with -- no-transaction";
const REINDEX: &str = "writes to the table are blocked while its index is built: use reindex … concurrently, in \
                       a file that starts with -- no-transaction";
const UNIQUE: &str = "reads and writes are blocked while the constraint's index is built: create a unique index \
                      concurrently first, in a file that starts with -- no-transaction, then add constraint … \
                      using index";
const EXCLUDE: &str = "reads and writes are blocked while the constraint's index is built, and it cannot be \
                       built concurrently: run this at a time of low traffic";
const LOCK: &str = "later statements queue behind this lock until the file ends: remove it, because statements \
                    take the locks that they need, or keep the file short";
const DROP_TABLE: &str = "the running release may still use the table: drop it one release after the last that \
                          uses it";
const DROP_COLUMN: &str = "the running release may still read the column: drop it one release after the last \
                           that reads it";
const RENAME_COLUMN: &str = "the running release reads the column under its old name: add a column \
                             with the new name, write both, copy the rows, and drop the old one later";
const RENAME_TABLE: &str = "the running release uses the table's old name: create a view of that name in the \
                            same file, and keep it until the next release";
const SET_STORAGE: &str = "this rewrites the whole table, which cannot be read or written meanwhile: run it at \
                           a time of low traffic, or copy the rows into a new table in batches";
const CLUSTER: &str = "this rewrites the whole table, which cannot be read meanwhile: run it at a time of low \
                       traffic, or use pg_repack";
const VACUUM_FULL: &str = "this rewrites the whole table, which cannot be read meanwhile: vacuum without full, \
                           or use pg_repack";
const ADD_FILLED: &str = "this rewrites the whole table, because each row gets a different value, and the table \
                          cannot be used meanwhile: add the column without a default, set the default, then \
                          fill the rows in batches";
const SET_TYPE: &str = "most type changes rewrite the whole table, which cannot be used meanwhile: \
                        add a column of the new type, write both, copy the rows in batches, and drop the old \
                        one later";
const SHRINK: &str = "if the column could be longer before, this reads all rows, may rewrite the table, blocks \
                      reads and writes meanwhile, and fails on values that are too long: use text with add \
                      constraint … check (length(…) <= …) not valid, and validate constraint in a later file";
const ADD_NOT_NULL: &str = "this fails if the table has rows: give the column a default, or add it without not \
                            null, fill the rows, and set not null afterwards";
const SET_NOT_NULL: &str = "this reads all rows while reads and writes are blocked: add constraint … check (… \
                            is not null) not valid, validate constraint in a later file, then set not null, \
                            which reads no rows, and drop the check";
const FOREIGN_KEY: &str = "this checks all rows while writes to both tables are blocked: add the foreign key \
                           not valid, and validate constraint in a later file";
const CHECK: &str = "this checks all rows while reads and writes are blocked: add the check not valid, and \
                     validate constraint in a later file";
