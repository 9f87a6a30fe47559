//! Differences between two schemas.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::{
    Attribute, Object, ObjectKey, ObjectKind, SchemaModel, Value, ddl,
    tokens::{self, Own},
};

/// A difference between two schemas: a missing object, an unexpected object, or a differing attribute.
///
/// `Display` writes a sentence: `column orders.total: type is numeric, expected numeric(10,2)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Difference {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectKey,
    /// How it differs.
    #[serde(flatten)]
    pub change: Change,
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// It is expected but does not exist.
    Missing,
    /// It exists but is not expected.
    Unexpected,
    /// An attribute has another value. An absent value is the default.
    Changed {
        /// The attribute.
        attribute: Attribute,
        /// Its value in the reference.
        expected: Option<Value>,
        /// Its value in the compared schema.
        actual: Option<Value>,
    },
}

impl Change {
    /// Returns the attribute that is different, if not the whole object is.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::Missing | Self::Unexpected => None,
            Self::Changed { attribute, .. } => Some(*attribute),
        }
    }
}

/// The longest value that is shown in a sentence, in characters.
const SHOWN: usize = 120;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        match &self.change {
            Change::Missing => write!(f, " is missing"),
            Change::Unexpected => write!(f, " is not expected"),
            Change::Changed { attribute, expected, actual } => {
                let is_short =
                    |text: &String| text.chars().count() <= SHOWN && !text.contains('\n');
                let one = |value: &Option<Value>| match value {
                    None => Some("the default".to_owned()),
                    Some(value) => Some(value.to_string()).filter(is_short),
                };
                match (one(expected), one(actual), expected, actual) {
                    (Some(expected), Some(actual), ..) => {
                        write!(f, ": {attribute} is {actual}, expected {expected}")
                    }
                    (.., Some(Value::List(expected)), Some(Value::List(actual))) => {
                        write_lists(f, *attribute, expected, actual)
                    }
                    _ => write!(f, ": {attribute} differs"),
                }
            }
        }
    }
}

/// Writes the missing and the superfluous elements of a list.
fn write_lists(
    f: &mut fmt::Formatter<'_>,
    attribute: Attribute,
    expected: &[String],
    actual: &[String],
) -> fmt::Result {
    let without = |list: &[String], other: &[String]| -> Vec<String> {
        list.iter().filter(|one| !other.contains(one)).cloned().collect()
    };
    let parts =
        [("lacks", without(expected, actual)), ("has too many:", without(actual, expected))];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(words, list)| format!("{words} {}", list.join(", ")))
        .collect();
    let said = parts.join("; ");
    let is_short = !said.is_empty() && said.chars().count() <= 2 * SHOWN && !said.contains('\n');
    match is_short {
        true => write!(f, ": {attribute} {said}"),
        false => write!(f, ": {attribute} differs"),
    }
}

/// Returns all differences, in the order of the objects. The result is empty exactly if `pg_dump` writes the same
/// output for both schemas.
#[must_use]
pub fn compare(expected: &SchemaModel, actual: &SchemaModel) -> Vec<Difference> {
    let mut found = Vec::new();
    let keys: BTreeSet<_> = expected.objects.keys().chain(actual.objects.keys()).collect();
    for key in keys {
        match (expected.objects.get(key), actual.objects.get(key)) {
            (Some(_), None) => {
                found.push(Difference { object: key.clone(), change: Change::Missing });
            }
            (None, Some(_)) => {
                found.push(Difference { object: key.clone(), change: Change::Unexpected });
            }
            (Some(left), Some(right)) => {
                compare_objects(key, (left, expected), (right, actual), &mut found);
            }
            (None, None) => {}
        }
    }
    found
}

impl SchemaModel {
    pub(crate) fn own(&self) -> Own<'_> {
        Own { schema: &self.schema, role: self.role.as_deref() }
    }

    /// Returns the owner of an object, or of the relation that it is part of.
    fn owner(&self, key: &ObjectKey) -> Option<&str> {
        let relations = [
            ObjectKind::Table,
            ObjectKind::View,
            ObjectKind::MaterializedView,
            ObjectKind::ForeignTable,
        ];
        let whole =
            |kind| key.of.clone().map(|name| ObjectKey { kind, of: None, name, arguments: None });
        let relation = || relations.into_iter().find_map(|kind| self.get(&whole(kind)?));
        let object = self.get(key).filter(|object| object.get(Attribute::Owner).is_some());
        object.or_else(relation)?.text(Attribute::Owner)
    }
}

fn compare_objects(
    key: &ObjectKey,
    (expected, expected_model): (&Object, &SchemaModel),
    (actual, actual_model): (&Object, &SchemaModel),
    found: &mut Vec<Difference>,
) {
    let (expected_own, actual_own) = (expected_model.own(), actual_model.own());
    let attributes: BTreeSet<_> =
        expected.attributes().chain(actual.attributes()).map(|(attribute, _)| *attribute).collect();
    for attribute in attributes {
        let (left, right) = (expected.get(attribute), actual.get(attribute));
        let same = match (left, right) {
            _ if attribute == Attribute::ColumnOrder => {
                same_order(expected.list(attribute), actual.list(attribute))
            }
            (Some(Value::List(left)), Some(Value::List(right)))
                if attribute == Attribute::Grants =>
            {
                left == right
                    || ddl::are_shown_alike(
                        (left, expected_model.owner(key)),
                        (right, actual_model.owner(key)),
                    )
            }
            (Some(Value::Text(left)), Some(Value::Text(right))) => {
                let written = is_written(attribute) && !is_parsed(attribute, expected);
                tokens::alike(left, expected_own, right, actual_own, written)
            }
            (Some(Value::List(left)), Some(Value::List(right))) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| {
                        tokens::alike(left, expected_own, right, actual_own, false)
                    })
            }
            (left, right) => left == right,
        };
        if !same {
            let change =
                Change::Changed { attribute, expected: left.cloned(), actual: right.cloned() };
            found.push(Difference { object: key.clone(), change });
        }
    }
}

/// Returns `true` if an attribute is user-written text, in which any word can be a name.
pub(crate) fn is_written(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::Body
            | Attribute::Comment
            | Attribute::IndexComment
            | Attribute::NotNullComment
            | Attribute::InitialState
            | Attribute::MovingInitialState
            | Attribute::Settings
            | Attribute::Label
    )
}

/// Returns `true` if an attribute is the body of a routine as the server prints it.
fn is_parsed(attribute: Attribute, routine: &Object) -> bool {
    attribute == Attribute::Body && routine.has(Attribute::SqlBody)
}

/// Returns `true` if the common columns are in the same order: a missing column is a separate finding.
fn same_order(left: &[String], right: &[String]) -> bool {
    let common = |list: &[String], other: &[String]| -> Vec<String> {
        let other: BTreeSet<_> = other.iter().collect();
        list.iter().filter(|name| other.contains(name)).cloned().collect()
    };
    common(left, right) == common(right, left)
}

/// Removes differences that follow from another: the parts of a missing table, the index of a partition if the
/// partitioned table lacks it, the columns of a view whose query differs.
#[must_use]
pub fn without_consequences(
    differences: &[Difference],
    expected: &SchemaModel,
    actual: &SchemaModel,
) -> Vec<Difference> {
    let whole = |change: &Change| !matches!(change, Change::Changed { .. });
    let gone: BTreeSet<(ObjectKind, Option<&str>, &str)> = differences
        .iter()
        .filter(|difference| whole(&difference.change))
        .map(|Difference { object, .. }| (object.kind, object.of.as_deref(), &*object.name))
        .collect();
    let holders = [
        ObjectKind::Table,
        ObjectKind::ForeignTable,
        ObjectKind::View,
        ObjectKind::MaterializedView,
        ObjectKind::Composite,
        ObjectKind::Domain,
    ];
    let holder_is_gone =
        |name: &str| holders.iter().any(|kind| gone.contains(&(*kind, None, name)));
    let changed: BTreeSet<(&str, Attribute)> = differences
        .iter()
        .filter(|difference| holders.contains(&difference.object.kind))
        .filter_map(|difference| Some((&*difference.object.name, difference.change.attribute()?)))
        .collect();
    let follows = |difference: &Difference| {
        let key = &difference.object;
        let attribute = difference.change.attribute();
        if holders.contains(&key.kind) {
            let cause = match attribute {
                Some(Attribute::ColumnOrder) => Attribute::Inherits,
                Some(Attribute::PartitionBound) => Attribute::PartitionOf,
                Some(Attribute::AccessMethod) => Attribute::PartitionKey,
                _ => return false,
            };
            return changed.contains(&(&*key.name, cause));
        }
        if let Some(of) = key.of.as_deref() {
            let follows = match (key.kind, attribute) {
                (ObjectKind::Column, None) => changed.contains(&(of, Attribute::Definition)),
                (
                    ObjectKind::Column,
                    Some(Attribute::Inherited | Attribute::Type | Attribute::Collation),
                ) => [Attribute::Inherits, Attribute::OfType]
                    .into_iter()
                    .any(|attribute| changed.contains(&(of, attribute))),
                _ => false,
            };
            if follows || holder_is_gone(of) {
                return true;
            }
        }
        if attribute.is_some() {
            return false;
        }
        let Some(object) = expected.get(key).or_else(|| actual.get(key)) else { return false };
        if object.text(Attribute::Table).is_some_and(holder_is_gone) {
            return true;
        }
        let attached = object.text(Attribute::AttachedTo);
        if attached.is_some_and(|parent| {
            gone.iter().any(|(kind, _, name)| {
                *name == parent && matches!(kind, ObjectKind::Index | ObjectKind::Constraint)
            })
        }) {
            return true;
        }
        let column = object.text(Attribute::OwnedBy).or(object.text(Attribute::IdentityOf));
        column.and_then(|column| column.rsplit_once('.')).is_some_and(|(table, column)| {
            holder_is_gone(table) || gone.contains(&(ObjectKind::Column, Some(table), column))
        })
    };
    differences.iter().filter(|difference| !follows(difference)).cloned().collect()
}
