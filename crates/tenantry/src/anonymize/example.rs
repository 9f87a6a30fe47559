//! Models for tests.

use std::collections::BTreeMap;

use crate::schema::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel, Value};

/// A model in the making.
pub(super) struct Example {
    model: SchemaModel,
}

impl Example {
    pub(super) fn new() -> Self {
        let model = SchemaModel {
            schema: "acme".to_owned(),
            role: None,
            server_version: 17,
            objects: BTreeMap::new(),
            beyond: Vec::new(),
        };
        Self { model }
    }

    pub(super) fn model(self) -> SchemaModel {
        self.model
    }

    /// Adds a table; a column is its name, its type, and optional words: `not null`, `identity`, `serial`,
    /// `generated`.
    pub(super) fn table(self, name: &str, columns: &[&str]) -> Self {
        self.columns(ObjectKind::Table, name, columns)
    }

    /// Adds columns to an existing table.
    pub(super) fn columns_of(self, name: &str, columns: &[&str]) -> Self {
        let key = ObjectKey::new(ObjectKind::Table, name);
        let object = self.model.objects.get(&key).cloned();
        let mut example = self.table(name, columns);
        for (attribute, value) in object.iter().flat_map(Object::attributes) {
            example.model.objects.get_mut(&key).unwrap().set(*attribute, value.clone());
        }
        example
    }

    pub(super) fn composite(self, name: &str, fields: &[&str]) -> Self {
        self.columns(ObjectKind::Composite, name, fields)
    }

    /// Adds a partition with the columns of its parent.
    pub(super) fn partition(self, name: &str, of: &str, columns: &[&str]) -> Self {
        let mut example = self.table(name, columns);
        let table = example.model.objects.get_mut(&ObjectKey::new(ObjectKind::Table, name));
        table.unwrap().set(Attribute::PartitionOf, Value::Text(of.to_owned()));
        example
    }

    /// Adds a constraint, which is named by its number.
    pub(super) fn constraint(mut self, table: &str, definition: &str) -> Self {
        let name = format!("c{}", self.model.objects.len());
        let key = ObjectKey::part(ObjectKind::Constraint, table, name);
        self.model.objects.insert(key, object(&[(Attribute::Definition, definition)]));
        self
    }

    pub(super) fn unique_index(mut self, table: &str, definition: &str) -> Self {
        let name = format!("i{}", self.model.objects.len());
        let mut index = object(&[(Attribute::Table, table), (Attribute::Definition, definition)]);
        index.set(Attribute::Unique, Value::Flag(true));
        self.model.objects.insert(ObjectKey::new(ObjectKind::Index, name), index);
        self
    }

    pub(super) fn object(
        mut self,
        kind: ObjectKind,
        name: &str,
        attributes: &[(Attribute, &str)],
    ) -> Self {
        self.model.objects.insert(ObjectKey::new(kind, name), object(attributes));
        self
    }

    pub(super) fn comment(mut self, table: &str, column: &str, comment: &str) -> Self {
        let key = ObjectKey::part(ObjectKind::Column, table, column);
        let column = self.model.objects.get_mut(&key).unwrap();
        column.set(Attribute::Comment, Value::Text(comment.to_owned()));
        self
    }

    fn columns(mut self, kind: ObjectKind, of: &str, columns: &[&str]) -> Self {
        let mut order = Vec::new();
        for column in columns {
            let (name, rest) = column.split_once(' ').unwrap();
            order.push(name.to_owned());
            let mut column = Object::default();
            let mut data_type = rest.to_owned();
            for (words, attribute, value) in [
                (" not null", Attribute::NotNull, Value::Flag(true)),
                (" identity", Attribute::Identity, Value::Text("always".to_owned())),
                (" serial", Attribute::Default, Value::Text("nextval('s'::regclass)".to_owned())),
                (" generated", Attribute::GeneratedStored, Value::Text("lower(x)".to_owned())),
            ] {
                if let Some(shorter) = data_type.clone().strip_suffix(words) {
                    data_type = shorter.to_owned();
                    column.set(attribute, value);
                }
            }
            column.set(Attribute::Type, Value::Text(data_type));
            self.model.objects.insert(ObjectKey::part(ObjectKind::Column, of, name), column);
        }
        let mut object = Object::default();
        object.set(Attribute::ColumnOrder, Value::List(order));
        self.model.objects.insert(ObjectKey::new(kind, of), object);
        self
    }
}

fn object(attributes: &[(Attribute, &str)]) -> Object {
    let mut object = Object::default();
    for (attribute, text) in attributes {
        let value = match attribute {
            Attribute::Labels => Value::List(text.split(' ').map(str::to_owned).collect()),
            _ => Value::Text((*text).to_owned()),
        };
        object.set(*attribute, value);
    }
    object
}
