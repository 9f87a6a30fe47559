//! Foreign keys, whose two sides must be masked in the same way or not at all.

use std::collections::BTreeMap;

use super::{
    WrongRule,
    leaf::Leaf,
    masker::Masker,
    plan::{ColumnPlan, Select, TablePlan},
};
use crate::schema::{
    Attribute, ObjectKey, ObjectKind, SchemaModel,
    export::keys::{ForeignKey, foreign_keys},
};

/// Returns the rules that would break foreign keys.
pub(super) fn check(model: &SchemaModel, tables: &BTreeMap<String, TablePlan>) -> Vec<WrongRule> {
    let mut wrong = Vec::new();
    for key in foreign_keys(model) {
        let Some(child) = tables.get(&key.table) else { continue };
        let parent = tables.get(&key.to);
        let is_single = key.columns.len() == 1;
        let may_be_null = is_single || !is_full_match(model, &key);
        for (from, to) in key.columns.iter().zip(&key.to_columns) {
            // A generated column follows the columns that it is computed from, and cannot be compared.
            let Some(from) = child.column(from) else { continue };
            let to = parent.and_then(|parent| parent.column(to)).filter(|to| to.is_masked());
            if !agree(from, to, may_be_null, is_single) {
                wrong.push(broken(&key, from, to));
            }
        }
    }
    wrong
}

fn is_full_match(model: &SchemaModel, key: &ForeignKey) -> bool {
    let constraint = ObjectKey::part(ObjectKind::Constraint, &*key.table, &*key.name);
    let definition = model.get(&constraint).and_then(|object| object.text(Attribute::Definition));
    definition.is_some_and(|definition| definition.contains(" MATCH FULL"))
}

fn broken(key: &ForeignKey, from: &ColumnPlan, to: Option<&ColumnPlan>) -> WrongRule {
    let target = match to {
        Some(to) => format!("{}.{}", key.to, to.name()),
        None => format!("{}, which is kept", key.to),
    };
    WrongRule {
        rule: from.rule().or_else(|| to.and_then(ColumnPlan::rule)),
        column: Some(format!("{}.{}", key.table, from.name())),
        message: format!(
            "the foreign key {} refers to {target}: give both columns the same hash, fake or template, or keep both",
            key.name
        ),
    }
}

/// Returns `true` if references still match. `to` is the referenced column, if it is masked.
fn agree(from: &ColumnPlan, to: Option<&ColumnPlan>, may_be_null: bool, is_single: bool) -> bool {
    if may_be_null && *from.masker() == Masker::Leaf(Leaf::Null) {
        return true;
    }
    // All previous values still exist.
    let to = to.filter(|to| !is_single || *to.select() != Select::Shuffle);
    let Some(to) = to else {
        return !from.is_masked() || is_single && *from.select() == Select::Shuffle;
    };
    let is_joinable = |column: &ColumnPlan| {
        *column.select() == Select::Column
            && column.masker().leaves().into_iter().all(Leaf::is_joinable)
    };
    is_joinable(from) && is_joinable(to) && from.masker() == to.masker()
}
