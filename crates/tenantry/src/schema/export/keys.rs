//! Keys of tables, parsed from the definitions of constraints.

use super::super::{Attribute, ObjectKind, SchemaModel};

/// A primary key, or columns that are unique together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Key {
    pub(in super::super) is_primary: bool,
    pub(in super::super) columns: Vec<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// The other table, without quotes; with its schema if that is another one.
    pub(crate) to: String,
    pub(crate) to_columns: Vec<String>,
    /// The action when the referenced row is deleted or updated: `cascade`, `set null` and so on.
    pub(crate) on_delete: Option<&'static str>,
    pub(crate) on_update: Option<&'static str>,
}

/// Returns the keys of a table.
pub(in super::super) fn keys(model: &SchemaModel, table: &str) -> Vec<Key> {
    let constraints = model.parts_of(ObjectKind::Constraint, table);
    let keys = constraints.filter_map(|(_, constraint)| {
        let definition = constraint.text(Attribute::Definition)?;
        let is_primary = definition.starts_with("PRIMARY KEY (");
        let is_unique = definition.starts_with("UNIQUE (")
            || definition.starts_with("UNIQUE NULLS NOT DISTINCT (");
        (is_primary || is_unique).then(|| Key { is_primary, columns: names(definition).0 })
    });
    keys.collect()
}

/// Returns the columns of a table's primary key; none if it has no primary key.
pub(crate) fn primary_key(model: &SchemaModel, table: &str) -> Vec<String> {
    let key = keys(model, table).into_iter().find(|key| key.is_primary);
    key.map_or_else(Vec::new, |key| key.columns)
}

/// Returns the foreign keys of all tables.
pub(crate) fn foreign_keys(model: &SchemaModel) -> Vec<ForeignKey> {
    let keys = constraints(model).filter_map(|(table, name, definition)| {
        if !definition.starts_with("FOREIGN KEY (") {
            return None;
        }
        let (columns, rest) = names(definition);
        let rest = rest.trim_start().strip_prefix("REFERENCES ")?;
        let (to_columns, actions) = names(rest);
        let to = rest[..opening(rest)].replace("{schema}.", "");
        let action = |words: &str| {
            let (_, action) = actions.split_once(words)?;
            ["cascade", "set null", "set default", "restrict"]
                .into_iter()
                .find(|known| action.to_lowercase().trim_start().starts_with(known))
        };
        Some(ForeignKey {
            table: table.to_owned(),
            name: name.to_owned(),
            columns,
            to: unquoted(to.trim()),
            to_columns,
            on_delete: action("ON DELETE"),
            on_update: action("ON UPDATE"),
        })
    });
    keys.collect()
}

fn constraints(model: &SchemaModel) -> impl Iterator<Item = (&str, &str, &str)> {
    model.of_kind(ObjectKind::Constraint).filter_map(|(key, object)| {
        Some((key.of.as_deref()?, &*key.name, object.text(Attribute::Definition)?))
    })
}

/// Returns the names in the first parentheses, and the rest.
fn names(text: &str) -> (Vec<String>, &str) {
    let text = text.get(opening(text) + 1..).unwrap_or_default();
    let mut in_quotes = false;
    let end = text.find(|character| {
        in_quotes ^= character == '"';
        character == ')' && !in_quotes
    });
    let (list, rest) = text.split_at(end.unwrap_or(text.len()));
    let mut in_quotes = false;
    let names = list.split(|character| {
        in_quotes ^= character == '"';
        character == ',' && !in_quotes
    });
    // A period of a temporal key (18) is a column, too.
    let column = |name: &str| {
        let name = name.trim().trim_end_matches(" WITHOUT OVERLAPS");
        unquoted(name.strip_prefix("PERIOD ").unwrap_or(name))
    };
    (names.map(column).collect(), rest.get(1..).unwrap_or_default())
}

/// Returns the position of the first parenthesis that is not part of a name.
fn opening(text: &str) -> usize {
    let mut in_quotes = false;
    let opening = text.find(|character| {
        in_quotes ^= character == '"';
        character == '(' && !in_quotes
    });
    opening.unwrap_or(text.len())
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) if !quoted.contains("\".\"") => quoted.replace("\"\"", "\""),
        _ => name.to_owned(),
    }
}

/// Returns a model of customers and their orders.
#[cfg(test)]
pub(super) fn example() -> SchemaModel {
    use super::super::{Object, ObjectKey, Value};

    let mut objects = std::collections::BTreeMap::new();
    let mut add = |key: ObjectKey, attributes: &[(Attribute, &str)]| {
        let mut object = Object::default();
        for (attribute, text) in attributes {
            let value = match attribute {
                Attribute::NotNull => Value::Flag(true),
                Attribute::ColumnOrder | Attribute::Labels => {
                    Value::List(text.split(' ').map(str::to_owned).collect())
                }
                _ => Value::Text((*text).to_owned()),
            };
            object.set(*attribute, value);
        }
        objects.insert(key, object);
    };
    let part = |kind, of: &str, name: &str| ObjectKey::part(kind, of, name);
    use Attribute as A;
    use ObjectKind as K;
    add(ObjectKey::new(K::Enum, "status"), &[(A::Labels, "open paid")]);
    add(
        ObjectKey::new(K::Table, "customers"),
        &[(A::ColumnOrder, "id email"), (A::Comment, "Who buys.")],
    );
    add(
        part(K::Column, "customers", "id"),
        &[(A::Type, "bigint"), (A::NotNull, ""), (A::Identity, "always")],
    );
    add(
        part(K::Column, "customers", "email"),
        &[
            (A::Type, "character varying(80)"),
            (A::NotNull, ""),
            (A::Comment, "Where to \"write\"."),
        ],
    );
    add(part(K::Constraint, "customers", "customers_pkey"), &[(A::Definition, "PRIMARY KEY (id)")]);
    add(
        part(K::Constraint, "customers", "customers_email_key"),
        &[(A::Definition, "UNIQUE (email)")],
    );
    add(ObjectKey::new(K::Table, "Odd orders"), &[(A::ColumnOrder, "id customer state tags")]);
    add(
        part(K::Column, "Odd orders", "id"),
        &[(A::Type, "uuid"), (A::NotNull, ""), (A::Default, "gen_random_uuid()")],
    );
    add(part(K::Column, "Odd orders", "customer"), &[(A::Type, "bigint")]);
    add(
        part(K::Column, "Odd orders", "state"),
        &[(A::Type, "status"), (A::NotNull, ""), (A::Default, "'open'::status")],
    );
    add(part(K::Column, "Odd orders", "tags"), &[(A::Type, "text[]")]);
    add(part(K::Constraint, "Odd orders", "pk"), &[(A::Definition, "PRIMARY KEY (id)")]);
    add(
        part(K::Constraint, "Odd orders", "fk"),
        &[(A::Definition, "FOREIGN KEY (customer) REFERENCES customers(id) ON DELETE CASCADE")],
    );
    add(
        ObjectKey::new(K::Index, "by_state"),
        &[(A::Table, "Odd orders"), (A::Definition, "USING btree (state, customer)")],
    );
    SchemaModel {
        schema: "acme".to_owned(),
        role: None,
        server_version: 17,
        objects,
        beyond: Vec::new(),
    }
}
