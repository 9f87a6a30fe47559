//! Names of objects in the statements that change them.

use super::super::{
    ObjectKey, ObjectKind, SchemaModel,
    ddl::{ident, is_of_domain, own},
};

/// Returns the kind and the name for `comment on`, and for `drop` and `alter … owner to` where they use the same
/// syntax.
pub(super) fn target(model: &SchemaModel, key: &ObjectKey) -> String {
    let name = ident(&key.name);
    let of = key.of.as_deref().unwrap_or_default();
    match key.kind {
        ObjectKind::Schema => "schema {schema}".to_owned(),
        ObjectKind::Column => format!("column {}.{name}", own(of)),
        ObjectKind::Constraint if is_of_domain(model, key) => {
            format!("constraint {name} on domain {}", own(of))
        }
        ObjectKind::Constraint | ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy => {
            format!("{} {name} on {}", key.kind, own(of))
        }
        ObjectKind::Function | ObjectKind::Procedure => {
            format!("{} {}({})", key.kind, own(&key.name), arguments(key))
        }
        ObjectKind::Aggregate => match arguments(key) {
            "" => format!("aggregate {}(*)", own(&key.name)),
            arguments => format!("aggregate {}({arguments})", own(&key.name)),
        },
        ObjectKind::Operator => format!("operator {{schema}}.{} ({})", key.name, arguments(key)),
        ObjectKind::OperatorClass | ObjectKind::OperatorFamily => {
            format!("{} {} using {}", key.kind, own(&key.name), ident(of))
        }
        ObjectKind::Enum | ObjectKind::Composite | ObjectKind::Range | ObjectKind::BaseType => {
            format!("type {}", own(&key.name))
        }
        _ => format!("{} {}", key.kind, own(&key.name)),
    }
}

/// Returns a column's name as printed by PostgreSQL.
pub(super) fn printed(column: &ObjectKey) -> String {
    format!("{}.{}", ident(column.of.as_deref().unwrap_or_default()), ident(&column.name))
}

fn arguments(key: &ObjectKey) -> &str {
    key.arguments.as_deref().unwrap_or_default()
}

/// Returns the target for `grant`; `None` if no privileges can be granted.
pub(super) fn granted(key: &ObjectKey) -> Option<String> {
    let own = own(&key.name);
    Some(match key.kind {
        ObjectKind::Schema => "schema {schema}".to_owned(),
        ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView => format!("table {own}"),
        ObjectKind::Sequence => format!("sequence {own}"),
        ObjectKind::Function | ObjectKind::Procedure => {
            format!("{} {own}({})", key.kind, arguments(key))
        }
        ObjectKind::Aggregate => format!("function {own}({})", arguments(key)),
        ObjectKind::Enum
        | ObjectKind::Composite
        | ObjectKind::Domain
        | ObjectKind::Range
        | ObjectKind::BaseType => format!("type {own}"),
        _ => return None,
    })
}
