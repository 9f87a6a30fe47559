//! The schema itself, its default privileges and security labels.

use super::{
    super::{Attribute, Object, ObjectKey, SchemaModel},
    grants, ident, literal, own,
    quoting::escape,
    script::{Phase, Script},
};

pub(super) fn schema(model: &SchemaModel, object: &Object, out: &mut Script) {
    out.add(Phase::Shell, "create schema {schema}");
    out.add(Phase::Shell, "set search_path = {schema}");
    if let Some(owner) = object.text(Attribute::Owner) {
        out.add(Phase::Shell, format!("alter schema {{schema}} owner to {owner}"));
    }
    out.comment_of(object, Attribute::Comment, Phase::Shell, "schema {schema}");
    out.grants(model, object, "schema {schema}");
}

pub(super) fn default_privileges(key: &ObjectKey, object: &Object, out: &mut Script) {
    let role = key.of.as_deref().unwrap_or_default();
    let list = object.list(Attribute::Grants);
    for grant in grants::grant_changes(&key.name, "", &[], list) {
        let statement =
            format!("alter default privileges for role {role} in schema {{schema}} {grant}");
        out.add(Phase::DefaultPrivileges, statement);
    }
}

pub(super) fn security_label(key: &ObjectKey, object: &Object, out: &mut Script) {
    let target = match key.of.as_deref().unwrap_or_default() {
        "schema" => "schema {schema}".to_owned(),
        of => labelled(of),
    };
    let (provider, label) = (ident(&key.name), object.text(Attribute::Label).unwrap_or_default());
    let statement = format!("security label for {provider} on {target} is {}", literal(label));
    out.add(Phase::Label, statement);
}

/// Returns the kind and name of a labelled object, which its key contains in words.
fn labelled(of: &str) -> String {
    if let Some(column) = of.strip_prefix("column ") {
        let (table, column) = column.split_once('.').unwrap_or((column, ""));
        return format!("column {}.{}", own(table), ident(column));
    }
    let kinds = [
        "materialized view ",
        "foreign table ",
        "view ",
        "sequence ",
        "table ",
        "procedure ",
        "aggregate ",
        "function ",
        "domain ",
        "type ",
    ];
    let found = kinds.into_iter().find_map(|kind| Some((kind, of.strip_prefix(kind)?)));
    let Some((kind, name)) = found else { return escape(of) };
    match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
        Some((name, arguments)) if matches!(kind, "procedure " | "aggregate " | "function ") => {
            format!("{kind}{}({})", own(name), escape(arguments))
        }
        _ => format!("{kind}{}", own(name)),
    }
}
