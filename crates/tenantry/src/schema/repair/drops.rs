//! Objects to drop.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{
            Phase, comes_with_its_table, enable_key_trigger, grant_changes, ident, is_of_domain,
            own,
        },
    },
    columns::parents_column,
    plan::{Plan, table_of},
    privileges::default_privileges,
    rebuild, relations,
    target::{printed, target},
};

/// Returns the statements that drop an object; none where it goes with another.
pub(super) fn drops(plan: &Plan<'_>, key: &ObjectKey) -> Vec<String> {
    let Some(object) = plan.actual.get(key) else { return Vec::new() };
    if key.kind == ObjectKind::DefaultPrivileges {
        let role = key.of.as_deref().unwrap_or_default();
        let changes = grant_changes(&key.name, "", object.list(Attribute::Grants), &[]);
        return changes.iter().map(|change| default_privileges(role, change)).collect();
    }
    drop_one(plan, key, object).into_iter().collect()
}

fn drop_one(plan: &Plan<'_>, key: &ObjectKey, object: &Object) -> Option<String> {
    match key.kind {
        ObjectKind::Schema => None,
        ObjectKind::Table if plan.moved.contains_key(key) => Some(rebuild::put_aside(plan, key)),
        ObjectKind::SecurityLabel => relations::without_label(plan, key),
        ObjectKind::Column => column(plan, key),
        ObjectKind::Constraint => constraint(plan, key, object),
        ObjectKind::Index => {
            let table = object.text(Attribute::Table).unwrap_or_default();
            let goes = holder_goes(plan, table) || goes_with_parent(plan, key);
            (!goes).then(|| format!("drop index {}", own(&key.name)))
        }
        ObjectKind::Statistics => statistics(plan, key, object),
        // A partition's is its parent's.
        ObjectKind::Trigger if object.get(Attribute::Definition).is_none() => {
            parents_trigger(plan, key, object)
        }
        ObjectKind::Sequence => sequence(plan, key, object),
        // Its functions and the type depend on each other.
        ObjectKind::BaseType => Some(format!("drop type {} cascade", own(&key.name))),
        ObjectKind::Function if is_of_type(plan, key) => {
            let target = target(plan.actual, key);
            Some(target.replacen("function ", "drop function if exists ", 1))
        }
        _ => Some(format!("drop {}", target(plan.actual, key))),
    }
}

/// Returns `true` if the relation or type of this name is dropped together with its parts.
fn holder_goes(plan: &Plan<'_>, name: &str) -> bool {
    let mut holders = ObjectKind::WITH_PARTS.map(|kind| ObjectKey::new(kind, name)).into_iter();
    holders.any(|holder| plan.dropped.contains(&holder) && !plan.moved.contains_key(&holder))
}

fn constraint(plan: &Plan<'_>, key: &ObjectKey, object: &Object) -> Option<String> {
    let of = key.of.as_deref().unwrap_or_default();
    let (holder, name) = (own(of), ident(&key.name));
    if is_of_domain(plan.actual, key) {
        let goes = holder_goes(plan, of);
        return (!goes).then(|| format!("alter domain {holder} drop constraint {name}"));
    }
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    let is_foreign = definition.starts_with("FOREIGN KEY ");
    if holder_goes(plan, of) && !is_foreign || goes_with_parent(plan, key) {
        return None;
    }
    let if_exists = if plan.parents_check(key).is_some() { "if exists " } else { "" };
    Some(format!("alter table {holder} drop constraint {if_exists}{name}"))
}

fn statistics(plan: &Plan<'_>, key: &ObjectKey, object: &Object) -> Option<String> {
    let tables = plan.actual.of_kind(ObjectKind::Table).map(|(key, _)| key);
    let mut tables =
        tables.filter(|table| object.text(Attribute::Table) == Some(&ident(&table.name)));
    let goes = tables.any(|table| plan.dropped.contains(table));
    (!goes).then(|| format!("drop statistics {}", own(&key.name)))
}

/// A partition's trigger that its parent has, too, cannot be dropped: only its state can change.
fn parents_trigger(plan: &Plan<'_>, key: &ObjectKey, object: &Object) -> Option<String> {
    let of = key.of.as_deref().unwrap_or_default();
    if plan.created.contains(key) || holder_goes(plan, of) {
        return None;
    }
    let by_key = enable_key_trigger(key, object, "enable");
    by_key.or_else(|| {
        let (words, name) = (parents_state(plan, key), ident(&key.name));
        Some(format!("alter table {} {words} trigger {name}", own(of)))
    })
}

fn sequence(plan: &Plan<'_>, key: &ObjectKey, object: &Object) -> Option<String> {
    if let Some(column) = object.text(Attribute::IdentityOf) {
        return identity(plan, column);
    }
    let owner = object.text(Attribute::OwnedBy);
    let goes_with_owner = owner.is_some_and(|column| column_goes(plan, column));
    (!goes_with_owner).then(|| format!("drop sequence {}", own(&key.name)))
}

/// Returns the words that make a partition's trigger fire when its parent's does.
fn parents_state(plan: &Plan<'_>, key: &ObjectKey) -> &'static str {
    let mut triggers = plan.expected.of_kind(ObjectKind::Trigger);
    let parent = triggers.find(|(other, object)| {
        other.name == key.name && object.get(Attribute::Definition).is_some()
    });
    relations::enabling(parent.and_then(|(_, object)| object.text(Attribute::Enabled)))
}

fn column(plan: &Plan<'_>, key: &ObjectKey) -> Option<String> {
    let of = key.of.as_deref().unwrap_or_default();
    let comes_from_parent = parents_column(plan, key, |key| plan.unexpected.contains(key));
    let is_moved = plan.moved.contains_key(&ObjectKey::new(ObjectKind::Table, of));
    let is_elsewhere = comes_from_parent || is_moved || plan.is_typed(of);
    if holder_goes(plan, of) || is_elsewhere || plan.rebuilt.contains(of) {
        return None;
    }
    let name = ident(&key.name);
    match plan.holder(key)? {
        ObjectKind::Table | ObjectKind::ForeignTable => {
            Some(format!("alter table {} drop column {name}", own(of)))
        }
        ObjectKind::Composite => {
            Some(format!("alter type {} drop attribute {name} cascade", own(of)))
        }
        _ => None,
    }
}

/// Returns the statement that removes the identity of a column, by its printed name.
fn identity(plan: &Plan<'_>, column: &str) -> Option<String> {
    let mut columns = plan.actual.of_kind(ObjectKind::Column).map(|(key, _)| key);
    let key = columns.find(|key| printed(key) == column)?;
    let of = key.of.as_deref().unwrap_or_default();
    // A recreated table loses it anyway.
    let goes = column_goes(plan, column) || plan.rebuilt.contains(of);
    (!goes)
        .then(|| format!("alter table {} alter column {} drop identity", own(of), ident(&key.name)))
}

/// Returns `true` if a column, given by its printed name, is dropped.
pub(super) fn column_goes(plan: &Plan<'_>, column: &str) -> bool {
    let columns = plan.actual.of_kind(ObjectKind::Column).map(|(key, _)| key);
    columns.filter(|key| printed(key) == column).any(|key| {
        let of = key.of.as_deref().unwrap_or_default();
        plan.unexpected.contains(key)
            || plan.unexpected.contains(&ObjectKey::new(ObjectKind::Table, of))
    })
}

/// Returns `true` if a constraint or an index of a partition is dropped with its parent's.
fn goes_with_parent(plan: &Plan<'_>, key: &ObjectKey) -> bool {
    let Some(object) = plan.actual.get(key) else { return false };
    let table = table_of(key, object);
    // By then no other object depends on it.
    let is_moved = plan.moved.contains_key(&ObjectKey::new(ObjectKind::Table, table));
    if plan.rebuilt.contains(table) || is_moved {
        return false;
    }
    match object.text(Attribute::AttachedTo) {
        Some(parent) => plan.dropped.iter().any(|other| {
            matches!(other.kind, ObjectKind::Index | ObjectKind::Constraint)
                && ident(&other.name) == parent
        }),
        None => comes_with_its_table(object) && parent_has_check(plan, table, &key.name),
    }
}

/// Returns `true` if the table that this one is a partition of has a constraint of this name.
fn parent_has_check(plan: &Plan<'_>, table: &str, check: &str) -> bool {
    let table = plan.actual.get(&ObjectKey::new(ObjectKind::Table, table));
    let Some(parent) = table.and_then(|table| table.text(Attribute::PartitionOf)) else {
        return false;
    };
    plan.actual.of_kind(ObjectKind::Constraint).any(|(other, _)| {
        other.name == check && other.of.as_deref().map(ident).as_deref() == Some(parent)
    })
}

/// Returns `true` if this function defines a base type or a range that is dropped.
fn is_of_type(plan: &Plan<'_>, key: &ObjectKey) -> bool {
    let goes = |key: &&&ObjectKey| key.kind == ObjectKind::BaseType;
    plan.dropped.iter().filter(goes).any(|base| {
        let parameters = plan.actual.objects[*base].list(Attribute::TypeParameters);
        let name = format!("= {}(", ident(&key.name));
        parameters.iter().any(|parameter| parameter.contains(&name))
    })
}

/// Returns the statements that detach a kept table, or one that is moved aside, from objects to be dropped, with the
/// phase before which they must run.
pub(super) fn strip(plan: &Plan<'_>, key: &ObjectKey) -> Vec<String> {
    let name = own(&key.name);
    if plan.rebuilt.contains(&*key.name) || plan.moved.contains_key(key) {
        return rebuild::strip(plan, key);
    }
    let mut found = Vec::new();
    for (column, object) in plan.actual.columns(&key.name) {
        let is_named = plan.redefaulted.contains(&(&key.name, &column.name));
        if is_named && object.get(Attribute::Default).is_some() {
            let column = ident(&column.name);
            found.push(format!("alter table only {name} alter column {column} drop default"));
        }
    }
    found
}

/// The phase at which tables are detached from dropped objects: after foreign keys, triggers and policies are
/// dropped.
pub(super) const STRIP: Phase = Phase::Check;
