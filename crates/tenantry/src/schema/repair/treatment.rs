//! How to change an attribute that differs.

use super::super::{Attribute, Object, ObjectKey, ObjectKind};

/// How an object is made equal to the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Treatment {
    /// A statement changes it.
    Alter,
    /// It is dropped and created: it contains no rows.
    Recreate,
    /// The table is created anew, and its rows are copied.
    Rebuild,
}

use Treatment::{Alter, Rebuild, Recreate};

/// Attributes that all kinds of objects have, and that can always be altered.
const COMMON: &[Attribute] = &[
    Attribute::Owner,
    Attribute::Grants,
    Attribute::Comment,
    Attribute::IndexComment,
    Attribute::NotNullComment,
    Attribute::DependsOnExtensions,
];

/// Returns how to change an attribute that differs, on this major version.
pub(super) fn treatment(
    key: &ObjectKey,
    attribute: Attribute,
    (expected, actual): (&Object, &Object),
    server_version: u32,
) -> Treatment {
    if COMMON.contains(&attribute) {
        return Alter;
    }
    match key.kind {
        ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => {
            relation(key.kind, attribute, server_version)
        }
        ObjectKind::Column => column(attribute, (expected, actual), server_version),
        ObjectKind::Constraint | ObjectKind::Index => {
            index(key.kind, attribute, (expected, actual))
        }
        ObjectKind::Function | ObjectKind::Procedure => routine(attribute, actual),
        ObjectKind::Enum => {
            let (old, new) = (actual.list(Attribute::Labels), expected.list(Attribute::Labels));
            if is_part(old, new) { Alter } else { Recreate }
        }
        kind => other(kind, attribute),
    }
}

fn relation(kind: ObjectKind, attribute: Attribute, server_version: u32) -> Treatment {
    match (kind, attribute) {
        (
            ObjectKind::Table,
            Attribute::Inherits
            | Attribute::PartitionKey
            | Attribute::PartitionOf
            | Attribute::PartitionBound
            | Attribute::OfType,
        ) => Rebuild,
        (ObjectKind::Table, Attribute::AccessMethod) if server_version < 15 => Rebuild,
        (ObjectKind::Table, _) => Alter,
        (_, Attribute::Definition | Attribute::Unlogged) => Recreate,
        (_, Attribute::AccessMethod) if server_version < 15 => Recreate,
        _ => Alter,
    }
}

fn index(
    kind: ObjectKind,
    attribute: Attribute,
    (expected, actual): (&Object, &Object),
) -> Treatment {
    match (kind, attribute) {
        (_, Attribute::AttachedTo) if actual.get(attribute).is_some() => Recreate,
        (ObjectKind::Constraint, Attribute::Definition) if only_validates(expected, actual) => {
            Alter
        }
        (_, Attribute::Definition) => Recreate,
        (ObjectKind::Index, Attribute::Table | Attribute::Unique) => Recreate,
        _ => Alter,
    }
}

fn routine(attribute: Attribute, actual: &Object) -> Treatment {
    match attribute {
        Attribute::Arguments | Attribute::Returns | Attribute::Window => Recreate,
        // Objects named in the old body may have to be dropped before the new body can be created.
        _ if actual.has(Attribute::SqlBody) => Recreate,
        _ => Alter,
    }
}

fn other(kind: ObjectKind, attribute: Attribute) -> Treatment {
    match (kind, attribute) {
        (ObjectKind::Schema | ObjectKind::DefaultPrivileges | ObjectKind::SecurityLabel, _) => {
            Alter
        }
        (ObjectKind::Sequence, Attribute::IdentityOf) => Recreate,
        (ObjectKind::Sequence, _) => Alter,
        (ObjectKind::Domain, Attribute::Type | Attribute::Collation) => Recreate,
        (ObjectKind::Domain, _) => Alter,
        (ObjectKind::Statistics, Attribute::StatisticsTarget) => Alter,
        (ObjectKind::Trigger | ObjectKind::Rule, Attribute::Enabled) => Alter,
        _ => Recreate,
    }
}

/// A column of a table: an attribute that cannot be altered requires a new table.
fn column(
    attribute: Attribute,
    (expected, actual): (&Object, &Object),
    server_version: u32,
) -> Treatment {
    let can_be_set = match attribute {
        Attribute::GeneratedStored => server_version >= 17,
        Attribute::GeneratedVirtual => true,
        _ => false,
    };
    match attribute {
        Attribute::Inherited => Rebuild,
        Attribute::GeneratedStored | Attribute::GeneratedVirtual
            if actual.has(Attribute::Inherited) =>
        {
            Rebuild
        }
        Attribute::GeneratedStored | Attribute::GeneratedVirtual => {
            let (new, old) = (expected.get(attribute), actual.get(attribute));
            match (new, old) {
                (Some(_), Some(_)) if can_be_set => Alter,
                (None, Some(_)) if attribute == Attribute::GeneratedStored => Alter,
                _ => Rebuild,
            }
        }
        _ => Alter,
    }
}

/// Returns `true` if the constraint only has to be validated.
pub(super) fn only_validates(expected: &Object, actual: &Object) -> bool {
    let text = |object: &Object| object.text(Attribute::Definition).unwrap_or_default().to_owned();
    text(actual).strip_suffix(" NOT VALID") == Some(&text(expected))
}

/// Returns `true` if the other list contains all labels in the same order.
fn is_part(labels: &[String], of: &[String]) -> bool {
    let mut of = of.iter();
    labels.iter().all(|label| of.any(|other| other == label))
}
