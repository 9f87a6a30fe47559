//! The tenant column of a table.

use super::{Case, RowsFinding, RowsRule, Table};
use crate::{
    finding::Finding,
    rows::{
        tables::{key_of_session, qualified, set_default},
        verify::{facts::Column, normal::normal},
    },
    sql::Sql,
    tenant::{KeyType, Rows},
};

/// Reports a table without the column.
pub(super) fn missing(case: Case<'_>, table: &Table) -> RowsFinding {
    let (name, column) = (&table.name, case.rows.key_column());
    let finding = Finding::error(
        format!("table {name} has no column {column}, and is not listed as shared"),
        "every tenant sees all of its rows",
    );
    let how = format!(
        "list it with Rows::shared_tables if it belongs to no tenant, or add the column and the policies, as \
         `tenantry migrate new --row-table {name} --existing` writes them"
    );
    case.of(RowsRule::TenantColumn, table, finding.how(how))
}

pub(super) fn judge(case: Case<'_>, table: &Table, column: &Column) -> Vec<RowsFinding> {
    let found =
        [of_type(case, table, column), null(case, table, column), default(case, table, column)];
    found.into_iter().flatten().collect()
}

fn of_type(case: Case<'_>, table: &Table, column: &Column) -> Option<RowsFinding> {
    let key = case.rows.key_type();
    let (name, of) = (case.rows.key_column(), &column.of);
    if types(key).contains(&&*column.of) {
        return (!column.deterministic).then(|| collation(case, table));
    }
    let finding = Finding::error(
        format!(
            "column {}.{name} is of type {of}, and keys are of type {}",
            table.name,
            key.as_str()
        ),
        "values that differ as keys can be equal in another type, or cannot be stored in it",
    );
    Some(case.of(
        RowsRule::ColumnType,
        table,
        finding.how("change the type of the column, or Rows::key"),
    ))
}

/// Reports a collation for which `Acme` and `acme` can be one key.
fn collation(case: Case<'_>, table: &Table) -> RowsFinding {
    let finding = Finding::error(
        format!(
            "the collation of column {}.{} is not deterministic",
            table.name,
            case.rows.key_column()
        ),
        "keys that differ can be equal in it, so that a tenant sees the rows of another one",
    );
    let how = "drop the policies, alter the type of the column with another collation, and create the policies again";
    case.of(RowsRule::ColumnType, table, finding.how(how))
}

/// Returns the types of columns in which different keys differ.
fn types(key: KeyType) -> &'static [&'static str] {
    match key {
        KeyType::Uuid => &["uuid"],
        KeyType::BigInt => &["bigint", "integer", "smallint"],
        KeyType::Text => &["text", "character varying"],
    }
}

fn null(case: Case<'_>, table: &Table, column: &Column) -> Option<RowsFinding> {
    if column.not_null {
        return None;
    }
    let what = format!("column {}.{} can be null", table.name, case.rows.key_column());
    let finding = Finding::warning(
        what,
        "a row without a tenant is visible to no tenant, and unique keys ignore it",
    )
    .how("make it not null, after a check that was validated on a large table");
    let mut sql = Sql::new("alter table ");
    qualified(&mut sql, Some(case.schema), &table.name).text(" alter column ");
    sql.ident(case.rows.key_column()).text(" set not null");
    Some(case.of(RowsRule::ColumnNotNull, table, finding.sql(sql.as_str())))
}

fn default(case: Case<'_>, table: &Table, column: &Column) -> Option<RowsFinding> {
    let printed = column.default.as_deref().map(normal);
    if printed.is_some_and(|printed| is_key(case, &printed)) {
        return None;
    }
    let of = format!("{}.{}", table.name, case.rows.key_column());
    let what = match &column.default {
        None => format!("column {of} has no default"),
        Some(_) => format!("the default of column {of} is not the key of the session"),
    };
    let finding = Finding::warning(what, "an insert that does not name the tenant fails")
        .how("set the default");
    let mut sql = Sql::new("alter table ");
    qualified(&mut sql, Some(case.schema), &table.name).text(" ");
    set_default(&mut sql, case.rows);
    Some(case.of(RowsRule::ColumnDefault, table, finding.sql(sql.as_str())))
}

/// Returns `true` for the key of the session, or a function that returns it.
fn is_key(case: Case<'_>, expression: &str) -> bool {
    expression == key(case.rows)
        || case.facts.policy_functions.iter().any(|function| {
            function.returns_key(case.rows) && expression == normal(&function.printed)
        })
}

/// Returns the key of the session in a form that can be compared.
pub(super) fn key(rows: &Rows) -> String {
    let mut sql = Sql::default();
    key_of_session(&mut sql, rows);
    normal(sql.as_str())
}
