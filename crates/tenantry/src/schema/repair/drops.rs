//! Objects to drop.

use super::{
    super::{
        Attribute, ObjectKey, ObjectKind,
        ddl::{
            Phase, comes_with_its_table, enable_key_trigger, grant_changes, ident, is_of_domain,
            own,
        },
    },
    columns::parents_column,
    plan::Plan,
    privileges::default_privileges,
    rebuild, relations,
    target::target,
};

/// Returns the statements that drop an object; none where it goes with another.
pub(super) fn drops(plan: &Plan<'_>, key: &ObjectKey) -> Vec<String> {
    let Some(object) = plan.actual.get(key) else { return Vec::new() };
    let is_dropped = |kind, name: &str| plan.dropped.contains(&ObjectKey::new(kind, name));
    let of = key.of.as_deref().unwrap_or_default();
    let holder_goes = |name: &str| {
        [
            ObjectKind::Table,
            ObjectKind::ForeignTable,
            ObjectKind::View,
            ObjectKind::MaterializedView,
            ObjectKind::Composite,
            ObjectKind::Domain,
        ]
        .into_iter()
        .any(|kind| is_dropped(kind, name) && !plan.moved.contains_key(&ObjectKey::new(kind, name)))
    };
    let one = match key.kind {
        ObjectKind::Schema => return Vec::new(),
        ObjectKind::Table if plan.moved.contains_key(key) => {
            return vec![rebuild::put_aside(plan, key)];
        }
        ObjectKind::DefaultPrivileges => {
            let changes = grant_changes(&key.name, "", object.list(Attribute::Grants), &[]);
            return changes.iter().map(|change| default_privileges(of, change)).collect();
        }
        ObjectKind::SecurityLabel => {
            return relations::without_label(plan, key).into_iter().collect();
        }
        ObjectKind::Column => return column(plan, key, holder_goes(of)),
        ObjectKind::Constraint if is_of_domain(plan.actual, key) => {
            if holder_goes(of) {
                return Vec::new();
            }
            format!("alter domain {} drop constraint {}", own(of), ident(&key.name))
        }
        ObjectKind::Constraint => {
            let is_foreign =
                object.text(Attribute::Definition).is_some_and(|d| d.starts_with("FOREIGN KEY "));
            if holder_goes(of) && !is_foreign || goes_with_parent(plan, key) {
                return Vec::new();
            }
            let if_exists = if plan.parents_check(key).is_some() { "if exists " } else { "" };
            format!("alter table {} drop constraint {if_exists}{}", own(of), ident(&key.name))
        }
        ObjectKind::Index => {
            let table = object.text(Attribute::Table).unwrap_or_default();
            if holder_goes(table) || goes_with_parent(plan, key) {
                return Vec::new();
            }
            format!("drop index {}", own(&key.name))
        }
        ObjectKind::Statistics => {
            let tables = plan.actual.of_kind(ObjectKind::Table).map(|(key, _)| key);
            let mut tables =
                tables.filter(|table| object.text(Attribute::Table) == Some(&ident(&table.name)));
            if tables.any(|table| plan.dropped.contains(table)) {
                return Vec::new();
            }
            format!("drop statistics {}", own(&key.name))
        }
        // A partition's is its parent's.
        ObjectKind::Trigger if object.get(Attribute::Definition).is_none() => {
            let is_again = plan.created.contains(key) || holder_goes(of);
            if is_again {
                return Vec::new();
            }
            if let Some(sql) = enable_key_trigger(key, object, "enable") {
                return vec![sql];
            }
            let (words, name) = (parents_state(plan, key), ident(&key.name));
            return vec![format!("alter table {} {words} trigger {name}", own(of))];
        }
        ObjectKind::Sequence => {
            if let Some(column) = object.text(Attribute::IdentityOf) {
                return identity(plan, column);
            }
            if object.text(Attribute::OwnedBy).is_some_and(|column| column_goes(plan, column)) {
                return Vec::new();
            }
            format!("drop sequence {}", own(&key.name))
        }
        // Its functions and the type depend on each other.
        ObjectKind::BaseType => format!("drop type {} cascade", own(&key.name)),
        ObjectKind::Function if is_of_type(plan, key) => {
            target(plan.actual, key).replacen("function ", "drop function if exists ", 1)
        }
        _ => format!("drop {}", target(plan.actual, key)),
    };
    vec![one]
}

/// Returns the words that make a partition's trigger fire when its parent's does.
fn parents_state(plan: &Plan<'_>, key: &ObjectKey) -> &'static str {
    let mut triggers = plan.expected.of_kind(ObjectKind::Trigger);
    let parent = triggers.find(|(other, object)| {
        other.name == key.name && object.get(Attribute::Definition).is_some()
    });
    relations::enabling(parent.and_then(|(_, object)| object.text(Attribute::Enabled)))
}

fn column(plan: &Plan<'_>, key: &ObjectKey, goes_with_it: bool) -> Vec<String> {
    let of = key.of.as_deref().unwrap_or_default();
    let comes_from_parent = parents_column(plan, key, |key| plan.unexpected.contains(key));
    let is_moved = plan.moved.contains_key(&ObjectKey::new(ObjectKind::Table, of));
    let is_elsewhere = comes_from_parent || is_moved || plan.is_typed(of);
    if goes_with_it || is_elsewhere || plan.rebuilt.contains(of) {
        return Vec::new();
    }
    let name = ident(&key.name);
    match plan.holder(key) {
        Some(ObjectKind::Table | ObjectKind::ForeignTable) => {
            vec![format!("alter table {} drop column {name}", own(of))]
        }
        Some(ObjectKind::Composite) => {
            vec![format!("alter type {} drop attribute {name} cascade", own(of))]
        }
        _ => Vec::new(),
    }
}

/// Returns the statements that remove the identity of a column, by its printed name.
fn identity(plan: &Plan<'_>, column: &str) -> Vec<String> {
    let columns = plan.actual.of_kind(ObjectKind::Column);
    let found = columns.map(|(key, _)| key).find(|key| printed(key) == column);
    let Some(key) = found else { return Vec::new() };
    let of = key.of.as_deref().unwrap_or_default();
    // A recreated table loses it anyway.
    if column_goes(plan, column) || plan.rebuilt.contains(of) {
        return Vec::new();
    }
    vec![format!("alter table {} alter column {} drop identity", own(of), ident(&key.name))]
}

/// Returns a column's name as printed by PostgreSQL.
pub(super) fn printed(column: &ObjectKey) -> String {
    format!("{}.{}", ident(column.of.as_deref().unwrap_or_default()), ident(&column.name))
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
    let table = super::plan::table_of(key, object);
    // By then no other object depends on it.
    let is_moved = plan.moved.contains_key(&ObjectKey::new(ObjectKind::Table, table));
    if plan.rebuilt.contains(table) || is_moved {
        return false;
    }
    if let Some(parent) = object.text(Attribute::AttachedTo) {
        return plan.dropped.iter().any(|other| {
            matches!(other.kind, ObjectKind::Index | ObjectKind::Constraint)
                && ident(&other.name) == parent
        });
    }
    // A check that a partition has from its parent.
    let table = plan.actual.get(&ObjectKey::new(ObjectKind::Table, table));
    let Some(parent) = table.and_then(|table| table.text(Attribute::PartitionOf)) else {
        return false;
    };
    comes_with_its_table(object)
        && plan.actual.of_kind(ObjectKind::Constraint).any(|(other, _)| {
            other.name == key.name && other.of.as_deref().map(ident).as_deref() == Some(parent)
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
