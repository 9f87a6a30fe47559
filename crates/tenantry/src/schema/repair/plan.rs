//! Plans which objects to drop, create and alter, including their dependents.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Attribute, BeyondKind, Change, Difference, Object, ObjectKey, ObjectKind, SchemaModel,
        Value,
        ddl::{Mention, Order, ident, is_check, is_key, mention, words},
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
            let (Some(expected), Some(actual)) = (self.expected.get(key), self.actual.get(key))
            else {
                continue;
            };
            let holder = self.holder(key);
            let treatments =
                attributes.iter().map(|attribute| match (holder, key.kind, attribute) {
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
                    _ => treatment(key, *attribute, (expected, actual), self.actual.server_version),
                });
            match treatments.max() {
                Some(Treatment::Rebuild) if key.kind == ObjectKind::Column => {
                    found.extend(self.relation_of(key));
                }
                Some(Treatment::Rebuild | Treatment::Recreate) => found.push(*key),
                _ => {}
            }
        }
        for (key, object) in &self.expected.objects {
            let kinds = [ObjectKind::Table, ObjectKind::Composite, ObjectKind::ForeignTable];
            let there = self.actual.objects.get_key_value(key);
            if let (true, Some((key, actual))) = (kinds.contains(&key.kind), there)
                && self.order_after(key, actual) != self.order_meant(key, object)
            {
                found.push(key);
            }
        }
        found.extend(self.inherited_checks());
        for key in found {
            self.renew(key);
        }
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
        let kinds = [
            ObjectKind::Table,
            ObjectKind::ForeignTable,
            ObjectKind::View,
            ObjectKind::MaterializedView,
            ObjectKind::Composite,
        ];
        kinds.into_iter().find_map(|kind| {
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

    pub(super) fn is_gone(&self, key: &ObjectKey) -> bool {
        self.dropped.contains(key)
            || key.kind == ObjectKind::Table && self.rebuilt.contains(&*key.name)
    }

    /// Adds dependents of dropped objects, transitively.
    fn close(&mut self) {
        loop {
            let before = self.size();
            let keys = self.old_order.keys.clone();
            for (place, key) in keys.iter().enumerate() {
                let needs = self.old_order.needs[place].iter().map(|need| keys[*need]);
                let gone: Vec<_> = needs.filter(|need| self.is_gone(need)).collect();
                if self.defines_gone_type(key, place) && !self.is_gone(key) {
                    self.renew(key);
                }
                let needs = self.old_order.needs[place].iter().map(|need| keys[*need]);
                let rewritten: Vec<_> = needs.filter(|need| self.is_rewritten(need)).collect();
                if !rewritten.is_empty() && !self.is_gone(key) {
                    self.compute_again(key, &rewritten);
                }
                if !gone.is_empty() && (key.kind == ObjectKind::Table || !self.is_gone(key)) {
                    self.disturb(key, &gone);
                }
            }
            self.follow_columns(&keys);
            self.follow_indexes();
            self.follow_attached();
            self.follow_rows();
            if self.size() == before {
                break;
            }
        }
    }

    /// Returns `true` if a function is kept and its results change.
    fn is_rewritten(&self, key: &ObjectKey) -> bool {
        let changes = self.changes(key);
        key.kind == ObjectKind::Function
            && !self.is_gone(key)
            && [
                Attribute::Body,
                Attribute::SqlBody,
                Attribute::Language,
                Attribute::ObjectFile,
                Attribute::Settings,
                Attribute::Strict,
            ]
            .iter()
            .any(|attribute| changes.contains(attribute))
    }

    /// Recreates objects that store, or were validated with, results of functions that have changed.
    fn compute_again(&mut self, key: &'a ObjectKey, rewritten: &[&'a ObjectKey]) {
        match key.kind {
            ObjectKind::Index | ObjectKind::Constraint | ObjectKind::MaterializedView => {
                self.renew(key);
            }
            ObjectKind::Table => {
                let is_computed = self
                    .actual
                    .columns(&key.name)
                    .into_iter()
                    .any(|(_, object)| names(object, Attribute::GeneratedStored, rewritten));
                let is_placed =
                    names(&self.actual.objects[key], Attribute::PartitionKey, rewritten);
                if is_computed || is_placed {
                    return self.renew(key);
                }
                let checks = self.actual.parts_of(ObjectKind::Constraint, &key.name);
                let checks =
                    checks.filter(|(_, check)| names(check, Attribute::Definition, rewritten));
                for check in checks.map(|(check, _)| check).collect::<Vec<_>>() {
                    self.renew(check);
                }
            }
            _ => {}
        }
    }

    /// Returns `true` if a function defines a type that is dropped: the two depend on each other.
    fn defines_gone_type(&self, key: &ObjectKey, place: usize) -> bool {
        key.kind == ObjectKind::Function
            && self.dropped.iter().any(|gone| {
                matches!(gone.kind, ObjectKind::BaseType | ObjectKind::Range)
                    && self.words[place].contains(&(Mention::Name, gone.name.clone()))
            })
    }

    fn size(&self) -> usize {
        self.dropped.len()
            + self.created.len()
            + self.rebuilt.len()
            + self.retyped.len()
            + self.redefaulted.len()
    }

    /// Adjusts an object that needs some dropped objects.
    fn disturb(&mut self, key: &'a ObjectKey, gone: &[&'a ObjectKey]) {
        match key.kind {
            ObjectKind::Table => self.disturb_table(key, gone),
            ObjectKind::Domain => {
                let object = &self.actual.objects[key];
                let is_based = [Attribute::Type, Attribute::Collation]
                    .into_iter()
                    .any(|attribute| names(object, attribute, gone));
                match is_based {
                    true => self.renew(key),
                    false => {
                        self.redefaulted.insert((&key.name, ""));
                    }
                }
            }
            // A sequence that is merely owned is independent.
            ObjectKind::Sequence => {
                if names(&self.actual.objects[key], Attribute::IdentityOf, gone) {
                    self.renew(key);
                }
            }
            _ => self.renew(key),
        }
    }

    fn disturb_table(&mut self, key: &'a ObjectKey, gone: &[&'a ObjectKey]) {
        let table = &self.actual.objects[key];
        let parents: Vec<&ObjectKey> =
            gone.iter().copied().filter(|gone| gone.kind == ObjectKind::Table).collect();
        let others: Vec<&ObjectKey> =
            gone.iter().copied().filter(|gone| gone.kind != ObjectKind::Table).collect();
        if self.dropped.contains(key) {
            return;
        }
        // A table that is moved aside must not depend on anything.
        let is_rebuilt = self.rebuilt.contains(&*key.name);
        let has_new_parent = [Attribute::Inherits, Attribute::PartitionOf]
            .into_iter()
            .any(|attribute| names(table, attribute, &parents));
        let has_to_be_new = has_new_parent
            || names(table, Attribute::OfType, &others)
            || names(table, Attribute::PartitionKey, &others);
        if has_to_be_new && !is_rebuilt {
            return self.renew(key);
        }
        for (column, object) in self.actual.columns(&key.name) {
            let is_computed = [Attribute::GeneratedStored, Attribute::GeneratedVirtual]
                .into_iter()
                .any(|attribute| names(object, attribute, &others));
            let is_of_type = [Attribute::Type, Attribute::Collation]
                .into_iter()
                .any(|attribute| names(object, attribute, gone));
            if is_computed && !is_rebuilt {
                return self.renew(key);
            }
            if is_of_type {
                self.retyped.insert((&key.name, &column.name));
            }
            if names(object, Attribute::Default, &others) || is_of_type {
                self.redefaulted.insert((&key.name, &column.name));
            }
        }
        for (check, object) in self.actual.of_kind(ObjectKind::Constraint) {
            if check.of.as_deref() == Some(&key.name) && names(object, Attribute::Definition, gone)
            {
                self.renew(check);
            }
        }
    }

    /// Returns the columns whose type changes, or that are dropped, by table and name, including those of children.
    fn disturbed_columns(&self) -> BTreeSet<(&'a str, &'a str)> {
        let mut found = self.retyped.clone();
        for (key, attributes) in &self.changed {
            let types = [Attribute::Type, Attribute::Collation, Attribute::GeneratedStored];
            if key.kind == ObjectKind::Column && types.iter().any(|a| attributes.contains(a)) {
                found.extend(key.of.as_deref().map(|of| (of, &*key.name)));
            }
        }
        for key in self.unexpected.iter().filter(|key| key.kind == ObjectKind::Column) {
            found.extend(key.of.as_deref().map(|of| (of, &*key.name)));
        }
        let children: Vec<(&str, &str)> = found
            .iter()
            .flat_map(|(table, column)| {
                self.descendants(table).into_iter().map(|child| (child, *column))
            })
            .collect();
        found.extend(children);
        found
    }

    fn descendants(&self, table: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open = vec![ident(table)];
        while let Some(parent) = open.pop() {
            for (key, object) in self.actual.of_kind(ObjectKind::Table) {
                if parents(object).any(|other| *other == parent) && found.insert(&*key.name) {
                    open.push(ident(&key.name));
                }
            }
        }
        found
    }

    /// Recreates objects that name a column whose type changes, or that is dropped.
    fn follow_columns(&mut self, keys: &[&'a ObjectKey]) {
        let columns = self.disturbed_columns();
        let tables: BTreeSet<&str> = columns.iter().map(|(table, _)| *table).collect();
        let mut renewed = Vec::new();
        for (place, key) in keys.iter().enumerate().filter(|(_, key)| !self.is_gone(key)) {
            let needs: BTreeSet<&str> = self.old_order.needs[place]
                .iter()
                .map(|need| keys[*need])
                .filter(|need| need.kind == ObjectKind::Table)
                .map(|need| &*need.name)
                .filter(|name| tables.contains(name))
                .collect();
            let says = |name: &str| self.words[place].contains(&(Mention::Name, name.to_owned()));
            let is_disturbed =
                columns.iter().any(|(table, column)| needs.contains(table) && says(column));
            if is_disturbed && !matches!(key.kind, ObjectKind::Table | ObjectKind::Sequence) {
                renewed.push(*key);
            }
            if key.kind == ObjectKind::Table && tables.contains(&*key.name) {
                let own: Vec<_> = columns.iter().filter(|(table, _)| *table == key.name).collect();
                renewed.extend(self.own_parts_on(key, &own));
            }
        }
        for key in renewed {
            self.renew(key);
        }
    }

    /// Returns the table, if it computes something from these columns or is partitioned by them; otherwise its checks
    /// on them.
    fn own_parts_on(&self, key: &'a ObjectKey, columns: &[&(&str, &str)]) -> Vec<&'a ObjectKey> {
        let is_said = |object: &Object, attribute| {
            let texts = object.text(attribute).map(words).unwrap_or_default();
            texts.iter().any(|(_, word)| columns.iter().any(|(_, column)| word == column))
        };
        let is_computed = self.actual.columns(&key.name).into_iter().any(|(_, object)| {
            is_said(object, Attribute::GeneratedStored)
                || is_said(object, Attribute::GeneratedVirtual)
        });
        if is_computed || is_said(&self.actual.objects[key], Attribute::PartitionKey) {
            return vec![key];
        }
        let checks = self.actual.of_kind(ObjectKind::Constraint).filter(|(check, object)| {
            check.of.as_deref() == Some(&key.name) && is_said(object, Attribute::Definition)
        });
        checks.map(|(check, _)| check).collect()
    }

    /// Recreates foreign keys on dropped keys, and the indexes of partitions with their parents'.
    fn follow_indexes(&mut self) {
        let mut renewed = Vec::new();
        let is_index =
            |key: &ObjectKey| matches!(key.kind, ObjectKind::Index | ObjectKind::Constraint);
        let gone: Vec<&ObjectKey> =
            self.dropped.iter().copied().filter(|key| is_index(key)).collect();
        let tables: BTreeSet<&str> = gone
            .iter()
            .filter_map(|key| {
                let object = self.actual.get(key)?;
                let definition = object.text(Attribute::Definition).unwrap_or_default();
                let is_key = definition.starts_with("PRIMARY KEY ")
                    || definition.starts_with("UNIQUE ")
                    || object.has(Attribute::Unique);
                is_key.then(|| table_of(key, object))
            })
            .collect();
        // Tables that reference each other must become logged or unlogged at the same time.
        let relogged: BTreeSet<&str> = self
            .changed
            .iter()
            .filter(|(key, attributes)| {
                key.kind == ObjectKind::Table && attributes.contains(&Attribute::Unlogged)
            })
            .map(|(key, _)| &*key.name)
            .collect();
        let names: BTreeSet<String> = gone.iter().map(|key| ident(&key.name)).collect();
        for (key, object) in self.actual.objects.iter().filter(|(key, _)| is_index(key)) {
            let definition = object.text(Attribute::Definition).unwrap_or_default();
            if definition.starts_with("FOREIGN KEY ") {
                let after = definition.split(" REFERENCES ").nth(1).unwrap_or_default();
                let referenced = words(after).into_iter().find(|(m, _)| *m == Mention::Name);
                let is_to = |these: &BTreeSet<&str>| {
                    referenced.as_ref().is_some_and(|(_, word)| these.contains(&**word))
                };
                if is_to(&tables) || is_to(&relogged) || relogged.contains(table_of(key, object)) {
                    renewed.push(key);
                }
            }
            let Some(parent) = object.text(Attribute::AttachedTo) else { continue };
            if names.contains(parent) {
                renewed.push(key);
            }
            let is_alone = self.dropped.contains(key)
                && !self.rebuilt.contains(table_of(key, object))
                && !self
                    .unexpected
                    .contains(&ObjectKey::new(ObjectKind::Table, table_of(key, object)));
            if is_alone {
                let parents = self.actual.objects.keys().filter(|key| is_index(key));
                renewed.extend(parents.filter(|key| ident(&key.name) == parent));
            }
        }
        // Objects that are dropped together with their operator.
        for (key, object) in self.actual.of_kind(ObjectKind::Operator) {
            let others = [Attribute::Commutator, Attribute::Negator].into_iter();
            let others = others.filter_map(|attribute| object.text(attribute));
            let others: Vec<_> = others.flat_map(words).collect();
            let is_gone = |gone: &&&ObjectKey| {
                gone.kind == ObjectKind::Operator
                    && others.contains(&(Mention::Operator, gone.name.clone()))
            };
            if self.dropped.iter().any(|gone| is_gone(&gone)) {
                renewed.push(key);
            }
        }
        // A trigger that a partition has for its parent's says only whether it is enabled.
        let triggers: BTreeSet<&str> = self
            .dropped
            .iter()
            .filter(|key| key.kind == ObjectKind::Trigger)
            .map(|key| &*key.name)
            .collect();
        for (key, object) in self.actual.of_kind(ObjectKind::Trigger) {
            // A foreign key's trigger is named after the partition's key.
            let is_of_key = key.name.contains(": RI_")
                && self.dropped.iter().any(|gone| {
                    gone.kind == ObjectKind::Constraint && key.name.starts_with(&*gone.name)
                });
            let is_again = triggers.contains(&*key.name) || is_of_key;
            if object.get(Attribute::Definition).is_none() && is_again {
                renewed.push(key);
            }
        }
        for key in renewed {
            self.renew(key);
        }
    }

    /// Recreates the indexes of a partitioned table that a new partition should not be part of: otherwise it would
    /// get one.
    fn follow_attached(&mut self) {
        let mut renewed = Vec::new();
        for (key, table) in self.expected.of_kind(ObjectKind::Table) {
            let Some(parent) = table.text(Attribute::PartitionOf) else { continue };
            let is_new = self.created.contains(key) || self.rebuilt.contains(&*key.name);
            if !is_new {
                continue;
            }
            let indexes: Vec<_> =
                self.indexes_of(parent).filter(|index| !self.is_gone(index)).collect();
            let has_part = |index: &&ObjectKey| {
                self.expected.objects.iter().any(|(part, object)| {
                    object.text(Attribute::AttachedTo) == Some(&*ident(&index.name))
                        && table_of(part, object) == key.name
                })
            };
            if !indexes.iter().all(has_part) {
                renewed.extend(indexes);
            }
        }
        for key in renewed {
            self.renew(key);
        }
    }

    /// Ensures that rows are preserved: those of dropped partitions, and those of a default partition if another
    /// partition takes some of them. Triggers that would fire on the target are created afterwards.
    fn follow_rows(&mut self) {
        let mut renewed = Vec::new();
        for (key, table) in self.expected.of_kind(ObjectKind::Table) {
            let Some(parent) = table.text(Attribute::PartitionOf).filter(|_| self.is_new(key))
            else {
                continue;
            };
            let siblings = self.actual.of_kind(ObjectKind::Table).filter(|(_, sibling)| {
                sibling.text(Attribute::PartitionOf) == Some(parent)
                    && sibling.text(Attribute::PartitionBound) == Some("DEFAULT")
            });
            renewed.extend(siblings.map(|(sibling, _)| sibling));
        }
        let mut moved = BTreeMap::new();
        for (key, table) in self.actual.of_kind(ObjectKind::Table) {
            let is_leaf = table.get(Attribute::PartitionKey).is_none()
                && table.get(Attribute::PartitionOf).is_some();
            if is_leaf && self.dropped.contains(key) {
                moved.extend(self.heir(key).map(|heir| (key, heir)));
            }
        }
        self.moved = moved;
        let copied = self.rebuilt.iter().filter_map(|table| {
            let key = ObjectKey::new(ObjectKind::Table, *table);
            self.expected.objects.get_key_value(&key).map(|(key, _)| self.root(key))
        });
        let targets: BTreeSet<&ObjectKey> =
            copied.chain(self.moved.values().copied()).filter(|key| !self.is_new(key)).collect();
        for target in targets {
            let mut tables = self.descendants(&target.name);
            tables.extend(self.actual.objects.get_key_value(target).map(|(key, _)| &*key.name));
            for table in tables {
                let triggers = self.actual.parts_of(ObjectKind::Trigger, table);
                renewed.extend(triggers.map(|(trigger, _)| trigger));
            }
        }
        for key in renewed {
            if key.kind != ObjectKind::Table || self.expected.get(key).is_some() {
                self.renew(key);
            }
        }
    }

    /// Returns the table that takes the rows of a dropped partition: one that its parent becomes, or one whose
    /// default partition takes all other rows.
    fn heir(&self, leaf: &ObjectKey) -> Option<&'a ObjectKey> {
        let mut table = self.actual.get(leaf)?;
        loop {
            let parent = table.text(Attribute::PartitionOf)?;
            let mut tables = self.actual.of_kind(ObjectKind::Table);
            let (key, object) = tables.find(|(key, _)| ident(&key.name) == parent)?;
            let there = self.expected.objects.get_key_value(key);
            if let Some((key, _)) = there {
                let parent = ident(&key.name);
                let has_default = self.expected.of_kind(ObjectKind::Table).any(|(_, partition)| {
                    partition.text(Attribute::PartitionOf) == Some(&parent)
                        && partition.text(Attribute::PartitionBound) == Some("DEFAULT")
                });
                return (self.is_new(key) || has_default).then(|| self.root(key));
            }
            table = object;
        }
    }

    /// Returns the table that rows of this one are given to: the partitioned table above all.
    pub(super) fn root(&self, key: &'a ObjectKey) -> &'a ObjectKey {
        let mut root = key;
        loop {
            let table = self.expected.get(root);
            let parent = table.and_then(|table| table.text(Attribute::PartitionOf));
            let found = parent.and_then(|parent| {
                let mut tables = self.expected.of_kind(ObjectKind::Table);
                tables.find(|(key, _)| ident(&key.name) == parent)
            });
            match found {
                Some((parent, _)) => root = parent,
                None => return root,
            }
        }
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

/// Returns `true` if an attribute names one of these objects.
fn names(object: &Object, attribute: Attribute, gone: &[&ObjectKey]) -> bool {
    let Some(value) = object.get(attribute) else { return false };
    let texts = match value {
        Value::Text(text) => words(text),
        Value::List(list) => list.iter().flat_map(|text| words(text)).collect(),
        Value::Flag(_) => Vec::new(),
    };
    gone.iter().any(|gone| {
        mention(gone.kind).is_some_and(|kind| {
            texts.iter().any(|(found, word)| *found == kind && *word == gone.name)
        })
    })
}
