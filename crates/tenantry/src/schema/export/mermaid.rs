//! Exports a model as a Mermaid entity relationship diagram.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    super::{Attribute, ObjectKind, SchemaModel},
    keys::{ForeignKey, foreign_keys, keys},
};

impl SchemaModel {
    /// Returns the tables with their columns and foreign keys as an `erDiagram` for Mermaid.
    ///
    /// Characters that Mermaid does not allow in column names or types are replaced by `_`.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("erDiagram\n");
        let foreign = foreign_keys(self);
        let referring = foreign.iter().flat_map(|key| key.columns.iter().map(|c| (&*key.table, c)));
        let referring: BTreeSet<(&str, &String)> = referring.collect();
        let tables = self
            .objects
            .keys()
            .filter(|key| matches!(key.kind, ObjectKind::Table | ObjectKind::ForeignTable));
        for table in tables {
            let _ = writeln!(text, "    {} {{", entity(&table.name));
            self.write_columns(&table.name, &referring, &mut text);
            text.push_str("    }\n");
        }
        for key in &foreign {
            let _ = writeln!(text, "    {}", self.relationship(key));
        }
        text
    }

    fn write_columns(&self, table: &str, referring: &BTreeSet<(&str, &String)>, text: &mut String) {
        let keys = keys(self, table);
        for (key, column) in self.columns(table) {
            let has = |primary: bool| {
                keys.iter().any(|k| {
                    k.is_primary == primary
                        && k.columns.contains(&key.name)
                        && (primary || k.columns.len() == 1)
                })
            };
            let refers = referring.contains(&(table, &key.name));
            let marks = [(has(true), "PK"), (refers, "FK"), (has(false), "UK")];
            let marks = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark);
            let marks = marks.collect::<Vec<_>>().join(", ");
            let data_type = word(column.text(Attribute::Type).unwrap_or("unknown"));
            let line = format!("{data_type} {} {marks}", word(&key.name));
            let _ = write!(text, "        {}", line.trim_end());
            if let Some(comment) = column.text(Attribute::Comment) {
                let _ = write!(text, " \"{}\"", plain(comment));
            }
            text.push('\n');
        }
    }

    fn relationship(&self, key: &ForeignKey) -> String {
        let keys = keys(self, &key.table);
        let is_unique =
            keys.iter().any(|k| k.columns.iter().all(|name| key.columns.contains(name)));
        let columns = self.columns(&key.table);
        let is_optional = columns
            .iter()
            .any(|(k, column)| key.columns.contains(&k.name) && !column.has(Attribute::NotNull));
        let to = if is_optional { "|o" } else { "||" };
        let from = if is_unique { "o|" } else { "o{" };
        let (one, many) = (entity(&key.to), entity(&key.table));
        format!("{one} {to}--{from} {many} : \"{}\"", plain(&key.name))
    }
}

/// Returns the name of an entity, in quotes where it needs them.
fn entity(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_plain { name.to_owned() } else { format!("\"{}\"", plain(name)) }
}

/// Returns a text that can be quoted, since Mermaid has no escapes.
fn plain(text: &str) -> String {
    let lines = text.split_whitespace().collect::<Vec<_>>().join(" ");
    lines.replace('"', "'").replace(['%', '\\'], "_")
}

/// Returns a word that Mermaid accepts as a type or a column.
fn word(name: &str) -> String {
    let taken = |c: char| c.is_ascii_alphanumeric() || "-_()[]".contains(c);
    let word: String = name.chars().map(|c| if taken(c) { c } else { '_' }).collect();
    match word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        true => word,
        false => format!("_{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::example;

    #[test]
    fn tables_are_entities() {
        let expected = "erDiagram
    \"Odd orders\" {
        uuid id PK
        bigint customer FK
        status state
        text[] tags
    }
    customers {
        bigint id PK
        character_varying(80) email UK \"Where to 'write'.\"
    }
    customers |o--o{ \"Odd orders\" : \"fk\"
";
        assert_eq!(example().mermaid(), expected);
    }
}
