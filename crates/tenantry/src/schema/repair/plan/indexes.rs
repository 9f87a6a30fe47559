//! What depends on dropped indexes, keys, operators and triggers.

use std::collections::BTreeSet;

use super::{
    super::super::{
        Attribute, ObjectKey, ObjectKind,
        ddl::{Mention, ident, words},
    },
    Plan, table_of,
};

fn is_index(key: &ObjectKey) -> bool {
    matches!(key.kind, ObjectKind::Index | ObjectKind::Constraint)
}

impl<'a> Plan<'a> {
    /// Recreates foreign keys on dropped keys, the indexes of partitions with their parents', and what else is dropped
    /// together with another object.
    pub(super) fn follow_indexes(&mut self) {
        let mut renewed = self.disturbed_foreign_keys();
        renewed.extend(self.attached_indexes());
        renewed.extend(self.related_operators());
        renewed.extend(self.parents_triggers());
        for key in renewed {
            self.renew(key);
        }
    }

    /// Returns the foreign keys whose referenced key is dropped, or whose tables become logged or unlogged.
    fn disturbed_foreign_keys(&self) -> Vec<&'a ObjectKey> {
        let tables = self.tables_without_key();
        // Tables that reference each other must become logged or unlogged at the same time.
        let changed = self.changed.iter().filter(|(key, attributes)| {
            key.kind == ObjectKind::Table && attributes.contains(&Attribute::Unlogged)
        });
        let relogged: BTreeSet<&str> = changed.map(|(key, _)| &*key.name).collect();
        let keys = self.actual.of_kind(ObjectKind::Constraint).filter(|(key, object)| {
            let definition = object.text(Attribute::Definition).unwrap_or_default();
            let Some(rest) = definition.strip_prefix("FOREIGN KEY ") else { return false };
            let after = rest.split(" REFERENCES ").nth(1).unwrap_or_default();
            let referenced = words(after).into_iter().find(|(m, _)| *m == Mention::Name);
            relogged.contains(table_of(key, object))
                || referenced.is_some_and(|(_, table)| {
                    tables.contains(&*table) || relogged.contains(&*table)
                })
        });
        keys.map(|(key, _)| key).collect()
    }

    /// Returns the tables of which a key or a unique index is dropped.
    fn tables_without_key(&self) -> BTreeSet<&'a str> {
        let gone = self.dropped.iter().copied().filter(|key| is_index(key));
        let tables = gone.filter_map(|key| {
            let object = self.actual.get(key)?;
            let definition = object.text(Attribute::Definition).unwrap_or_default();
            let is_key = definition.starts_with("PRIMARY KEY ")
                || definition.starts_with("UNIQUE ")
                || object.has(Attribute::Unique);
            is_key.then(|| table_of(key, object))
        });
        tables.collect()
    }

    /// Returns the indexes of partitions whose parents' are dropped, and the parents' of those that are dropped.
    fn attached_indexes(&self) -> Vec<&'a ObjectKey> {
        let gone = self.dropped.iter().filter(|key| is_index(key));
        let gone: BTreeSet<String> = gone.map(|key| ident(&key.name)).collect();
        let mut found = Vec::new();
        for (key, object) in self.actual.objects.iter().filter(|(key, _)| is_index(key)) {
            let Some(parent) = object.text(Attribute::AttachedTo) else { continue };
            if gone.contains(parent) {
                found.push(key);
            }
            let table = ObjectKey::new(ObjectKind::Table, table_of(key, object));
            let is_alone = self.dropped.contains(key)
                && !self.rebuilt.contains(&*table.name)
                && !self.unexpected.contains(&table);
            if is_alone {
                let parents = self.actual.objects.keys().filter(|key| is_index(key));
                found.extend(parents.filter(|key| ident(&key.name) == parent));
            }
        }
        found
    }

    /// Returns the operators that are dropped together with their commutator or negator.
    fn related_operators(&self) -> Vec<&'a ObjectKey> {
        let gone = self.dropped.iter().filter(|key| key.kind == ObjectKind::Operator);
        let gone: BTreeSet<_> = gone.map(|key| (Mention::Operator, key.name.clone())).collect();
        let operators = self.actual.of_kind(ObjectKind::Operator).filter(|(_, object)| {
            let others = [Attribute::Commutator, Attribute::Negator].into_iter();
            let others = others.filter_map(|attribute| object.text(attribute));
            others.flat_map(words).any(|word| gone.contains(&word))
        });
        operators.map(|(key, _)| key).collect()
    }

    /// Returns the triggers that partitions have for their parents': these say only whether they are enabled.
    fn parents_triggers(&self) -> Vec<&'a ObjectKey> {
        let gone = self.dropped.iter().filter(|key| key.kind == ObjectKind::Trigger);
        let gone: BTreeSet<&str> = gone.map(|key| &*key.name).collect();
        let triggers = self.actual.of_kind(ObjectKind::Trigger).filter(|(key, object)| {
            // A foreign key's trigger is named after the partition's key.
            let is_of_key = key.name.contains(": RI_")
                && self.dropped.iter().any(|gone| {
                    gone.kind == ObjectKind::Constraint && key.name.starts_with(&*gone.name)
                });
            object.get(Attribute::Definition).is_none() && (gone.contains(&*key.name) || is_of_key)
        });
        triggers.map(|(key, _)| key).collect()
    }

    /// Recreates the indexes of a partitioned table that a new partition should not be part of: otherwise it would
    /// get one.
    pub(super) fn follow_attached(&mut self) {
        let mut renewed = Vec::new();
        for (key, table) in self.expected.of_kind(ObjectKind::Table) {
            let Some(parent) = table.text(Attribute::PartitionOf).filter(|_| self.is_new(key))
            else {
                continue;
            };
            let indexes: Vec<_> =
                self.indexes_of(parent).filter(|index| !self.is_gone(index)).collect();
            if !indexes.iter().all(|index| self.has_part_of(key, index)) {
                renewed.extend(indexes);
            }
        }
        for key in renewed {
            self.renew(key);
        }
    }

    /// Returns `true` if a partition has an index that is part of this one.
    fn has_part_of(&self, partition: &ObjectKey, index: &ObjectKey) -> bool {
        let index = ident(&index.name);
        self.expected.objects.iter().any(|(part, object)| {
            object.text(Attribute::AttachedTo) == Some(&*index)
                && table_of(part, object) == partition.name
        })
    }
}
