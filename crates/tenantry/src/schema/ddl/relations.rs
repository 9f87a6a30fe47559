//! Tables, views, sequences and their columns.

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    grants, ident, literal, own,
    parts::comes_with_its_table,
    quoting::{escape, foreign_options, name_of, storage_option},
    script::{Phase, Script},
};

pub(super) fn table(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(&key.name);
    let is_foreign = key.kind == ObjectKind::ForeignTable;
    let mut sql = String::from("create ");
    if object.has(Attribute::Unlogged) {
        sql.push_str("unlogged ");
    }
    sql.push_str(if is_foreign { "foreign table " } else { "table " });
    sql.push_str(&name);
    let of_type = object.text(Attribute::OfType);
    if let Some(of_type) = of_type {
        sql.push_str(&format!(" of {of_type}"));
    }
    let mut items: Vec<String> = Vec::new();
    for (column, attributes) in model.columns(&key.name) {
        if attributes.has(Attribute::Inherited) {
            items.extend(inherited_not_null(column, attributes));
            continue;
        }
        let definition = column_definition(column, attributes);
        match of_type {
            None => items.push(definition),
            Some(_) => items.extend(
                definition
                    .strip_prefix(&format!("{} ", ident(&column.name)))
                    .map(|rest| format!("{} with options {rest}", ident(&column.name))),
            ),
        }
    }
    for (constraint, attributes) in model.parts_of(ObjectKind::Constraint, &key.name) {
        if comes_with_its_table(attributes) {
            let definition = attributes.text(Attribute::Definition).unwrap_or_default();
            items.push(format!("constraint {} {definition}", ident(&constraint.name)));
        }
    }
    match (items.is_empty(), of_type) {
        (true, Some(_)) => {}
        (true, None) => sql.push_str(" ()"),
        (false, _) => sql.push_str(&format!(" (\n    {}\n)", items.join(",\n    "))),
    }
    let parents = object.list(Attribute::Inherits);
    let is_attached = is_attached(model, key, object);
    if !parents.is_empty() && !is_attached {
        sql.push_str(&format!(" inherits ({})", parents.join(", ")));
    }
    if let Some(partition_key) = object.text(Attribute::PartitionKey) {
        sql.push_str(&format!(" partition by {partition_key}"));
    }
    if is_foreign {
        let server = object.text(Attribute::Server).unwrap_or_default();
        sql.push_str(&format!(" server {}", ident(server)));
        let options = object.list(Attribute::ForeignOptions);
        if !options.is_empty() {
            sql.push_str(&format!(" options ({})", foreign_options(options)));
        }
    }
    sql.push_str(&storage(object));
    out.add(Phase::Create, sql);

    let target = if is_foreign { format!("foreign table {name}") } else { format!("table {name}") };
    out.owner(object, &target);
    for parent in parents.iter().filter(|_| is_attached) {
        out.add(Phase::Create, format!("alter {target} inherit {parent}"));
    }
    if let Some(parent) = object.text(Attribute::PartitionOf) {
        let bound = object.text(Attribute::PartitionBound).unwrap_or_default();
        let attach = format!("alter table only {parent} attach partition {name} {bound}");
        out.add(Phase::Create, attach);
    }
    if let Some(identity) = object.text(Attribute::ReplicaIdentity) {
        out.add(Phase::UseIndex, format!("alter table only {name} replica identity {identity}"));
    }
    for (attribute, words) in
        [(Attribute::RowSecurity, "enable"), (Attribute::ForceRowSecurity, "force")]
    {
        if object.has(attribute) {
            out.add(Phase::Policy, format!("alter table {name} {words} row level security"));
        }
    }
    out.grants(model, object, &format!("table {name}"));
    out.comment(object, &target);
    for (column, attributes) in model.columns(&key.name) {
        column_attributes(model, column, attributes, out);
    }
    let constraints = model.parts_of(ObjectKind::Constraint, &key.name);
    let checks = constraints.filter(|(_, attributes)| comes_with_its_table(attributes));
    for (constraint, attributes) in checks {
        out.comment(attributes, &format!("constraint {} on {name}", ident(&constraint.name)));
    }
}

/// Returns `true` if a table cannot have been created as a child of its parents, but was attached to them: its
/// columns are in a different order, or it generates one of theirs differently. It must have everything that a child
/// needs.
fn is_attached(model: &SchemaModel, key: &ObjectKey, object: &Object) -> bool {
    let order = object.list(Attribute::ColumnOrder);
    let parents = object.list(Attribute::Inherits).iter().map(|parent| name_of(parent));
    let parents: Vec<_> = parents.collect();
    let mut expected: Vec<&str> = Vec::new();
    for parent in &parents {
        for (column, _) in model.columns(parent) {
            if !expected.contains(&&*column.name) {
                expected.push(&column.name);
            }
        }
    }
    let is_known = parents.iter().all(|parent| holder_named(model, parent).is_some());
    let checks = parents.iter().flat_map(|parent| model.parts_of(ObjectKind::Constraint, parent));
    let has_checks = checks.filter(|(_, check)| comes_with_its_table(check)).all(|(check, _)| {
        model.get(&ObjectKey::part(ObjectKind::Constraint, &*key.name, &*check.name)).is_some()
    });
    let is_own = |name: &&str| order.iter().any(|column| column == name);
    if parents.is_empty() || !is_known || !has_checks || !expected.iter().all(is_own) {
        return false;
    }
    let generates = expected.iter().any(|name| {
        let column = model.get(&ObjectKey::part(ObjectKind::Column, &*key.name, *name));
        column.is_some_and(|column| column.get(Attribute::GeneratedStored).is_some())
    });
    let others: Vec<_> =
        order.iter().map(String::as_str).filter(|name| !expected.contains(name)).collect();
    expected.extend(others);
    generates || !expected.iter().copied().eq(order.iter().map(String::as_str))
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
    if let Some(identity) = object.text(Attribute::ReplicaIdentity) {
        out.add(Phase::UseIndex, format!("alter table only {name} replica identity {identity}"));
    }
    out.extensions(object, &target);
    out.grants(model, object, &format!("table {name}"));
    out.comment(object, &target);
    for (column, attributes) in model.columns(&key.name) {
        column_attributes(model, column, attributes, out);
    }
}

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
    if object.has(Attribute::NotNull) && !object.has(Attribute::NotNullInvalid) {
        if let Some(constraint) = object.text(Attribute::NotNullName) {
            sql.push_str(&format!(" constraint {}", ident(constraint)));
        }
        sql.push_str(" not null");
        if object.has(Attribute::NotNullNoInherit) {
            sql.push_str(" no inherit");
        }
    }
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

/// Returns the constraint by which a table makes an inherited column not null.
fn inherited_not_null(key: &ObjectKey, object: &Object) -> Option<String> {
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
    let kinds = [
        ObjectKind::Table,
        ObjectKind::ForeignTable,
        ObjectKind::View,
        ObjectKind::MaterializedView,
        ObjectKind::Composite,
    ];
    let mut keys = kinds.into_iter().map(|kind| ObjectKey::new(kind, name));
    keys.find(|key| model.get(key).is_some())
}

/// Returns `true` if a sequence belongs to an identity column of this table.
pub(super) fn is_identity_of(sequence: &Object, table: &ObjectKey) -> bool {
    let Some(column) = sequence.text(Attribute::IdentityOf) else { return false };
    let (of, name) = (split_column(column).0, ident(&table.name));
    of == name || of.strip_prefix("{schema}.") == Some(&name)
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
fn column_attributes(model: &SchemaModel, key: &ObjectKey, object: &Object, out: &mut Script) {
    let Some((kind, has_parents)) = holder(model, key) else { return };
    let (table, column) = (own(key.of.as_deref().unwrap_or_default()), ident(&key.name));
    let target = format!("column {table}.{column}");
    if kind == ObjectKind::Composite {
        out.comment(object, &target);
        return;
    }
    let alter = |what: &str| format!("alter table only {table} alter column {column} {what}");
    let is_inherited = object.has(Attribute::Inherited);
    if (is_inherited || kind == ObjectKind::View)
        && let Some(default) = object.text(Attribute::Default)
    {
        out.add(Phase::Create, alter(&format!("set default {default}")));
    }
    let is_plain = [
        Attribute::Default,
        Attribute::GeneratedStored,
        Attribute::GeneratedVirtual,
        Attribute::Identity,
    ]
    .into_iter()
    .all(|attribute| object.get(attribute).is_none());
    if has_parents && is_plain && parent_has_default(model, key) {
        out.add(Phase::Create, alter("drop default"));
    }
    if is_inherited
        && object.has(Attribute::NotNull)
        && object.get(Attribute::NotNullName).is_none()
    {
        out.add(Phase::Create, alter("set not null"));
    }
    if object.has(Attribute::NotNullInvalid) {
        let name = object.text(Attribute::NotNullName).map(str::to_owned);
        let of = key.of.as_deref().unwrap_or_default();
        let name = ident(&name.unwrap_or_else(|| format!("{of}_{}_not_null", key.name)));
        let no_inherit = if object.has(Attribute::NotNullNoInherit) { " no inherit" } else { "" };
        out.add(
            Phase::Check,
            format!(
                "alter table {table} add constraint {name} not null {column}{no_inherit} not valid"
            ),
        );
    }
    if let Some(comment) = object.text(Attribute::NotNullComment) {
        let of = key.of.as_deref().unwrap_or_default();
        let name = ident(&name_of_not_null(model, of, key, MOST_GENERATIONS));
        let statement = format!("comment on constraint {name} on {table} is {}", literal(comment));
        out.add(Phase::Check, statement);
    }
    for (attribute, words) in [
        (Attribute::Storage, "set storage"),
        (Attribute::Compression, "set compression"),
        (Attribute::StatisticsTarget, "set statistics"),
    ] {
        if let Some(value) = object.text(attribute) {
            out.add(Phase::Create, alter(&format!("{words} {value}")));
        }
    }
    let options = object.list(Attribute::ColumnOptions);
    if !options.is_empty() {
        let options = options.iter().map(|option| storage_option(option)).collect::<Vec<_>>();
        out.add(Phase::Create, alter(&format!("set ({})", options.join(", "))));
    }
    if is_inherited && !object.list(Attribute::ForeignOptions).is_empty() {
        let options = object.list(Attribute::ForeignOptions);
        let options = options.iter().map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            format!("add {} {}", ident(name), literal(&escape(value)))
        });
        let options = options.collect::<Vec<_>>().join(", ");
        let statement =
            format!("alter foreign table only {table} alter column {column} options ({options})");
        out.add(Phase::Create, statement);
    }
    let holder = model.get(&ObjectKey::new(kind, key.of.as_deref().unwrap_or_default()));
    let owner = holder.and_then(|holder| holder.text(Attribute::Owner)).unwrap_or_default();
    let granted = format!("({column}) on table {table}");
    for grant in grants::grant_changes(&granted, owner, &[], object.list(Attribute::Grants)) {
        out.add(Phase::Grant, grant);
    }
    out.comment(object, &target);
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
