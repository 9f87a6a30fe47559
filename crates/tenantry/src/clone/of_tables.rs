//! The model of some tables, without the rest of their schema (pure).

use crate::schema::{Attribute, ObjectKind, SchemaModel};

/// Returns the model of these tables with their columns, constraints and indexes, and of the types in the schema.
///
/// A partition belongs to its table, and is left out.
pub(crate) fn of_tables(model: &SchemaModel, tables: &[&str]) -> SchemaModel {
    let mut of_them = model.clone();
    of_them.beyond.clear();
    let is_of_them = |name: Option<&str>| name.is_some_and(|name| tables.contains(&name));
    of_them.objects.retain(|key, object| match key.kind {
        ObjectKind::Table => is_of_them(Some(&key.name)),
        ObjectKind::Constraint => key.of.as_deref().is_none_or(|of| {
            is_of_them(Some(of)) || !model.of_kind(ObjectKind::Table).any(|(key, _)| key.name == of)
        }),
        ObjectKind::Column => key.of.as_deref().is_none_or(|of| {
            is_of_them(Some(of))
                || model.of_kind(ObjectKind::Composite).any(|(key, _)| key.name == of)
        }),
        ObjectKind::Index => is_of_them(object.text(Attribute::Table)),
        ObjectKind::Enum
        | ObjectKind::Composite
        | ObjectKind::Domain
        | ObjectKind::Range
        | ObjectKind::BaseType => true,
        _ => false,
    });
    of_them
}

/// Returns the model with tables that hold the rows of their partitions.
pub(crate) fn unpartitioned(model: &SchemaModel) -> SchemaModel {
    let mut whole = model.clone();
    for (key, object) in &mut whole.objects {
        if key.kind == ObjectKind::Table {
            object.remove(Attribute::PartitionKey);
        }
    }
    whole
}
