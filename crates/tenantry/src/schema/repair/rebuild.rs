//! Tables that are recreated with their rows.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind, SchemaModel,
        ddl::{ident, own},
    },
    conversion::converted,
    plan::{Plan, parents},
};

/// Returns the name of a table while another one replaces it.
pub(super) fn kept(plan: &Plan<'_>, key: &ObjectKey) -> String {
    let place = plan.actual.objects.keys().position(|other| other == key).unwrap_or_default();
    free(plan, &format!("tenantry_kept_{place}"))
}

/// Returns a name that no relation has.
fn free(plan: &Plan<'_>, name: &str) -> String {
    let is_taken = |name: &str| {
        let keys = plan.actual.objects.keys().chain(plan.expected.objects.keys());
        keys.into_iter().any(|key| key.name == name)
    };
    let mut name = name.to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    name
}

/// Removes all dependencies of a table, and all dependencies on it.
pub(super) fn strip(plan: &Plan<'_>, key: &ObjectKey) -> Vec<String> {
    let table = &plan.actual.objects[key];
    let name = own(&key.name);
    let mut found = Vec::new();
    if table.get(Attribute::PartitionOf).is_some() {
        found.extend(parents(table).map(|p| format!("alter table {p} detach partition {name}")));
    } else {
        found.extend(parents(table).map(|p| format!("alter table {name} no inherit {p}")));
    }
    if table.get(Attribute::OfType).is_some() {
        found.push(format!("alter table {name} not of"));
    }
    for (column, object) in plan.actual.columns(&key.name) {
        let column = ident(&column.name);
        let mut alter =
            |what: &str| found.push(format!("alter table {name} alter column {column} {what}"));
        if object.get(Attribute::Default).is_some() {
            alter("drop default");
        }
        if object.get(Attribute::GeneratedStored).is_some() {
            alter("drop expression");
        }
        if object.get(Attribute::Identity).is_some() {
            alter("drop identity");
        }
        if object.get(Attribute::GeneratedVirtual).is_some() {
            found.push(format!("alter table {name} drop column {column}"));
        }
    }
    if table.has(Attribute::RowSecurity) {
        found.push(format!("alter table {name} disable row level security"));
    }
    found
}

/// Returns `true` if a table holds rows itself.
pub(super) fn holds_rows(plan: &Plan<'_>, key: &ObjectKey) -> bool {
    plan.actual.get(key).is_some_and(|table| table.get(Attribute::PartitionKey).is_none())
}

/// Moves a table aside, or drops it if only its partitions hold rows.
pub(super) fn put_aside(plan: &Plan<'_>, key: &ObjectKey) -> String {
    let name = own(&key.name);
    match holds_rows(plan, key) {
        true => format!("alter table {name} rename to {}", ident(&kept(plan, key))),
        false => format!("drop table {name}"),
    }
}

/// Copies the rows of a table that was moved aside.
pub(super) fn copy(plan: &Plan<'_>, key: &ObjectKey, into: &ObjectKey) -> String {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    let generated = [Attribute::GeneratedStored, Attribute::GeneratedVirtual];
    for (column, new) in plan.expected.columns(&into.name) {
        let old = ObjectKey::part(ObjectKind::Column, &*key.name, &*column.name);
        let Some(old) = plan.actual.get(&old) else { continue };
        if generated.iter().any(|attribute| new.get(*attribute).is_some())
            || old.get(Attribute::GeneratedVirtual).is_some()
        {
            continue;
        }
        let name = ident(&column.name);
        let data_type = |object: &Object, model, table| {
            type_of(model, table, &column.name, object).unwrap_or_else(|| "text".to_owned())
        };
        let was = match plan.retyped.contains(&(&*key.name, &*column.name)) {
            true => "text".to_owned(),
            false => data_type(old, plan.actual, key),
        };
        values.push(converted(&name, &was, &data_type(new, plan.expected, into)));
        columns.push(name);
    }
    let into = own(&into.name);
    let from = own(&kept(plan, key));
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!(" ({}) overriding system value", columns.join(", ")),
    };
    format!("insert into {into}{columns} select {} from only {from}", values.join(", "))
}

/// Returns the type of a column, including inherited ones.
fn type_of(
    model: &SchemaModel,
    table: &ObjectKey,
    column: &str,
    object: &Object,
) -> Option<String> {
    if let Some(data_type) = object.text(Attribute::Type) {
        return Some(data_type.to_owned());
    }
    let table = model.get(table)?;
    let tables = || model.of_kind(ObjectKind::Table);
    parents(table).find_map(|parent| {
        let (parent, _) = tables().find(|(key, _)| ident(&key.name) == *parent)?;
        let object = model.get(&ObjectKey::part(ObjectKind::Column, &*parent.name, column))?;
        type_of(model, parent, column, object)
    })
}
