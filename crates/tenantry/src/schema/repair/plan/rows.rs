//! What is done so that rows are preserved.

use std::collections::BTreeSet;

use super::{
    super::super::{Attribute, ObjectKey, ObjectKind, ddl::ident},
    Plan,
};

impl<'a> Plan<'a> {
    /// Ensures that rows are preserved: those of dropped partitions, and those of a default partition if another
    /// partition takes some of them. Triggers that would fire on the target are created afterwards.
    pub(super) fn follow_rows(&mut self) {
        let mut renewed = self.split_partitions();
        let leaves = self.actual.of_kind(ObjectKind::Table).filter(|(key, table)| {
            table.get(Attribute::PartitionKey).is_none()
                && table.get(Attribute::PartitionOf).is_some()
                && self.dropped.contains(key)
        });
        let moved = leaves.filter_map(|(key, _)| Some((key, self.heir(key)?))).collect();
        self.moved = moved;
        renewed.extend(self.triggers_on_copies());
        for key in renewed {
            if key.kind != ObjectKind::Table || self.expected.get(key).is_some() {
                self.renew(key);
            }
        }
    }

    /// Returns the default partitions next to new partitions.
    fn split_partitions(&self) -> Vec<&'a ObjectKey> {
        let mut found = Vec::new();
        for (key, table) in self.expected.of_kind(ObjectKind::Table) {
            let Some(parent) = table.text(Attribute::PartitionOf).filter(|_| self.is_new(key))
            else {
                continue;
            };
            let siblings = self.actual.of_kind(ObjectKind::Table).filter(|(_, sibling)| {
                sibling.text(Attribute::PartitionOf) == Some(parent)
                    && sibling.text(Attribute::PartitionBound) == Some("DEFAULT")
            });
            found.extend(siblings.map(|(sibling, _)| sibling));
        }
        found
    }

    /// Returns the triggers of the kept tables that rows are copied into, and of their children.
    fn triggers_on_copies(&self) -> Vec<&'a ObjectKey> {
        let copied = self.rebuilt.iter().filter_map(|table| {
            let key = ObjectKey::new(ObjectKind::Table, *table);
            self.expected.objects.get_key_value(&key).map(|(key, _)| self.root(key))
        });
        let targets: BTreeSet<&ObjectKey> =
            copied.chain(self.moved.values().copied()).filter(|key| !self.is_new(key)).collect();
        let mut found = Vec::new();
        for target in targets {
            let mut tables = self.descendants(&target.name);
            tables.extend(self.actual.objects.get_key_value(target).map(|(key, _)| &*key.name));
            for table in tables {
                let triggers = self.actual.parts_of(ObjectKind::Trigger, table);
                found.extend(triggers.map(|(trigger, _)| trigger));
            }
        }
        found
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
    pub(in super::super) fn root(&self, key: &'a ObjectKey) -> &'a ObjectKey {
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
}
