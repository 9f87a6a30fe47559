//! Columns of tables that are kept.

use std::collections::BTreeMap;

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{
            Phase, Script, column_definition, escape, ident, identity_clause, literal, own, script,
            storage_option,
        },
    },
    conversion,
    drops::printed,
    plan,
    plan::Plan,
    privileges::{comment, common},
};

/// Adds a column that a table, foreign table or composite type lacks.
pub(super) fn add(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let of = key.of.as_deref().unwrap_or_default();
    let comes_from_parent =
        plan.is_typed(of) || parents_column(plan, key, |key| plan.missing.contains(key));
    let adds = format!(" {} add ", own(of));
    for (phase, statement) in script(plan.expected, key).into_phases() {
        match statement.contains(&adds) && phase == Phase::Create {
            true if comes_from_parent => {}
            // All its values exist immediately, so it can be not null.
            true => match identity_clause(plan.expected, key) {
                Some(identity) => out.add(phase, format!("{statement} {identity}")),
                None => out.add(phase, statement),
            },
            false => out.add(phase, statement),
        }
    }
}

/// Returns `true` if a parent or the partitioned table of this column's table has such a column.
pub(super) fn parents_column(
    plan: &Plan<'_>,
    key: &ObjectKey,
    is_such: impl Fn(&ObjectKey) -> bool,
) -> bool {
    let of = key.of.as_deref().unwrap_or_default();
    let table = plan.actual.get(&ObjectKey::new(ObjectKind::Table, of));
    let Some(table) = table.filter(|_| !plan.rebuilt.contains(of)) else { return false };
    plan::parents(table).any(|parent| {
        let tables = plan.actual.of_kind(ObjectKind::Table);
        let mut named = tables.filter(|(table, _)| ident(&table.name) == *parent);
        named.any(|(table, _)| {
            is_such(&ObjectKey::part(ObjectKind::Column, &*table.name, &*key.name))
        })
    })
}

/// Adds the changes of a column that both have.
pub(super) fn alter(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let (Some(new), Some(old)) = (plan.expected.get(key), plan.actual.get(key)) else { return };
    let (of, name) = (key.of.as_deref().unwrap_or_default(), ident(&key.name));
    let table = own(of);
    let attributes = plan.changes(key);
    let is = |attribute| attributes.contains(&attribute);
    let only = |what: &str| format!("alter table only {table} alter column {name} {what}");
    let all = |what: &str| format!("alter table {table} alter column {name} {what}");

    let is_retyped = plan.retyped.contains(&(of, &*key.name));
    let is_redefaulted = plan.redefaulted.contains(&(of, &*key.name));
    let changes_type = is(Attribute::Type) || is(Attribute::Collation) || is_retyped;
    let mut default_is_gone = is_redefaulted;
    if changes_type {
        let with_parent = parents_column(plan, key, |parent| {
            let changed = plan.changed.get(parent);
            plan.retyped.contains(&(parent.of.as_deref().unwrap_or_default(), &*parent.name))
                || changed.is_some_and(|a| {
                    a.contains(&Attribute::Type) || a.contains(&Attribute::Collation)
                })
        });
        if old.get(Attribute::Default).is_some() && !default_is_gone {
            default_is_gone = true;
            out.add(Phase::Create, only("drop default"));
        }
        if !with_parent {
            out.add(Phase::Create, all(&type_change(&name, old, new, is_retyped)));
        }
    }
    for (attribute, word) in
        [(Attribute::GeneratedStored, "stored"), (Attribute::GeneratedVirtual, "virtual")]
    {
        if is(attribute) {
            match new.text(attribute) {
                Some(expression) => {
                    out.add(Phase::Create, all(&format!("set expression as ({expression})")));
                }
                None if word == "stored" => out.add(Phase::Create, all("drop expression")),
                None => {}
            }
        }
    }
    match new.text(Attribute::Default) {
        Some(default) if is(Attribute::Default) || default_is_gone => {
            out.add(Phase::Create, only(&format!("set default {default}")));
        }
        None if is(Attribute::Default) && !default_is_gone => {
            out.add(Phase::Create, only("drop default"));
        }
        _ => {}
    }
    // A new identity is added with its sequence, an old one goes with it.
    let has_new_sequence = plan.created.iter().any(|sequence| {
        sequence.kind == ObjectKind::Sequence
            && plan.expected.get(sequence).and_then(|object| object.text(Attribute::IdentityOf))
                == Some(&*printed(key))
    });
    if is(Attribute::Identity)
        && !has_new_sequence
        && old.get(Attribute::Identity).is_some()
        && let Some(when) = new.text(Attribute::Identity)
    {
        out.add(Phase::Identity, all(&format!("set generated {when}")));
    }
    not_null(plan, key, (old, new), out);
    settings(plan, key, (old, new), out);
    if plan.changed.contains_key(key) {
        common(plan, key, out);
    }
}

fn type_change(name: &str, old: &Object, new: &Object, is_retyped: bool) -> String {
    let to = new.text(Attribute::Type).unwrap_or_default();
    let from = if is_retyped { "text" } else { old.text(Attribute::Type).unwrap_or_default() };
    let mut sql = format!("type {to}");
    if let Some(collation) = new.text(Attribute::Collation) {
        sql.push_str(&format!(" collate {collation}"));
    }
    if let Some(using) = conversion::using(name, from, to) {
        sql.push_str(&format!(" using {using}"));
    }
    sql
}

/// Whether the column is not null, and by which constraint.
fn not_null(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let Some(attributes) = plan.changed.get(key) else { return };
    let differs = [
        Attribute::NotNull,
        Attribute::NotNullName,
        Attribute::NotNullNoInherit,
        Attribute::NotNullInvalid,
        Attribute::NotNullLocal,
    ];
    let (of, name) = (key.of.as_deref().unwrap_or_default(), ident(&key.name));
    let table = own(of);
    let usual = || format!("{of}_{}_not_null", key.name);
    let constraint = |object: &Object| {
        ident(&object.text(Attribute::NotNullName).map_or_else(usual, str::to_owned))
    };
    if differs.iter().any(|attribute| attributes.contains(attribute)) {
        let (is, was) = (new.has(Attribute::NotNull), old.has(Attribute::NotNull));
        let same = |attribute| new.get(attribute) == old.get(attribute);
        let renames = is
            && was
            && [Attribute::NotNullNoInherit, Attribute::NotNullInvalid].into_iter().all(same);
        let has_names = plan.actual.server_version >= 18;
        match () {
            () if renames && has_names => {
                let (before, after) = (constraint(old), constraint(new));
                out.add(
                    Phase::Create,
                    format!("alter table {table} rename constraint {before} to {after}"),
                );
            }
            () => {
                if was {
                    out.add(
                        Phase::Create,
                        format!("alter table {table} alter column {name} drop not null"),
                    );
                }
                if is && has_names {
                    let mut sql = format!(
                        "alter table {table} add constraint {} not null {name}",
                        constraint(new)
                    );
                    if new.has(Attribute::NotNullNoInherit) {
                        sql.push_str(" no inherit");
                    }
                    if new.has(Attribute::NotNullInvalid) {
                        sql.push_str(" not valid");
                    }
                    out.add(Phase::Create, sql);
                } else if is {
                    out.add(
                        Phase::Create,
                        format!("alter table {table} alter column {name} set not null"),
                    );
                }
            }
        }
    }
    let has_new_comment = attributes.contains(&Attribute::NotNullComment)
        || differs.iter().any(|attribute| attributes.contains(attribute))
            && new.get(Attribute::NotNullComment).is_some();
    if has_new_comment && new.has(Attribute::NotNull) {
        let target = format!("constraint {} on {table}", constraint(new));
        out.add(Phase::Label, comment(&target, new.text(Attribute::NotNullComment)));
    }
}

/// The storage of a column, and the planner's information about it.
fn settings(plan: &Plan<'_>, key: &ObjectKey, (old, new): (&Object, &Object), out: &mut Script) {
    let attributes = plan.changes(key);
    let (of, name) = (key.of.as_deref().unwrap_or_default(), ident(&key.name));
    let only = |what: &str| format!("alter table only {} alter column {name} {what}", own(of));
    let version = plan.actual.server_version;
    let retyped = attributes.contains(&Attribute::Type) || plan.retyped.contains(&(of, &*key.name));
    if attributes.contains(&Attribute::Storage) || retyped && new.get(Attribute::Storage).is_some()
    {
        let mode = match new.text(Attribute::Storage) {
            Some(mode) => mode,
            None if version >= 16 => "default",
            None => usual_storage(new.text(Attribute::Type).unwrap_or_default()),
        };
        out.add(Phase::Create, only(&format!("set storage {mode}")));
    }
    for (attribute, words, usual) in [
        (Attribute::Compression, "set compression", "default"),
        (Attribute::StatisticsTarget, "set statistics", "-1"),
    ] {
        if attributes.contains(&attribute) {
            let value = new.text(attribute).unwrap_or(usual);
            out.add(Phase::Create, only(&format!("{words} {value}")));
        }
    }
    if attributes.contains(&Attribute::ColumnOptions) {
        for what in options(old, new, Attribute::ColumnOptions, "") {
            out.add(Phase::Create, only(&what));
        }
    }
}

/// Returns the storage of a type's values before version 16 introduced a word for it.
fn usual_storage(data_type: &str) -> &'static str {
    match data_type.split(['(', ' ']).next().unwrap_or_default() {
        "numeric" | "inet" | "cidr" => "main",
        _ => "extended",
    }
}

/// Returns `set (…)` and `reset (…)` for the differences.
pub(super) fn options(
    old: &Object,
    new: &Object,
    attribute: Attribute,
    prefix: &str,
) -> Vec<String> {
    let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
    let (before, after) = (old.list(attribute), new.list(attribute));
    let gone = before.iter().filter(|option| !after.iter().any(|o| name(o) == name(option)));
    let gone: Vec<_> = gone.map(|option| name(option)).collect();
    let set: Vec<_> = after.iter().filter(|option| !before.contains(option)).collect();
    // The options that are set come last.
    let is_set = |option: &&String| set.iter().any(|set| name(set) == name(option));
    let stay = before.iter().filter(|option| !gone.contains(&name(option)) && !is_set(option));
    let is_in_order = stay.chain(set.iter().copied()).eq(after);
    let (gone, set) = match is_in_order {
        true => (gone, set),
        false => (before.iter().map(|option| name(option)).collect(), after.iter().collect()),
    };
    let gone: Vec<_> = gone.iter().map(|name| format!("{prefix}{name}")).collect();
    let set: Vec<_> =
        set.iter().map(|option| format!("{prefix}{}", storage_option(option))).collect();
    let mut found = Vec::new();
    if !gone.is_empty() {
        found.push(format!("reset ({})", gone.join(", ")));
    }
    if !set.is_empty() {
        found.push(format!("set ({})", set.join(", ")));
    }
    found
}

/// Returns `options (…)` for the differences of a foreign object.
pub(super) fn foreign(old: &Object, new: &Object) -> Option<String> {
    let split = |option: &'_ str| -> (String, String) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        (ident(name), literal(&escape(value)))
    };
    let list = |object: &Object| -> BTreeMap<String, String> {
        object.list(Attribute::ForeignOptions).iter().map(|option| split(option)).collect()
    };
    let (before, after) = (list(old), list(new));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| format!("drop {name}"));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let set = set.map(|(name, value)| match before.contains_key(name) {
        true => format!("set {name} {value}"),
        false => format!("add {name} {value}"),
    });
    let all: Vec<_> = gone.chain(set).collect();
    (!all.is_empty()).then(|| format!("options ({})", all.join(", ")))
}

/// Returns a field of a composite type that is missing.
pub(super) fn add_field(key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(key.of.as_deref().unwrap_or_default());
    let definition = column_definition(key, object);
    out.add(Phase::Create, format!("alter type {name} add attribute {definition} cascade"));
    if let Some(text) = object.text(Attribute::Comment) {
        let target = format!("column {name}.{}", ident(&key.name));
        out.add(Phase::Create, comment(&target, Some(text)));
    }
}
