//! Plans which objects to drop, create and alter, including their dependents.

mod columns;
mod dependents;
mod indexes;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Attribute, BeyondKind, Change, Difference, Object, ObjectKey, ObjectKind, SchemaModel,
        Value,
        ddl::{Mention, Order, ident, is_check, is_key},
    },
    Impossible,
    treatment::{Treatment, treatment},
};

/// The required changes, without the statements.
pub(super) struct Plan<'a> {
    pub(super) expected: &'a SchemaModel,
    pub(super) actual: &'a SchemaModel,
    pub(super) missing: BTreeSet<&'a ObjectKey>,
    pub(super) unexpected: BTreeSet<&'a ObjectKey>,
    /// Objects that both have, with the differing attributes.
    pub(super) changed: BTreeMap<&'a ObjectKey, BTreeSet<Attribute>>,
    /// Objects that are dropped, including those that are recreated.
    pub(super) dropped: BTreeSet<&'a ObjectKey>,
    /// Objects that are created.
    pub(super) created: BTreeSet<&'a ObjectKey>,
    /// Tables that are created anew, with their rows.
    pub(super) rebuilt: BTreeSet<&'a str>,
    /// Columns whose type is dropped and recreated, by table and name: in between, their values are texts.
    pub(super) retyped: BTreeSet<(&'a str, &'a str)>,
    /// Columns whose default has to be removed temporarily; domains have an empty name.
    pub(super) redefaulted: BTreeSet<(&'a str, &'a str)>,
    /// Partitions that are dropped, and the tables that take their rows.
    pub(super) moved: BTreeMap<&'a ObjectKey, &'a ObjectKey>,
    /// The orders of creation in both schemas.
    pub(super) old_order: Order<'a>,
    pub(super) new_order: Order<'a>,
    /// The names in the texts of each object of the old order.
    words: Vec<BTreeSet<(Mention, String)>>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        expected: &'a SchemaModel,
        actual: &'a SchemaModel,
        differences: Vec<Difference>,
    ) -> Self {
        let old_order = Order::new(actual);
        let words = old_order.keys.iter().map(|key| Order::words(actual, key)).collect();
        let mut plan = Self {
            expected,
            actual,
            missing: BTreeSet::new(),
            unexpected: BTreeSet::new(),
            changed: BTreeMap::new(),
            dropped: BTreeSet::new(),
            created: BTreeSet::new(),
            rebuilt: BTreeSet::new(),
            retyped: BTreeSet::new(),
            redefaulted: BTreeSet::new(),
            moved: BTreeMap::new(),
            old_order,
            new_order: Order::new(expected),
            words,
        };
        plan.sort_out(differences);
        plan.treat();
        plan.close();
        plan
    }

    /// Classifies the differences.
    fn sort_out(&mut self, differences: Vec<Difference>) {
        for difference in differences {
            let find = |model: &'a SchemaModel| model.objects.get_key_value(&difference.object);
            match difference.change {
                Change::Missing => self.missing.extend(find(self.expected).map(|(key, _)| key)),
                Change::Unexpected => self.unexpected.extend(find(self.actual).map(|(key, _)| key)),
                Change::Changed { attribute, .. } => {
                    if let Some((key, _)) = find(self.actual) {
                        self.changed.entry(key).or_default().insert(attribute);
                    }
                }
            }
        }
        self.created = self.missing.clone();
        self.dropped = self.unexpected.clone();
    }

    /// Finds objects that cannot be altered as required.
    fn treat(&mut self) {
        let mut found = Vec::new();
        for (key, attributes) in &self.changed {
            let treatments =
                attributes.iter().filter_map(|attribute| self.treatment(key, *attribute));
            match treatments.max() {
                Some(Treatment::Rebuild) if key.kind == ObjectKind::Column => {
                    found.extend(self.relation_of(key));
                }
                Some(Treatment::Rebuild | Treatment::Recreate) => found.push(*key),
                _ => {}
            }
        }
        found.extend(self.reordered());
        found.extend(self.inherited_checks());
        for key in found {
            self.renew(key);
        }
    }

    /// Returns how to change an attribute, which can depend on what the object is a part of.
    fn treatment(&self, key: &ObjectKey, attribute: Attribute) -> Option<Treatment> {
        let (expected, actual) = (self.expected.get(key)?, self.actual.get(key)?);
        Some(match (self.holder(key), key.kind, attribute) {
            (_, ObjectKind::Table | ObjectKind::Composite, Attribute::ColumnOrder) => {
                Treatment::Alter
            }
            (Some(ObjectKind::Composite), _, Attribute::Type | Attribute::Collation) => {
                Treatment::Rebuild
            }
            (Some(ObjectKind::Composite | ObjectKind::ForeignTable), _, _)
                if !matches!(attribute, Attribute::Comment | Attribute::Grants) =>
            {
                Treatment::Rebuild
            }
            _ => treatment(key, attribute, (expected, actual), self.actual.server_version),
        })
    }

    /// Returns the tables and composite types whose columns would not be in the required order.
    fn reordered(&self) -> impl Iterator<Item = &'a ObjectKey> {
        let kinds = [ObjectKind::Table, ObjectKind::Composite, ObjectKind::ForeignTable];
        let objects = self.expected.objects.iter();
        objects.filter(move |(key, _)| kinds.contains(&key.kind)).filter_map(|(key, object)| {
            let (key, actual) = self.actual.objects.get_key_value(key)?;
            (self.order_after(key, actual) != self.order_meant(key, object)).then_some(key)
        })
    }

    /// Returns superfluous checks of tables that their parents have, too.
    fn inherited_checks(&self) -> Vec<&'a ObjectKey> {
        let mut found = Vec::new();
        for check in self.unexpected.iter().filter(|key| key.kind == ObjectKind::Constraint) {
            let Some((parent, _)) = self.parents_check(check) else { continue };
            if self.unexpected.contains(parent) {
                continue;
            }
            let of = check.of.as_deref().unwrap_or_default();
            let table = self.actual.objects.get_key_value(&ObjectKey::new(ObjectKind::Table, of));
            let Some((key, table)) = table else { continue };
            // A partition's key has a property that its parent's lacks: that it is validated.
            let renewed = match table.get(Attribute::PartitionOf) {
                None => Some(key),
                Some(_) => {
                    let name = parent.of.as_deref().unwrap_or_default();
                    let parent = ObjectKey::new(ObjectKind::Table, name);
                    self.actual.objects.get_key_value(&parent).map(|(key, _)| key)
                }
            };
            found.extend(renewed);
        }
        found
    }

    /// Returns the check of this name that a parent of the table has.
    pub(super) fn parents_check(&self, check: &ObjectKey) -> Option<(&'a ObjectKey, &'a Object)> {
        let of = check.of.as_deref().unwrap_or_default();
        let table = self.actual.get(&ObjectKey::new(ObjectKind::Table, of))?;
        self.actual.of_kind(ObjectKind::Constraint).find(|(other, object)| {
            other.name == check.name
                && is_check(object)
                && other.of.as_deref().map(ident).is_some_and(|of| parents(table).any(|p| *p == of))
        })
    }

    /// Returns the order of the columns if the missing ones are added at the end.
    fn order_after(&self, key: &ObjectKey, actual: &Object) -> Vec<String> {
        let column = |name: &str| ObjectKey::part(ObjectKind::Column, &*key.name, name);
        let order = actual.list(Attribute::ColumnOrder).iter();
        let mut order: Vec<String> =
            order.filter(|name| !self.unexpected.contains(&column(name))).cloned().collect();
        let new = self.expected.get(key).map(|object| self.order_meant(key, object));
        let new = new.into_iter().flatten();
        order.extend(new.filter(|name| self.missing.contains(&column(name))));
        order
    }

    /// Returns the order of the columns of the reference that are wanted.
    fn order_meant(&self, key: &ObjectKey, expected: &Object) -> Vec<String> {
        let column = |name: &str| ObjectKey::part(ObjectKind::Column, &*key.name, name);
        let order = expected.list(Attribute::ColumnOrder).iter();
        order.filter(|name| self.expected.get(&column(name)).is_some()).cloned().collect()
    }

    /// Returns `true` if a table has its columns from a type that both sides have.
    pub(super) fn is_typed(&self, table: &str) -> bool {
        let key = ObjectKey::new(ObjectKind::Table, table);
        [self.expected, self.actual].into_iter().all(|model| {
            model.get(&key).is_some_and(|table| table.get(Attribute::OfType).is_some())
        })
    }

    /// Returns the kind of relation or type that a column is in.
    pub(super) fn holder(&self, key: &ObjectKey) -> Option<ObjectKind> {
        (key.kind == ObjectKind::Column).then(|| self.relation_of(key))?.map(|key| key.kind)
    }

    /// Returns the relation or type that a column of the schema that is changed is in.
    fn relation_of(&self, column: &ObjectKey) -> Option<&'a ObjectKey> {
        let of = column.of.as_deref()?;
        ObjectKind::WITH_COLUMNS.into_iter().find_map(|kind| {
            let found = self.actual.objects.get_key_value(&ObjectKey::new(kind, of));
            found.map(|(key, _)| key)
        })
    }

    /// Drops and creates an object; a table keeps its rows.
    fn renew(&mut self, key: &'a ObjectKey) {
        let new = self.expected.objects.get_key_value(key).map(|(key, _)| key);
        if key.kind == ObjectKind::Table {
            if new.is_some() && self.rebuilt.insert(&key.name) {
                let checks = self.actual.parts_of(ObjectKind::Constraint, &key.name);
                for check in checks.map(|(check, _)| check).collect::<Vec<_>>() {
                    self.renew(check);
                }
            }
            return;
        }
        self.dropped.insert(key);
        self.created.extend(new);
    }

    /// Returns the attributes of an object that differ.
    pub(super) fn changes(&self, key: &ObjectKey) -> &BTreeSet<Attribute> {
        const NONE: &BTreeSet<Attribute> = &BTreeSet::new();
        self.changed.get(key).unwrap_or(NONE)
    }

    /// Returns `true` if an object is created.
    pub(super) fn is_new(&self, key: &ObjectKey) -> bool {
        self.created.contains(key)
            || key.kind == ObjectKind::Table && self.rebuilt.contains(&*key.name)
    }

    /// Returns `true` if new objects would get default privileges.
    pub(super) fn grants_by_default(&self) -> bool {
        (!self.created.is_empty() || !self.rebuilt.is_empty())
            && self.actual.of_kind(ObjectKind::DefaultPrivileges).next().is_some()
    }

    /// Returns `true` if an object is dropped.
    pub(super) fn is_gone(&self, key: &ObjectKey) -> bool {
        self.dropped.contains(key)
            || key.kind == ObjectKind::Table && self.rebuilt.contains(&*key.name)
    }

    /// Returns `true` if a partition is attached only after its indexes exist, because its parent's indexes stay.
    pub(super) fn is_attached_late(&self, table: &str) -> bool {
        let key = ObjectKey::new(ObjectKind::Table, table);
        let object = self.expected.get(&key).filter(|_| self.is_new(&key));
        let Some(parent) = object.and_then(|object| object.text(Attribute::PartitionOf)) else {
            return false;
        };
        let mut tables = self.expected.of_kind(ObjectKind::Table);
        let stays = !tables.any(|(key, _)| ident(&key.name) == parent && self.is_new(key));
        stays && self.indexes_of(parent).any(|index| !self.is_gone(index))
    }

    /// Returns the indexes and keys of a table, by its printed name.
    pub(super) fn indexes_of<'s>(
        &'s self,
        table: &'s str,
    ) -> impl Iterator<Item = &'a ObjectKey> + use<'a, 's> {
        let actual = self.actual;
        let of_kinds =
            actual.of_kind(ObjectKind::Index).chain(actual.of_kind(ObjectKind::Constraint));
        of_kinds.filter_map(move |(key, object)| {
            let is_index = key.kind == ObjectKind::Index || is_key(object);
            (is_index && ident(table_of(key, object)) == table).then_some(key)
        })
    }

    /// Returns what prevents the statements from working.
    pub(super) fn impossible(&self) -> Vec<Impossible> {
        let found = self.actual.beyond.iter().filter_map(|beyond| {
            let what = match beyond.what {
                BeyondKind::Cast => "a cast",
                BeyondKind::EventTrigger => "an event trigger",
                BeyondKind::Transform => "a transform",
                _ => return None,
            };
            let other = beyond.other.as_deref().unwrap_or_default();
            self.is_gone(&beyond.object).then(|| Impossible {
                object: beyond.object.clone(),
                reason: format!(
                    "{what} ({other}) depends on it; drop that first and create it again afterwards"
                ),
            })
        });
        found.collect()
    }
}

/// Returns the tables that one inherits from or is a partition of.
pub(super) fn parents(table: &Object) -> impl Iterator<Item = &String> {
    let partitioned = match table.get(Attribute::PartitionOf) {
        Some(Value::Text(parent)) => Some(parent),
        _ => None,
    };
    table.list(Attribute::Inherits).iter().chain(partitioned)
}

/// Returns the table of an index or a constraint.
pub(super) fn table_of<'a>(key: &'a ObjectKey, object: &'a Object) -> &'a str {
    key.of.as_deref().or(object.text(Attribute::Table)).unwrap_or_default()
}
