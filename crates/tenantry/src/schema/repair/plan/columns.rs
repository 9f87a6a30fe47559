//! What depends on columns whose type changes, or that are dropped.

use std::collections::BTreeSet;

use super::{
    super::super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{Mention, ident, words},
    },
    Plan, parents,
};

impl<'a> Plan<'a> {
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

    pub(super) fn descendants(&self, table: &str) -> BTreeSet<&'a str> {
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
    pub(super) fn follow_columns(&mut self, keys: &[&'a ObjectKey]) {
        let columns = self.disturbed_columns();
        let mut renewed = Vec::new();
        for (place, key) in keys.iter().enumerate().filter(|(_, key)| !self.is_gone(key)) {
            if key.kind == ObjectKind::Table {
                let own = columns.iter().filter(|(table, _)| *table == key.name);
                let own: Vec<_> = own.map(|(_, column)| *column).collect();
                renewed.extend(self.own_parts_on(key, &own));
            } else if key.kind != ObjectKind::Sequence && self.names_one_of(place, &columns) {
                renewed.push(*key);
            }
        }
        for key in renewed {
            self.renew(key);
        }
    }

    /// Returns `true` if the object at this place needs a table of one of these columns, and names the column.
    fn names_one_of(&self, place: usize, columns: &BTreeSet<(&'a str, &'a str)>) -> bool {
        let needs = self.old_order.needs[place].iter().map(|need| self.old_order.keys[*need]);
        let tables: BTreeSet<&str> =
            needs.filter(|need| need.kind == ObjectKind::Table).map(|need| &*need.name).collect();
        columns.iter().any(|(table, column)| {
            let name = (Mention::Name, (*column).to_owned());
            tables.contains(table) && self.words[place].contains(&name)
        })
    }

    /// Returns the table, if it computes something from these columns or is partitioned by them; otherwise its checks
    /// on them.
    fn own_parts_on(&self, key: &'a ObjectKey, columns: &[&str]) -> Vec<&'a ObjectKey> {
        let is_said = |object: &Object, attribute| {
            let texts = object.text(attribute).map(words).unwrap_or_default();
            texts.iter().any(|(_, word)| columns.contains(&&**word))
        };
        let is_computed = self.actual.columns(&key.name).into_iter().any(|(_, object)| {
            is_said(object, Attribute::GeneratedStored)
                || is_said(object, Attribute::GeneratedVirtual)
        });
        if is_computed || is_said(&self.actual.objects[key], Attribute::PartitionKey) {
            return vec![key];
        }
        let checks = self.actual.parts_of(ObjectKind::Constraint, &key.name);
        let checks = checks.filter(|(_, check)| is_said(check, Attribute::Definition));
        checks.map(|(check, _)| check).collect()
    }
}
