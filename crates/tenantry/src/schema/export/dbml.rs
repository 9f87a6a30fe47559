//! Exports a model as DBML, the database markup language of dbdiagram.io.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel},
    keys::{ForeignKey, Key, foreign_keys, keys},
};

/// The indexes of tables.
type Indexes<'a> = BTreeMap<&'a str, Vec<(&'a ObjectKey, &'a Object)>>;

impl SchemaModel {
    /// Returns the tables, enums, foreign keys and indexes as DBML.
    #[must_use]
    pub fn dbml(&self) -> String {
        let mut text = String::new();
        for (key, object) in self.of_kind(ObjectKind::Enum) {
            let _ = writeln!(text, "Enum {} {{", quoted(&key.name));
            for label in object.list(Attribute::Labels) {
                let _ = writeln!(text, "  {}", quoted(label));
            }
            text.push_str("}\n\n");
        }
        let tables = self
            .objects
            .keys()
            .filter(|key| matches!(key.kind, ObjectKind::Table | ObjectKind::ForeignTable));
        let mut indexes = Indexes::new();
        for (key, index) in self.of_kind(ObjectKind::Index) {
            let table = index.text(Attribute::Table).unwrap_or_default();
            indexes.entry(table).or_default().push((key, index));
        }
        for table in tables {
            self.write_table(table, &indexes, &mut text);
        }
        for key in foreign_keys(self) {
            let _ = writeln!(text, "{}", self.reference(&key));
        }
        text
    }

    /// Returns a foreign key as a `Ref`.
    fn reference(&self, key: &ForeignKey) -> String {
        let end = |table: &str, columns: &[String]| {
            let columns: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
            match columns.len() {
                1 => format!("{}.{}", quoted(table), columns[0]),
                _ => format!("{}.({})", quoted(table), columns.join(", ")),
            }
        };
        let is_unique = keys(self, &key.table)
            .iter()
            .any(|k| k.columns.iter().all(|name| key.columns.contains(name)));
        let kind = if is_unique { "-" } else { ">" };
        let actions = [("delete", key.on_delete), ("update", key.on_update)];
        let actions =
            actions.into_iter().filter_map(|(when, action)| Some(format!("{when}: {}", action?)));
        let actions = actions.collect::<Vec<_>>().join(", ");
        let actions = if actions.is_empty() { actions } else { format!(" [{actions}]") };
        let (from, to) = (end(&key.table, &key.columns), end(&key.to, &key.to_columns));
        format!("Ref {}: {from} {kind} {to}{actions}", quoted(&key.name))
    }

    fn write_table(&self, key: &ObjectKey, indexes: &Indexes<'_>, text: &mut String) {
        let table = &*key.name;
        let keys = keys(self, table);
        let _ = writeln!(text, "Table {} {{", quoted(table));
        for (key, column) in self.columns(table) {
            let settings = settings(key, column, &keys);
            let data_type = column.text(Attribute::Type).unwrap_or("unknown");
            let _ = writeln!(text, "  {} {}{settings}", quoted(&key.name), type_name(data_type));
        }
        self.write_indexes(table, indexes.get(table).map_or(&[], Vec::as_slice), text);
        if let Some(comment) = self.get(key).and_then(|object| object.text(Attribute::Comment)) {
            let _ = writeln!(text, "  {}", note(comment).replacen("note", "Note", 1));
        }
        text.push_str("}\n\n");
    }

    /// Writes keys of several columns, and indexes.
    fn write_indexes(&self, table: &str, indexes: &[(&ObjectKey, &Object)], text: &mut String) {
        let columns = self.columns(table);
        let mut lines = Vec::new();
        for key in keys(self, table).into_iter().filter(|key| key.columns.len() > 1) {
            let columns: Vec<_> = key.columns.iter().map(|column| quoted(column)).collect();
            let setting = if key.is_primary { "pk" } else { "unique" };
            lines.push(format!("({}) [{setting}]", columns.join(", ")));
        }
        for (key, index) in indexes {
            let definition = index.text(Attribute::Definition).unwrap_or_default();
            let (method, rest) = definition.split_once(" (").unwrap_or((definition, ""));
            let inner = in_parentheses(rest);
            let parts = parts(inner).into_iter().map(|part| {
                let is_column = columns.iter().any(|(column, _)| column.name == part);
                if is_column { quoted(part) } else { format!("`{}`", part.replace('`', "'")) }
            });
            let parts = parts.collect::<Vec<_>>().join(", ");
            let unique = if index.has(Attribute::Unique) { "unique, " } else { "" };
            let method = match method.trim_start_matches("USING ") {
                method @ ("btree" | "hash") => format!(", type: {method}"),
                _ => String::new(),
            };
            let name = quoted(&key.name).replace('"', "'");
            lines.push(format!("({parts}) [{unique}name: {name}{method}]"));
        }
        if !lines.is_empty() {
            let _ = writeln!(text, "  indexes {{\n    {}\n  }}", lines.join("\n    "));
        }
    }
}

/// Returns the settings of a column, with a leading blank.
fn settings(key: &ObjectKey, column: &Object, keys: &[Key]) -> String {
    let is_alone = |primary: bool| {
        keys.iter().any(|k| k.is_primary == primary && k.columns == [key.name.clone()])
    };
    let flags = [
        (is_alone(true), "pk"),
        (column.get(Attribute::Identity).is_some(), "increment"),
        (column.has(Attribute::NotNull), "not null"),
        (is_alone(false), "unique"),
    ];
    let flags = flags.into_iter().filter(|(is_so, _)| *is_so);
    let mut settings: Vec<String> = flags.map(|(_, setting)| setting.to_owned()).collect();
    if let Some(default) = column.text(Attribute::Default) {
        settings.push(format!("default: `{}`", default.replace('`', "'")));
    }
    settings.extend(column.text(Attribute::Comment).map(note));
    let settings = settings.join(", ");
    if settings.is_empty() { settings } else { format!(" [{settings}]") }
}

/// Returns the text before the parenthesis that closes the first one.
fn in_parentheses(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|character| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth < 0
    });
    &text[..end.unwrap_or(text.len())]
}

/// Splits a list at the commas that are not within parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|character| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        character == ',' && depth == 0
    });
    parts.map(str::trim).collect()
}

/// Returns a name in double quotes, which it cannot contain.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "'"))
}

fn type_name(data_type: &str) -> String {
    let is_plain = data_type.chars().all(|c| c.is_ascii_alphanumeric() || "_()[],".contains(c));
    if is_plain { data_type.to_owned() } else { quoted(data_type) }
}

fn note(comment: &str) -> String {
    let comment = comment.replace('\\', "\\\\").replace('\'', "\\'");
    match comment.contains('\n') {
        true => format!("note: '''{comment}'''"),
        false => format!("note: '{comment}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::example;

    #[test]
    fn tables_enums_and_references_are_there() {
        let expected = r#"Enum "status" {
  "open"
  "paid"
}

Table "Odd orders" {
  "id" uuid [pk, not null, default: `gen_random_uuid()`]
  "customer" bigint
  "state" status [not null, default: `'open'::status`]
  "tags" text[]
  indexes {
    ("state", "customer") [name: 'by_state', type: btree]
  }
}

Table "customers" {
  "id" bigint [pk, increment, not null]
  "email" "character varying(80)" [not null, unique, note: 'Where to "write".']
  Note: 'Who buys.'
}

Ref "fk": "Odd orders"."customer" > "customers"."id" [delete: cascade]
"#;
        assert_eq!(example().dbml(), expected);
    }
}
