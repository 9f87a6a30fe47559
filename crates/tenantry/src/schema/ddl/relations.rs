//! Tables and views.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    columns::{column_attributes, column_definition, holder_named, inherited_not_null},
    ident, own,
    parts::comes_with_its_table,
    quoting::{foreign_options, name_of, storage_option},
    script::{Phase, Script},
};

pub(super) fn table(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let is_attached = is_attached(model, key, object);
    out.add(Phase::Create, create_table(model, key, object, is_attached));

    let kind = if key.kind == ObjectKind::ForeignTable { "foreign table" } else { "table" };
    let target = format!("{kind} {name}");
    out.owner(object, &target);
    for parent in object.list(Attribute::Inherits).iter().filter(|_| is_attached) {
        out.add(Phase::Create, format!("alter {target} inherit {parent}"));
    }
    if let Some(parent) = object.text(Attribute::PartitionOf) {
        let bound = object.text(Attribute::PartitionBound).unwrap_or_default();
        let attach = format!("alter table only {parent} attach partition {name} {bound}");
        out.add(Phase::Create, attach);
    }
    replica_identity(&name, object, out);
    for (attribute, words) in
        [(Attribute::RowSecurity, "enable"), (Attribute::ForceRowSecurity, "force")]
    {
        if object.has(attribute) {
            out.add(Phase::Policy, format!("alter table {name} {words} row level security"));
        }
    }
    out.grants(model, object, &format!("table {name}"));
    out.comment(object, &target);
    all_column_attributes(model, key, out);
    for (check, attributes) in checks(model, key) {
        out.comment(attributes, &format!("constraint {} on {name}", ident(&check.name)));
    }
}

fn create_table(
    model: &SchemaModel,
    key: &ObjectKey,
    object: &Object,
    is_attached: bool,
) -> String {
    let is_foreign = key.kind == ObjectKind::ForeignTable;
    let unlogged = if object.has(Attribute::Unlogged) { "unlogged " } else { "" };
    let kind = if is_foreign { "foreign table" } else { "table" };
    let mut sql = format!("create {unlogged}{kind} {}", own(&key.name));
    let of_type = object.text(Attribute::OfType);
    if let Some(of_type) = of_type {
        sql.push_str(&format!(" of {of_type}"));
    }
    let items = items(model, key, of_type.is_some());
    match (items.is_empty(), of_type) {
        (true, Some(_)) => {}
        (true, None) => sql.push_str(" ()"),
        (false, _) => sql.push_str(&format!(" (\n    {}\n)", items.join(",\n    "))),
    }
    let parents = object.list(Attribute::Inherits);
    if !parents.is_empty() && !is_attached {
        sql.push_str(&format!(" inherits ({})", parents.join(", ")));
    }
    if let Some(partition_key) = object.text(Attribute::PartitionKey) {
        sql.push_str(&format!(" partition by {partition_key}"));
    }
    if is_foreign {
        sql.push_str(&server(object));
    }
    sql + &storage(object)
}

/// Returns the columns and checks with which a table is created.
fn items(model: &SchemaModel, key: &ObjectKey, is_typed: bool) -> Vec<String> {
    let mut items = Vec::new();
    for (column, attributes) in model.columns(&key.name) {
        if attributes.has(Attribute::Inherited) {
            items.extend(inherited_not_null(column, attributes));
            continue;
        }
        let definition = column_definition(column, attributes);
        let name = ident(&column.name);
        match is_typed {
            false => items.push(definition),
            true => items.extend(
                definition
                    .strip_prefix(&format!("{name} "))
                    .map(|rest| format!("{name} with options {rest}")),
            ),
        }
    }
    items.extend(checks(model, key).map(|(check, attributes)| {
        let definition = attributes.text(Attribute::Definition).unwrap_or_default();
        format!("constraint {} {definition}", ident(&check.name))
    }));
    items
}

/// Returns the checks with which a table is created.
fn checks<'a>(
    model: &'a SchemaModel,
    key: &'a ObjectKey,
) -> impl Iterator<Item = (&'a ObjectKey, &'a Object)> {
    let constraints = model.parts_of(ObjectKind::Constraint, &key.name);
    constraints.filter(|(_, constraint)| comes_with_its_table(constraint))
}

/// Returns the server of a foreign table and its options, with a leading blank.
fn server(object: &Object) -> String {
    let server = ident(object.text(Attribute::Server).unwrap_or_default());
    match object.list(Attribute::ForeignOptions) {
        [] => format!(" server {server}"),
        options => format!(" server {server} options ({})", foreign_options(options)),
    }
}

fn replica_identity(name: &str, object: &Object, out: &mut Script) {
    if let Some(identity) = object.text(Attribute::ReplicaIdentity) {
        out.add(Phase::UseIndex, format!("alter table only {name} replica identity {identity}"));
    }
}

fn all_column_attributes(model: &SchemaModel, key: &ObjectKey, out: &mut Script) {
    for (column, attributes) in model.columns(&key.name) {
        column_attributes(model, column, attributes, out);
    }
}

/// Returns `true` if a table cannot have been created as a child of its parents, but was attached to them: its
/// columns are in a different order, or it generates one of theirs differently. It must have everything that a child
/// needs.
fn is_attached(model: &SchemaModel, key: &ObjectKey, object: &Object) -> bool {
    let order = object.list(Attribute::ColumnOrder);
    let parents = object.list(Attribute::Inherits).iter().map(|parent| name_of(parent));
    let parents: Vec<_> = parents.collect();
    let inherited = columns_of_all(model, &parents);
    let is_known = parents.iter().all(|parent| holder_named(model, parent).is_some());
    let is_own = |name: &&str| order.iter().any(|column| column == name);
    if parents.is_empty()
        || !is_known
        || !has_checks_of_all(model, key, &parents)
        || !inherited.iter().all(is_own)
    {
        return false;
    }
    let generates = inherited.iter().any(|name| {
        let column = model.get(&ObjectKey::part(ObjectKind::Column, &*key.name, *name));
        column.is_some_and(|column| column.get(Attribute::GeneratedStored).is_some())
    });
    let order = || order.iter().map(String::as_str);
    let others = order().filter(|name| !inherited.contains(name));
    generates || !inherited.iter().copied().chain(others).eq(order())
}

/// Returns the columns that a child of these tables is created with, in order.
fn columns_of_all<'a>(model: &'a SchemaModel, parents: &[String]) -> Vec<&'a str> {
    let mut columns: Vec<&str> = Vec::new();
    for parent in parents {
        for (column, _) in model.columns(parent) {
            if !columns.contains(&&*column.name) {
                columns.push(&column.name);
            }
        }
    }
    columns
}

/// Returns `true` if a table has all checks that its parents have.
fn has_checks_of_all(model: &SchemaModel, key: &ObjectKey, parents: &[String]) -> bool {
    let checks = parents.iter().flat_map(|parent| model.parts_of(ObjectKind::Constraint, parent));
    checks.filter(|(_, check)| comes_with_its_table(check)).all(|(check, _)| {
        model.get(&ObjectKey::part(ObjectKind::Constraint, &*key.name, &*check.name)).is_some()
    })
}

/// Returns the storage clause of a table or materialized view, with a leading blank.
fn storage(object: &Object) -> String {
    let mut sql = String::new();
    match object.text(Attribute::AccessMethod) {
        None | Some("heap") => {}
        Some(method) => sql.push_str(&format!(" using {}", ident(method))),
    }
    let options = object.list(Attribute::Options).iter().map(|option| storage_option(option));
    let toast = object.list(Attribute::ToastOptions).iter();
    let toast = toast.map(|option| format!("toast.{}", storage_option(option)));
    let options: Vec<String> = options.chain(toast).collect();
    if !options.is_empty() {
        sql.push_str(&format!(" with ({})", options.join(", ")));
    }
    if let Some(tablespace) = object.text(Attribute::Tablespace) {
        sql.push_str(&format!(" tablespace {}", ident(tablespace)));
    }
    sql
}

pub(super) fn view(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let is_materialized = key.kind == ObjectKind::MaterializedView;
    let definition = object.text(Attribute::Definition).unwrap_or_default();
    let definition = definition.trim_end().trim_end_matches(';');
    let (storage, end) = match is_materialized {
        true => (storage(object), "\nwith no data"),
        false => {
            let options =
                object.list(Attribute::Options).iter().map(|option| storage_option(option));
            let options = options.collect::<Vec<_>>().join(", ");
            (if options.is_empty() { options } else { format!(" with ({options})") }, "")
        }
    };
    let kind = key.kind;
    out.add(Phase::Create, format!("create {kind} {name}{storage} as\n{definition}{end}"));
    let target = format!("{kind} {name}");
    out.owner(object, &target);
    replica_identity(&name, object, out);
    out.extensions(object, &target);
    out.grants(model, object, &format!("table {name}"));
    out.comment(object, &target);
    all_column_attributes(model, key, out);
}
