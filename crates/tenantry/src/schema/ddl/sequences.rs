//! Sequences, including those of identity columns.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    ident, own,
    quoting::name_of,
    script::{Phase, Script},
};

pub(super) fn sequence(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let options = sequence_options(object);
    if let Some(column) = object.text(Attribute::IdentityOf) {
        let (table, column_name) = split_column(column);
        let clause = identity(model, &name, column, object);
        out.add(
            Phase::Identity,
            format!("alter table {table} alter column {column_name} add {clause}"),
        );
        let target = format!("sequence {name}");
        out.grants(model, object, &target);
        out.comment_of(object, Attribute::Comment, Phase::Ownership, &target);
        return;
    }
    let unlogged = if object.has(Attribute::Unlogged) { "unlogged " } else { "" };
    let data_type = match object.text(Attribute::Type) {
        None | Some("bigint") => String::new(),
        Some(other) => format!(" as {other}"),
    };
    let statement = format!("create {unlogged}sequence {name}{data_type}{options}");
    out.add(Phase::Create, statement);
    let target = format!("sequence {name}");
    out.common(model, object, &target, Some(&target));
    if let Some(column) = object.text(Attribute::OwnedBy) {
        out.add(Phase::Ownership, format!("alter sequence {name} owned by {column}"));
    }
}

/// Returns `generated … as identity` for a column of this printed name.
fn identity(model: &SchemaModel, sequence: &str, column: &str, object: &Object) -> String {
    let (table, column_name) = split_column(column);
    let when = identity_of(model, table, column_name).unwrap_or("by default");
    let options = sequence_options(object);
    format!("generated {when} as identity (sequence name {sequence}{options})")
}

/// Returns `generated … as identity` for a column that has one.
pub(in crate::schema) fn identity_clause(
    model: &SchemaModel,
    column: &ObjectKey,
) -> Option<String> {
    let of = column.of.as_deref().unwrap_or_default();
    let printed = format!("{}.{}", ident(of), ident(&column.name));
    let (sequence, object) = model
        .of_kind(ObjectKind::Sequence)
        .find(|(_, object)| object.text(Attribute::IdentityOf) == Some(&printed))?;
    Some(identity(model, &own(&sequence.name), &printed, object))
}

/// Returns the options of a sequence except its type and defaults, each with a leading blank.
pub(crate) fn sequence_options(object: &Object) -> String {
    let text = |attribute| object.text(attribute);
    let increment = text(Attribute::Increment).unwrap_or("1");
    let is_default_start = !increment.starts_with('-')
        && text(Attribute::Start).is_none_or(|start| start == "1")
        && text(Attribute::Minimum).is_none();
    let mut sql = String::new();
    if !is_default_start && let Some(start) = text(Attribute::Start) {
        sql.push_str(&format!(" start with {start}"));
    }
    if increment != "1" {
        sql.push_str(&format!(" increment by {increment}"));
    }
    for (attribute, words) in [(Attribute::Minimum, "minvalue"), (Attribute::Maximum, "maxvalue")] {
        if let Some(value) = text(attribute) {
            sql.push_str(&format!(" {words} {value}"));
        }
    }
    match text(Attribute::Cache) {
        None | Some("1") => {}
        Some(cache) => sql.push_str(&format!(" cache {cache}")),
    }
    if object.has(Attribute::Cycle) {
        sql.push_str(" cycle");
    }
    sql
}

/// Splits the printed name of a column into its table and its own name.
fn split_column(column: &str) -> (&str, &str) {
    let mut in_quotes = false;
    let dot = column.char_indices().filter(|(_, character)| {
        in_quotes ^= *character == '"';
        *character == '.' && !in_quotes
    });
    let at = dot.last().map_or(0, |(at, _)| at);
    (&column[..at], column.get(at + 1..).unwrap_or_default())
}

fn identity_of<'a>(model: &'a SchemaModel, table: &str, column: &str) -> Option<&'a str> {
    let key = ObjectKey::part(ObjectKind::Column, name_of(table), name_of(column));
    model.get(&key)?.text(Attribute::Identity)
}

/// Returns `true` if a sequence belongs to an identity column of this table.
pub(super) fn is_identity_of(sequence: &Object, table: &ObjectKey) -> bool {
    let Some(column) = sequence.text(Attribute::IdentityOf) else { return false };
    let (of, name) = (split_column(column).0, ident(&table.name));
    of == name || of.strip_prefix("{schema}.") == Some(&name)
}
