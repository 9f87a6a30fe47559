//! Possible renames.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind, SchemaModel,
        ddl::{fill, ident, own},
    },
    plan::Plan,
    target::target,
};

/// A missing object and an unexpected one that differ only in their names.
///
/// `Display` writes a sentence with the statement that renames it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Rename {
    /// The unexpected object.
    pub from: ObjectKey,
    /// The missing object.
    pub to: ObjectKey,
    /// The statement that renames it, without a semicolon.
    pub sql: String,
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, sql } = self;
        write!(
            f,
            "Possible rename: {from} instead of {to}. If so, run this first and compute the repair again:\n  {sql};"
        )
    }
}

/// Kinds that are worth renaming: they hold rows, take long to create, or others depend on them.
const KINDS: &[ObjectKind] = &[
    ObjectKind::Table,
    ObjectKind::View,
    ObjectKind::MaterializedView,
    ObjectKind::Function,
    ObjectKind::Procedure,
    ObjectKind::Column,
    ObjectKind::Sequence,
    ObjectKind::Constraint,
    ObjectKind::Index,
    ObjectKind::Enum,
    ObjectKind::Domain,
    ObjectKind::Composite,
];

/// Finds pairs of one missing and one unexpected object that differ only in their names.
pub(super) fn proposals(plan: &Plan<'_>) -> Vec<Rename> {
    let mut alike: BTreeMap<String, (Vec<&ObjectKey>, Vec<&ObjectKey>)> = BTreeMap::new();
    // Such columns are renamed elsewhere.
    let is_candidate = |key: &&&ObjectKey| {
        KINDS.contains(&key.kind)
            && !(key.kind == ObjectKind::Column && is_from_elsewhere(plan, key))
    };
    for key in plan.missing.iter().filter(is_candidate) {
        alike.entry(form(plan.expected, key)).or_default().0.push(key);
    }
    for key in plan.unexpected.iter().filter(is_candidate) {
        alike.entry(form(plan.actual, key)).or_default().1.push(key);
    }
    let mut found = Vec::new();
    for (missing, unexpected) in alike.into_values() {
        if let ([to], [from]) = (&missing[..], &unexpected[..]) {
            let sql = statement(plan.actual, from, to);
            let sql = fill(&sql, &plan.actual.schema, plan.actual.role.as_deref());
            found.push(Rename { from: (*from).clone(), to: (*to).clone(), sql });
        }
    }
    found
}

/// Returns `true` if a column comes from a type or a parent table.
fn is_from_elsewhere(plan: &Plan<'_>, column: &ObjectKey) -> bool {
    let of = column.of.as_deref().unwrap_or_default();
    let table = plan.actual.get(&ObjectKey::new(ObjectKind::Table, of));
    let is_inherited = [plan.expected, plan.actual]
        .into_iter()
        .any(|model| model.get(column).is_some_and(|c| c.has(Attribute::Inherited)));
    let is_partition = table.is_some_and(|table| table.get(Attribute::PartitionOf).is_some());
    plan.is_typed(of) || is_inherited || is_partition
}

/// The contents of an object, without its name.
fn form(model: &SchemaModel, key: &ObjectKey) -> String {
    let plain = |object: &Object| {
        let attributes = object.attributes().filter(|(attribute, _)| {
            !matches!(attribute, Attribute::Owner | Attribute::Grants | Attribute::Comment)
        });
        attributes.map(|(attribute, value)| format!("{attribute}={value};")).collect::<String>()
    };
    let mut form = format!("{} {:?} ", key.kind, key.of);
    form.extend(model.get(key).map(plain));
    if matches!(key.kind, ObjectKind::Table | ObjectKind::Composite) {
        for (column, object) in model.columns(&key.name) {
            form.push_str(&format!("{} {}", column.name, plain(object)));
        }
    }
    form
}

fn statement(model: &SchemaModel, from: &ObjectKey, to: &ObjectKey) -> String {
    let of = from.of.as_deref().unwrap_or_default();
    let (old, new) = (ident(&from.name), ident(&to.name));
    let holder = |kind| model.get(&ObjectKey::new(kind, of)).is_some();
    match from.kind {
        ObjectKind::Column if holder(ObjectKind::Composite) => {
            format!("alter type {} rename attribute {old} to {new}", own(of))
        }
        ObjectKind::Column => format!("alter table {} rename column {old} to {new}", own(of)),
        ObjectKind::Constraint if holder(ObjectKind::Domain) => {
            format!("alter domain {} rename constraint {old} to {new}", own(of))
        }
        ObjectKind::Constraint => {
            format!("alter table {} rename constraint {old} to {new}", own(of))
        }
        _ => format!("alter {} rename to {new}", target(model, from)),
    }
}
