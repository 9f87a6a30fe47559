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
                write_change(f, *attribute, expected.as_ref(), actual.as_ref())
            }
        }
    }
}

fn write_change(
    f: &mut fmt::Formatter<'_>,
    attribute: Attribute,
    expected: Option<&Value>,
    actual: Option<&Value>,
) -> fmt::Result {
    let is_short = |text: &String| text.chars().count() <= SHOWN && !text.contains('\n');
    let one = |value: Option<&Value>| match value {
        None => Some("the default".to_owned()),
        Some(value) => Some(value.to_string()).filter(is_short),
    };
    match (one(expected), one(actual), expected, actual) {
        (Some(expected), Some(actual), ..) => {
            write!(f, ": {attribute} is {actual}, expected {expected}")
        }
        (.., Some(Value::List(expected)), Some(Value::List(actual))) => {
            write_lists(f, attribute, expected, actual)
        }
        _ => write!(f, ": {attribute} differs"),
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
        let same = match (attribute, left, right) {
            (Attribute::ColumnOrder, ..) => {
                same_order(expected.list(attribute), actual.list(attribute))
            }
            (Attribute::Grants, Some(Value::List(left)), Some(Value::List(right))) => {
                let owners = (expected_model.owner(key), actual_model.owner(key));
                left == right || ddl::are_shown_alike((left, owners.0), (right, owners.1))
            }
            _ => {
                let is_text = is_written(attribute) && !is_parsed(attribute, expected);
                same_value((left, expected_own), (right, actual_own), is_text)
            }
        };
        if !same {
            let change =
                Change::Changed { attribute, expected: left.cloned(), actual: right.cloned() };
            found.push(Difference { object: key.clone(), change });
        }
    }
}

/// Returns `true` if two values are the same apart from the names of their schemas and roles.
fn same_value(
    (left, left_own): (Option<&Value>, Own<'_>),
    (right, right_own): (Option<&Value>, Own<'_>),
    is_text: bool,
) -> bool {
    match (left, right) {
        (Some(Value::Text(left)), Some(Value::Text(right))) => {
            tokens::alike(left, left_own, right, right_own, is_text)
        }
        (Some(Value::List(left)), Some(Value::List(right))) => {
            let mut pairs = left.iter().zip(right);
            left.len() == right.len()
                && pairs.all(|(left, right)| tokens::alike(left, left_own, right, right_own, false))
        }
        (left, right) => left == right,
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
    let causes = Causes::of(differences);
    let follows = |Difference { object: key, change }: &Difference| match change.attribute() {
        attribute if ObjectKind::WITH_PARTS.contains(&key.kind) => {
            causes.explain_holder(key, attribute)
        }
        attribute if causes.explain_part(key, attribute) => true,
        Some(_) => false,
        None => {
            let object = expected.get(key).or_else(|| actual.get(key));
            object.is_some_and(|object| causes.explain_whole(object))
        }
    };
    differences.iter().filter(|difference| !follows(difference)).cloned().collect()
}

/// Differences from which others can follow.
struct Causes<'a> {
    /// Objects that only one of the schemas has: their kind, the object that they are part of, and their name.
    gone: BTreeSet<(ObjectKind, Option<&'a str>, &'a str)>,
    /// The attributes in which objects with parts differ.
    changed: BTreeSet<(&'a str, Attribute)>,
}

impl<'a> Causes<'a> {
    fn of(differences: &'a [Difference]) -> Self {
        let mut causes = Self { gone: BTreeSet::new(), changed: BTreeSet::new() };
        for Difference { object, change } in differences {
            match change.attribute() {
                None => {
                    causes.gone.insert((object.kind, object.of.as_deref(), &*object.name));
                }
                Some(attribute) if ObjectKind::WITH_PARTS.contains(&object.kind) => {
                    causes.changed.insert((&*object.name, attribute));
                }
                Some(_) => {}
            }
        }
        causes
    }

    fn holder_is_gone(&self, name: &str) -> bool {
        ObjectKind::WITH_PARTS.iter().any(|kind| self.gone.contains(&(*kind, None, name)))
    }

    /// Returns `true` if an attribute of an object with parts differs because another one does.
    fn explain_holder(&self, key: &ObjectKey, attribute: Option<Attribute>) -> bool {
        let cause = match attribute {
            Some(Attribute::ColumnOrder) => Attribute::Inherits,
            Some(Attribute::PartitionBound) => Attribute::PartitionOf,
            Some(Attribute::AccessMethod) => Attribute::PartitionKey,
            _ => return false,
        };
        self.changed.contains(&(&*key.name, cause))
    }

    /// Returns `true` if a part differs because the object that it is part of does.
    fn explain_part(&self, key: &ObjectKey, attribute: Option<Attribute>) -> bool {
        let Some(of) = key.of.as_deref() else { return false };
        let changed = |attribute| self.changed.contains(&(of, attribute));
        let follows = match (key.kind, attribute) {
            (ObjectKind::Column, None) => changed(Attribute::Definition),
            (
                ObjectKind::Column,
                Some(Attribute::Inherited | Attribute::Type | Attribute::Collation),
            ) => changed(Attribute::Inherits) || changed(Attribute::OfType),
            _ => false,
        };
        follows || self.holder_is_gone(of)
    }

    /// Returns `true` if an object is missing, or superfluous, because one that it belongs to is.
    fn explain_whole(&self, object: &Object) -> bool {
        if object.text(Attribute::Table).is_some_and(|table| self.holder_is_gone(table)) {
            return true;
        }
        let parent_is_gone = object.text(Attribute::AttachedTo).is_some_and(|parent| {
            let mut gone = self.gone.iter();
            gone.any(|(kind, _, name)| {
                *name == parent && matches!(kind, ObjectKind::Index | ObjectKind::Constraint)
            })
        });
        let column = object.text(Attribute::OwnedBy).or(object.text(Attribute::IdentityOf));
        let column_is_gone =
            column.and_then(|column| column.rsplit_once('.')).is_some_and(|(table, column)| {
                let column = (ObjectKind::Column, Some(table), column);
                self.holder_is_gone(table) || self.gone.contains(&column)
            });
        parent_is_gone || column_is_gone
    }
}
