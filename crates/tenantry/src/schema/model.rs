//! The full description of a schema.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
};

use serde::{Deserialize, Serialize, de};

use super::{Attribute, Beyond, ObjectKind};

/// The complete contents of a schema, as PostgreSQL describes them, without the schema's own name.
///
/// Names of objects in the schema itself are unqualified, and all others are qualified. Where the schema's own name
/// is required it is `{schema}`, and `{role}` is the tenant's own role. Two schemas for which PostgreSQL's `pg_dump`
/// writes the same output have equal objects.
///
/// It serializes to a JSON object whose changes are readable in a pull request: objects in order, each with its
/// attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct SchemaModel {
    /// The schema's name when it was read.
    pub schema: String,
    /// The tenant's own role, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The major version of the server.
    pub server_version: u32,
    /// The objects.
    #[serde(with = "entries")]
    #[cfg_attr(feature = "schemars", schemars(with = "Vec<entries::Shown<'static>>"))]
    pub objects: BTreeMap<ObjectKey, Object>,
    /// Facts that are not part of a dump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<Beyond>,
}

/// The key of an object in a schema.
///
/// `Display` writes the kind and the name: `column orders.total`, `function add(integer, integer)`,
/// `trigger audit on orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ObjectKey {
    /// The kind of object.
    pub kind: ObjectKind,
    /// The table, view, type or domain that it is part of; for an operator class, the access method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The name, as the catalog stores it; empty for the schema itself.
    pub name: String,
    /// The types of the arguments of a routine or operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}

impl ObjectKey {
    /// Creates the key of an object that is not part of another.
    #[must_use]
    pub fn new(kind: ObjectKind, name: impl Into<String>) -> Self {
        Self { kind, of: None, name: name.into(), arguments: None }
    }

    /// Creates the key of a part of another object, such as a column.
    #[must_use]
    pub fn part(kind: ObjectKind, of: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, of: Some(of.into()), name: name.into(), arguments: None }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, of, name, arguments } = self;
        match (kind, of, arguments) {
            (ObjectKind::Schema, ..) => write!(f, "the schema"),
            (ObjectKind::Column, Some(of), _) => write!(f, "{kind} {of}.{name}"),
            (ObjectKind::OperatorClass | ObjectKind::OperatorFamily, Some(of), _) => {
                write!(f, "{kind} {name} using {of}")
            }
            (_, Some(of), _) => write!(f, "{kind} {name} on {of}"),
            (_, None, Some(arguments)) => write!(f, "{kind} {name}({arguments})"),
            (_, None, None) => write!(f, "{kind} {name}"),
        }
    }
}

/// The attributes of an object. An attribute that has its default is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Object {
    attributes: BTreeMap<Attribute, Value>,
}

impl Object {
    /// Returns an attribute, or `None` if it has its default.
    #[must_use]
    pub fn get(&self, attribute: Attribute) -> Option<&Value> {
        self.attributes.get(&attribute)
    }

    /// Returns an attribute that is a text.
    #[must_use]
    pub fn text(&self, attribute: Attribute) -> Option<&str> {
        match self.get(attribute)? {
            Value::Text(text) => Some(text),
            Value::Flag(_) | Value::List(_) => None,
        }
    }

    /// Returns an attribute that is a list; an absent one is empty.
    #[must_use]
    pub fn list(&self, attribute: Attribute) -> &[String] {
        match self.get(attribute) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    /// Returns `true` if a flag is set.
    #[must_use]
    pub fn has(&self, attribute: Attribute) -> bool {
        self.get(attribute) == Some(&Value::Flag(true))
    }

    /// Sets an attribute.
    pub fn set(&mut self, attribute: Attribute, value: Value) {
        self.attributes.insert(attribute, value);
    }

    /// Removes an attribute.
    pub fn remove(&mut self, attribute: Attribute) -> Option<Value> {
        self.attributes.remove(&attribute)
    }

    /// Returns the attributes in order.
    pub fn attributes(&self) -> btree_map::Iter<'_, Attribute, Value> {
        self.attributes.iter()
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// The flag is set.
    Flag(bool),
    /// A text, as PostgreSQL prints it.
    Text(String),
    /// Texts, either in a meaningful order or sorted.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(", ")),
        }
    }
}

impl SchemaModel {
    /// Returns an object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Returns the objects of a kind, in order.
    pub fn of_kind(&self, kind: ObjectKind) -> impl Iterator<Item = (&ObjectKey, &Object)> {
        let from = ObjectKey::new(kind, "");
        self.objects.range(from..).take_while(move |(key, _)| key.kind == kind)
    }

    /// Returns the parts of a table, view, type or domain that have this kind, ordered by name.
    pub fn parts_of(
        &self,
        kind: ObjectKind,
        of: &str,
    ) -> impl Iterator<Item = (&ObjectKey, &Object)> {
        let from = ObjectKey::part(kind, of, "");
        let of = from.of.clone();
        self.objects.range(from..).take_while(move |(key, _)| key.kind == kind && key.of == of)
    }

    /// Returns the columns of a relation or a composite type, in order.
    #[must_use]
    pub fn columns(&self, of: &str) -> Vec<(&ObjectKey, &Object)> {
        let relations = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::Composite];
        let relation = relations.into_iter().find_map(|kind| self.get(&ObjectKey::new(kind, of)));
        let order = relation.map_or(&[][..], |object| object.list(Attribute::ColumnOrder));
        let place = |name: &str| order.iter().position(|other| other == name);
        let mut columns: Vec<_> = self.parts_of(ObjectKind::Column, of).collect();
        // Purely inherited columns come before those that a table adds.
        columns.sort_by_key(|(key, _)| place(&key.name));
        columns
    }
}

/// Objects as a list, because JSON cannot have objects as keys.
mod entries {
    use serde::{Deserializer, Serializer, ser::SerializeSeq};

    use super::{BTreeMap, Deserialize, Object, ObjectKey, Serialize, de};

    #[derive(Serialize)]
    #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
    #[cfg_attr(feature = "schemars", schemars(rename = "ModelObject"))]
    pub(super) struct Shown<'a> {
        #[serde(flatten)]
        key: &'a ObjectKey,
        attributes: &'a Object,
    }

    #[derive(Deserialize)]
    struct Read {
        #[serde(flatten)]
        key: ObjectKey,
        attributes: Object,
    }

    pub(super) fn serialize<S: Serializer>(
        objects: &BTreeMap<ObjectKey, Object>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(objects.len()))?;
        for (key, attributes) in objects {
            list.serialize_element(&Shown { key, attributes })?;
        }
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ObjectKey, Object>, D::Error> {
        let mut objects = BTreeMap::new();
        for Read { key, attributes } in Vec::<Read>::deserialize(deserializer)? {
            let named = key.to_string();
            if objects.insert(key, attributes).is_some() {
                return Err(de::Error::custom(format!("{named} is there twice")));
            }
        }
        Ok(objects)
    }
}
