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

/// Returns how to change an attribute that differs, on this major version.
pub(super) fn treatment(
    key: &ObjectKey,
    attribute: Attribute,
    (expected, actual): (&Object, &Object),
    server_version: u32,
) -> Treatment {
    if matches!(
        attribute,
        Attribute::Owner
            | Attribute::Grants
            | Attribute::Comment
            | Attribute::IndexComment
            | Attribute::NotNullComment
            | Attribute::DependsOnExtensions
    ) {
        return Alter;
    }
    match key.kind {
        ObjectKind::Schema | ObjectKind::DefaultPrivileges | ObjectKind::SecurityLabel => Alter,
        ObjectKind::Table => match attribute {
            Attribute::Inherits
            | Attribute::PartitionKey
            | Attribute::PartitionOf
            | Attribute::PartitionBound
            | Attribute::OfType => Rebuild,
            Attribute::AccessMethod if server_version < 15 => Rebuild,
            _ => Alter,
        },
        ObjectKind::Column => column(attribute, (expected, actual), server_version),
        ObjectKind::View | ObjectKind::MaterializedView => match attribute {
            Attribute::Definition => Recreate,
            Attribute::AccessMethod if server_version < 15 => Recreate,
            Attribute::Unlogged => Recreate,
            _ => Alter,
        },
        ObjectKind::Sequence => match attribute {
            Attribute::IdentityOf => Recreate,
            _ => Alter,
        },
        ObjectKind::Constraint => match attribute {
            Attribute::Definition if !only_validates(expected, actual) => Recreate,
            Attribute::AttachedTo if actual.get(attribute).is_some() => Recreate,
            _ => Alter,
        },
        ObjectKind::Index => match attribute {
            Attribute::Definition | Attribute::Table | Attribute::Unique => Recreate,
            Attribute::AttachedTo if actual.get(attribute).is_some() => Recreate,
            _ => Alter,
        },
        ObjectKind::Statistics if attribute == Attribute::StatisticsTarget => Alter,
        ObjectKind::Trigger | ObjectKind::Rule if attribute == Attribute::Enabled => Alter,
        ObjectKind::Function | ObjectKind::Procedure => match attribute {
            Attribute::Arguments | Attribute::Returns | Attribute::Window => Recreate,
            // Objects named in the old body may have to be dropped before the new body can be created.
            _ if actual.has(Attribute::SqlBody) => Recreate,
            _ => Alter,
        },
        ObjectKind::Enum => {
            match is_part(actual.list(Attribute::Labels), expected.list(Attribute::Labels)) {
                true => Alter,
                false => Recreate,
            }
        }
        ObjectKind::Domain => match attribute {
            Attribute::Type | Attribute::Collation => Recreate,
            _ => Alter,
        },
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
