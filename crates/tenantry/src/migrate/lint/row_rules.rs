//! Warnings about statements that miss the rows of tenants, or that open them to other tenants.

use super::{
    Rule,
    context::Context,
    found::Found,
    piece::{Piece, Within},
    row_tables::{RowTables, name_at, names},
    script::{Kind, Token},
    words::{follows, starts},
};

pub(super) fn check(context: &Context<'_>, piece: &Piece<'_>, found: &mut Found<'_>) {
    // A function's statements run later, in a tenant's session.
    if piece.within == Within::Routine || context.rows == RowTables::default() {
        return;
    }
    for statement in piece.statements() {
        if let Some((rule, message)) = of_statement(&context.rows, statement) {
            found.add(piece.offset + statement[0].at, rule, message);
        }
    }
}

fn of_statement(rows: &RowTables, statement: &[Token<'_>]) -> Option<(Rule, &'static str)> {
    match &*statement.first()?.keyword() {
        "update" | "delete" | "insert" | "merge" | "with" | "explain" => {
            let is_forced = changed(statement).any(|table| rows.forced.contains(&table));
            is_forced.then_some((Rule::RowChange, CHANGE))
        }
        "truncate" => {
            let names = names(statement.get(1..)?);
            rows.is_any_enabled(&names).then_some((Rule::RowTruncate, TRUNCATE))
        }
        "grant" => opens(rows, statement).then_some((Rule::RowGrant, GRANT)),
        "create" => of_view(rows, statement).map(|message| (Rule::RowView, message)),
        "drop" if starts(statement, &["drop", "policy"]) => {
            let names = names(statement.get(follows(statement, &["on"])? + 1..)?);
            rows.is_any_enabled(&names).then_some((Rule::RowPolicy, DROP_POLICY))
        }
        "alter" if starts(statement, &["alter", "table"]) => {
            follows(statement, &["disable", "row", "level", "security"])?;
            let table = name_at(statement.get(2..)?)?;
            rows.is_any_enabled(&[table]).then_some((Rule::RowPolicy, DISABLE))
        }
        _ => None,
    }
}

/// Returns the tables that a statement changes, including those in its `with` list.
fn changed<'t>(statement: &'t [Token<'_>]) -> impl Iterator<Item = String> + 't {
    (0..statement.len()).filter_map(|at| {
        // `for update`, `on conflict … do update`, `for no key update`.
        let is_clause = at > 0 && statement[at - 1].is_one_of(&["for", "do", "key"]);
        let verb = &statement[at..];
        let table = match () {
            () if starts(verb, &["update"]) && !is_clause => 1,
            () if starts(verb, &["delete", "from"]) => 2,
            () if starts(verb, &["insert", "into"]) || starts(verb, &["merge", "into"]) => 2,
            () => return None,
        };
        name_at(&statement[at + table..])
    })
}

/// Returns `true` if a statement grants what row security does not restrict.
fn opens(rows: &RowTables, grant: &[Token<'_>]) -> bool {
    let Some(on) = follows(grant, &["on"]) else { return false };
    let opening = ["truncate", "references", "trigger", "all"];
    let to = grant.iter().position(|token| token.is("to")).unwrap_or(grant.len());
    let objects = grant.get(on + 1..to).unwrap_or_default();
    let all = starts(objects, &["all", "tables"]) && !rows.enabled.is_empty();
    grant[..on].iter().any(|token| token.is_one_of(&opening))
        && (all || rows.is_any_enabled(&names(objects)))
}

/// Returns what is wrong with a view that reads rows of tenants with the privileges of another role.
fn of_view(rows: &RowTables, create: &[Token<'_>]) -> Option<&'static str> {
    let view = create.iter().take(5).position(|token| token.is("view"))?;
    let reads = create.windows(2).any(|pair| {
        let is_table =
            pair[0].is_one_of(&["from", "join"]) || matches!(pair[0].kind, Kind::Comma | Kind::Dot);
        is_table && pair[1].is_name() && rows.enabled.contains(&pair[1].name())
    });
    let is_materialized = create[view - 1].is("materialized");
    let invokes = follows(create, &["security_invoker"]).is_some_and(|at| {
        let value = create.get(at + 1..).unwrap_or_default();
        !value.iter().take(2).any(|token| token.is_one_of(&["false", "off"]))
    });
    match (reads, is_materialized, invokes) {
        (true, true, _) => Some(MATERIALIZED_VIEW),
        (true, false, false) => Some(VIEW),
        _ => None,
    }
}

const CHANGE: &str = "row security is forced on this table, so without a tenant this fails with 42501, or changes no \
                      row: give the owner bypassrls, or enclose the change in alter table … no force row level \
                      security and … force row level security, or change the rows of one tenant after the other \
                      with for_each_tenant";
const TRUNCATE: &str = "row security does not restrict truncate, which removes the rows of all tenants: delete the \
                        rows that are not needed, in a change of each tenant";
const GRANT: &str = "row security does not restrict truncate, references and trigger, so with them a tenant reaches \
                     the rows of others: grant select, insert, update and delete only";
const VIEW: &str = "the view shows the rows of all tenants if policies do not apply to its owner: create it with \
                    (security_invoker = true), from PostgreSQL 15 on, or read the tables instead";
const MATERIALIZED_VIEW: &str = "a materialized view stores the rows of all tenants, and has no policies: use a view \
                                 with (security_invoker = true), or a table with the tenant column and policies";
const DROP_POLICY: &str = "without the restrictive policy, every tenant sees the rows of all others: create its \
                           replacement first, under another name, in the same file";
const DISABLE: &str = "without row security, every tenant sees the rows of all others: leave it enabled, and \
                       enclose changes in no force row level security and force row level security";
pub(super) const RELEASED: &str = "row security is not forced again in this file, so the policies no longer apply to \
                                   the owner of the table: end the file with alter table … force row level security";
