//! Columns of tables, views and composite types.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    grants, ident, literal, own,
    quoting::{escape, foreign_options, name_of, storage_option},
    script::{Phase, Script},
};

/// Returns a column definition for `create table` and `add column`, without its identity.
pub(crate) fn column_definition(key: &ObjectKey, object: &Object) -> String {
    let name = ident(&key.name);
    let mut sql = name.clone();
    if let Some(data_type) = object.text(Attribute::Type) {
        sql.push_str(&format!(" {data_type}"));
    }
    let options = object.list(Attribute::ForeignOptions);
    if !options.is_empty() {
        sql.push_str(&format!(" options ({})", foreign_options(options)));
    }
    if let Some(collation) = object.text(Attribute::Collation) {
        sql.push_str(&format!(" collate {collation}"));
    }
    sql.push_str(&not_null_clause(object));
    if let Some(default) = object.text(Attribute::Default) {
        sql.push_str(&format!(" default {default}"));
    }
    for (attribute, word) in
        [(Attribute::GeneratedStored, "stored"), (Attribute::GeneratedVirtual, "virtual")]
    {
        if let Some(expression) = object.text(attribute) {
            sql.push_str(&format!(" generated always as ({expression}) {word}"));
        }
    }
    sql
}

/// Returns the `not null` of a column definition, with a leading blank.
fn not_null_clause(object: &Object) -> String {
    if !object.has(Attribute::NotNull) || object.has(Attribute::NotNullInvalid) {
        return String::new();
    }
    let name = object.text(Attribute::NotNullName);
    let name = name.map_or_else(String::new, |name| format!(" constraint {}", ident(name)));
    let no_inherit = if object.has(Attribute::NotNullNoInherit) { " no inherit" } else { "" };
    format!("{name} not null{no_inherit}")
}

/// Returns the constraint by which a table makes an inherited column not null.
pub(super) fn inherited_not_null(key: &ObjectKey, object: &Object) -> Option<String> {
    let is_own = object.has(Attribute::NotNull) && !object.has(Attribute::NotNullInvalid);
    let name = object.text(Attribute::NotNullName)?;
    let no_inherit = if object.has(Attribute::NotNullNoInherit) { " no inherit" } else { "" };
    let (name, column) = (ident(name), ident(&key.name));
    is_own.then(|| format!("constraint {name} not null {column}{no_inherit}"))
}

/// The kind of object that contains a column, for `alter`, and whether that object has parents.
fn holder(model: &SchemaModel, key: &ObjectKey) -> Option<(ObjectKind, bool)> {
    let holder = holder_named(model, key.of.as_deref()?)?;
    let object = model.get(&holder)?;
    Some((holder.kind, !object.list(Attribute::Inherits).is_empty()))
}

/// Returns the relation or composite type of this name.
pub(super) fn holder_named(model: &SchemaModel, name: &str) -> Option<ObjectKey> {
    let mut keys = ObjectKind::WITH_COLUMNS.map(|kind| ObjectKey::new(kind, name)).into_iter();
    keys.find(|key| model.get(key).is_some())
}

pub(super) fn column(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(key.of.as_deref().unwrap_or_default());
    let definition = column_definition(key, object);
    match holder(model, key) {
        Some((ObjectKind::Composite, _)) => {
            out.add(Phase::Create, format!("alter type {name} add attribute {definition}"));
        }
        Some((ObjectKind::Table | ObjectKind::ForeignTable, _))
            if !object.has(Attribute::Inherited) =>
        {
            out.add(Phase::Create, format!("alter table {name} add column {definition}"));
        }
        _ => {}
    }
    column_attributes(model, key, object, out);
}

/// Adds the properties of a column that are not in its definition.
pub(super) fn column_attributes(
    model: &SchemaModel,
    key: &ObjectKey,
    object: &Object,
    out: &mut Script,
) {
    let Some((kind, has_parents)) = holder(model, key) else { return };
    let of = key.of.as_deref().unwrap_or_default();
    let (table, column) = (own(of), ident(&key.name));
    let target = format!("column {table}.{column}");
    if kind == ObjectKind::Composite {
        out.comment(object, &target);
        return;
    }
    let is_inherited = object.has(Attribute::Inherited);
    if (is_inherited || kind == ObjectKind::View)
        && let Some(default) = object.text(Attribute::Default)
    {
        out.add(Phase::Create, alter_only(key, &format!("set default {default}")));
    }
    if has_parents && has_no_value(object) && parent_has_default(model, key) {
        out.add(Phase::Create, alter_only(key, "drop default"));
    }
    not_null(model, key, object, out);
    storage(key, object, out);
    if is_inherited && !object.list(Attribute::ForeignOptions).is_empty() {
        let options = added_options(object.list(Attribute::ForeignOptions));
        let statement =
            format!("alter foreign table only {table} alter column {column} options ({options})");
        out.add(Phase::Create, statement);
    }
    let holder = model.get(&ObjectKey::new(kind, of));
    let owner = holder.and_then(|holder| holder.text(Attribute::Owner)).unwrap_or_default();
    let granted = format!("({column}) on table {table}");
    for grant in grants::grant_changes(&granted, owner, &[], object.list(Attribute::Grants)) {
        out.add(Phase::Grant, grant);
    }
    out.comment(object, &target);
}

/// Returns a statement that alters the column of its table, and not of the table's children.
fn alter_only(key: &ObjectKey, what: &str) -> String {
    let table = own(key.of.as_deref().unwrap_or_default());
    format!("alter table only {table} alter column {} {what}", ident(&key.name))
}

/// Returns `true` if a column has neither a default nor generated values.
fn has_no_value(object: &Object) -> bool {
    let values = [
        Attribute::Default,
        Attribute::GeneratedStored,
        Attribute::GeneratedVirtual,
        Attribute::Identity,
    ];
    values.into_iter().all(|attribute| object.get(attribute).is_none())
}

/// Adds the `not null` that is not in a column's definition, and its comment.
fn not_null(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let of = key.of.as_deref().unwrap_or_default();
    let (table, column) = (own(of), ident(&key.name));
    let name = object.text(Attribute::NotNullName);
    if object.has(Attribute::Inherited) && object.has(Attribute::NotNull) && name.is_none() {
        out.add(Phase::Create, alter_only(key, "set not null"));
    }
    if object.has(Attribute::NotNullInvalid) {
        let usual = || format!("{of}_{}_not_null", key.name);
        let name = ident(&name.map_or_else(usual, str::to_owned));
        let no_inherit = if object.has(Attribute::NotNullNoInherit) { " no inherit" } else { "" };
        let constraint = format!("{name} not null {column}{no_inherit} not valid");
        out.add(Phase::Check, format!("alter table {table} add constraint {constraint}"));
    }
    if let Some(comment) = object.text(Attribute::NotNullComment) {
        let name = ident(&name_of_not_null(model, of, key, MOST_GENERATIONS));
        let statement = format!("comment on constraint {name} on {table} is {}", literal(comment));
        out.add(Phase::Check, statement);
    }
}

/// Adds how a column's values are stored, and what the planner knows about them.
fn storage(key: &ObjectKey, object: &Object, out: &mut Script) {
    for (attribute, words) in [
        (Attribute::Storage, "set storage"),
        (Attribute::Compression, "set compression"),
        (Attribute::StatisticsTarget, "set statistics"),
    ] {
        if let Some(value) = object.text(attribute) {
            out.add(Phase::Create, alter_only(key, &format!("{words} {value}")));
        }
    }
    let options = object.list(Attribute::ColumnOptions);
    if !options.is_empty() {
        let options = options.iter().map(|option| storage_option(option)).collect::<Vec<_>>();
        out.add(Phase::Create, alter_only(key, &format!("set ({})", options.join(", "))));
    }
}

/// Converts the options `name=value` of a foreign object to the syntax that adds them.
fn added_options(options: &[String]) -> String {
    let options = options.iter().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        format!("add {} {}", ident(name), literal(&escape(value)))
    });
    options.collect::<Vec<_>>().join(", ")
}

/// Returns `true` if a table that this one inherits from has a default for the column, as far as is known.
fn parent_has_default(model: &SchemaModel, key: &ObjectKey) -> bool {
    let of = key.of.as_deref().unwrap_or_default();
    let holders = [ObjectKind::Table, ObjectKind::ForeignTable];
    let object = holders.into_iter().find_map(|kind| model.get(&ObjectKey::new(kind, of)));
    let parents = object.map_or(&[][..], |object| object.list(Attribute::Inherits));
    parents.iter().any(|parent| {
        let column = ObjectKey::part(ObjectKind::Column, name_of(parent), &*key.name);
        model.get(&column).is_none_or(|object| object.get(Attribute::Default).is_some())
    })
}

/// The maximum number of generations of parents to follow.
const MOST_GENERATIONS: u32 = 100;

/// Returns the name of a column's `not null` constraint: a purely inherited one has the parent's name (18).
fn name_of_not_null(model: &SchemaModel, of: &str, column: &ObjectKey, generations: u32) -> String {
    let usual = format!("{of}_{}_not_null", column.name);
    let key = ObjectKey::part(ObjectKind::Column, of, &*column.name);
    let Some(object) = model.get(&key) else { return usual };
    if let Some(name) = object.text(Attribute::NotNullName) {
        return name.to_owned();
    }
    let table = model.get(&ObjectKey::new(ObjectKind::Table, of));
    let parents = table.map_or(&[][..], |table| table.list(Attribute::Inherits));
    let parent = parents.iter().find(|parent| {
        model.get(&ObjectKey::part(ObjectKind::Column, parent.as_str(), &*column.name)).is_some()
    });
    match parent {
        Some(parent) if !object.has(Attribute::NotNull) && generations > 0 => {
            name_of_not_null(model, parent, column, generations - 1)
        }
        _ => usual,
    }
}
