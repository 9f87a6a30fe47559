//! The `NOT NULL` constraints of columns that are kept.

use super::{
    super::{
        Attribute, Object,
        ddl::{Phase, Script, ident, own},
    },
    pair::Pair,
    privileges::comment,
};

/// The attributes of the constraint, except for its comment.
const CONSTRAINT: &[Attribute] = &[
    Attribute::NotNull,
    Attribute::NotNullName,
    Attribute::NotNullNoInherit,
    Attribute::NotNullInvalid,
    Attribute::NotNullLocal,
];

/// Adds the changes of the constraint and its comment.
pub(super) fn alter(column: &Pair<'_, '_>, out: &mut Script) {
    let new = column.new;
    let differs = column.differs_in_any(CONSTRAINT);
    if differs {
        constraint(column, out);
    }
    let has_new_comment = column.differs_in(Attribute::NotNullComment)
        || differs && new.get(Attribute::NotNullComment).is_some();
    if has_new_comment && new.has(Attribute::NotNull) {
        let table = own(column.key.of.as_deref().unwrap_or_default());
        let target = format!("constraint {} on {table}", name(column, new));
        out.add(Phase::Label, comment(&target, new.text(Attribute::NotNullComment)));
    }
}

/// Renames the constraint, or drops it and adds another one.
fn constraint(column: &Pair<'_, '_>, out: &mut Script) {
    let (old, new) = (column.old, column.new);
    let table = own(column.key.of.as_deref().unwrap_or_default());
    let alter = |what: &str| format!("alter table {table} {what}");
    let alter_column =
        |what: &str| alter(&format!("alter column {} {what}", ident(&column.key.name)));
    let (is, was) = (new.has(Attribute::NotNull), old.has(Attribute::NotNull));
    let same = |attribute| new.get(attribute) == old.get(attribute);
    let only_renames =
        is && was && [Attribute::NotNullNoInherit, Attribute::NotNullInvalid].into_iter().all(same);
    let has_names = column.plan.actual.server_version >= 18;
    if only_renames && has_names {
        let (before, after) = (name(column, old), name(column, new));
        return out.add(Phase::Create, alter(&format!("rename constraint {before} to {after}")));
    }
    if was {
        out.add(Phase::Create, alter_column("drop not null"));
    }
    match is {
        true if has_names => out.add(Phase::Create, alter(&format!("add {}", clause(column)))),
        true => out.add(Phase::Create, alter_column("set not null")),
        false => {}
    }
}

/// Returns the constraint as in `add constraint`.
fn clause(column: &Pair<'_, '_>) -> String {
    let (name, new) = (name(column, column.new), column.new);
    let mut sql = format!("constraint {name} not null {}", ident(&column.key.name));
    if new.has(Attribute::NotNullNoInherit) {
        sql.push_str(" no inherit");
    }
    if new.has(Attribute::NotNullInvalid) {
        sql.push_str(" not valid");
    }
    sql
}

/// Returns the name of the constraint: its own, or the one that PostgreSQL chooses.
fn name(column: &Pair<'_, '_>, object: &Object) -> String {
    let usual = || {
        let of = column.key.of.as_deref().unwrap_or_default();
        format!("{of}_{}_not_null", column.key.name)
    };
    ident(&object.text(Attribute::NotNullName).map_or_else(usual, str::to_owned))
}
