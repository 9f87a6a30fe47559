//! Enums, composite types, domains, ranges and base types.

use super::{
    super::{Attribute, Object, ObjectKey, SchemaModel},
    column_definition, ident, literal, own,
    quoting::{escape, without_arguments},
    script::{Phase, Script},
};

pub(super) fn enumeration(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let labels = object.list(Attribute::Labels).iter().map(|label| literal(&escape(label)));
    let labels = labels.collect::<Vec<_>>().join(", ");
    out.add(Phase::Create, format!("create type {} as enum ({labels})", own(&key.name)));
    common(model, "type", key, object, out);
}

fn common(model: &SchemaModel, kind: &str, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    out.common(model, object, &format!("{kind} {name}"), Some(&format!("type {name}")));
}

pub(super) fn composite(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let columns = model.columns(&key.name);
    let fields = columns.iter().map(|(column, object)| column_definition(column, object));
    let fields = fields.collect::<Vec<_>>().join(", ");
    let name = own(&key.name);
    out.add(Phase::Create, format!("create type {name} as ({fields})"));
    common(model, "type", key, object, out);
    for (column, object) in columns {
        out.comment(object, &format!("column {name}.{}", ident(&column.name)));
    }
}

pub(super) fn domain(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let mut sql =
        format!("create domain {name} as {}", object.text(Attribute::Type).unwrap_or_default());
    if let Some(collation) = object.text(Attribute::Collation) {
        sql.push_str(&format!(" collate {collation}"));
    }
    if let Some(default) = object.text(Attribute::Default) {
        sql.push_str(&format!(" default {default}"));
    }
    let not_null = object.text(Attribute::NotNullName).map(ident);
    if object.has(Attribute::NotNull) {
        if let Some(constraint) = &not_null {
            sql.push_str(&format!(" constraint {constraint}"));
        }
        sql.push_str(" not null");
    }
    out.add(Phase::Create, sql);
    common(model, "domain", key, object, out);
    if let Some(constraint) = not_null {
        let target = format!("constraint {constraint} on domain {name}");
        out.comment_of(object, Attribute::NotNullComment, Phase::Create, &target);
    }
}

/// Returns `true` if functions that define a type also name it, so that it must exist before it is defined.
pub(super) fn needs_shell(object: &Object) -> bool {
    object.get(Attribute::Canonical).is_some() || object.get(Attribute::TypeParameters).is_some()
}

pub(super) fn range(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    if needs_shell(object) {
        out.add(Phase::Shell, format!("create type {name}"));
    }
    let options = [
        ("subtype", Attribute::Subtype),
        ("multirange_type_name", Attribute::Multirange),
        ("subtype_opclass", Attribute::SubtypeOperatorClass),
        ("collation", Attribute::Collation),
        ("canonical", Attribute::Canonical),
        ("subtype_diff", Attribute::SubtypeDifference),
    ];
    let options = options.into_iter().filter_map(|(word, attribute)| {
        let value = object.text(attribute)?;
        let is_function = matches!(attribute, Attribute::Canonical | Attribute::SubtypeDifference);
        let value = if is_function { without_arguments(value) } else { value };
        Some(format!("{word} = {value}"))
    });
    let options = options.collect::<Vec<_>>().join(", ");
    out.add(Phase::Create, format!("create type {name} as range ({options})"));
    common(model, "type", key, object, out);
}

pub(super) fn base(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    out.add(Phase::Shell, format!("create type {name}"));
    if !object.has(Attribute::Shell) {
        let parameters = object.list(Attribute::TypeParameters).iter();
        let parameters = parameters.map(|parameter| type_parameter(parameter)).collect::<Vec<_>>();
        let parameters = parameters.join(",\n    ");
        out.add(Phase::Create, format!("create type {name} (\n    {parameters}\n)"));
        common(model, "type", key, object, out);
    } else {
        out.comment(object, &format!("type {name}"));
    }
}

/// Converts a parameter of a base type to the syntax of `create type`.
fn type_parameter(parameter: &str) -> String {
    let Some((word, value)) = parameter.split_once(" = ") else { return parameter.to_owned() };
    let value = match (word, value) {
        ("internallength", "-1") => "variable",
        ("alignment", "c") => "char",
        ("alignment", "s") => "int2",
        ("alignment", "i") => "int4",
        ("alignment", "d") => "double",
        ("storage", "p") => "plain",
        ("storage", "e") => "external",
        ("storage", "x") => "extended",
        ("storage", "m") => "main",
        ("internallength" | "category" | "delimiter" | "element" | "default", value) => value,
        (_, function) => without_arguments(function),
    };
    format!("{word} = {value}")
}
