//! What is dropped, created or altered because of the objects that it depends on.

use super::{
    super::super::{
        Attribute, Object, ObjectKey, ObjectKind, Value,
        ddl::{Mention, mention, names as words_of},
    },
    Plan,
};

/// The attributes of a column or a domain that name its type.
const TYPE: &[Attribute] = &[Attribute::Type, Attribute::Collation];

impl<'a> Plan<'a> {
    /// Adds dependents of dropped objects, transitively.
    pub(super) fn close(&mut self) {
        loop {
            let before = self.size();
            let keys = self.old_order.keys.clone();
            for place in 0..keys.len() {
                self.follow_needs(place, &keys);
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

    /// Adjusts an object that needs objects that are dropped or change.
    fn follow_needs(&mut self, place: usize, keys: &[&'a ObjectKey]) {
        let key = keys[place];
        let needs: Vec<_> = self.old_order.needs[place].iter().map(|need| keys[*need]).collect();
        let gone: Vec<_> = needs.iter().copied().filter(|need| self.is_gone(need)).collect();
        if self.defines_gone_type(key, place) && !self.is_gone(key) {
            self.renew(key);
        }
        let rewritten: Vec<_> = needs.into_iter().filter(|need| self.is_rewritten(need)).collect();
        if !rewritten.is_empty() && !self.is_gone(key) {
            self.compute_again(key, &rewritten);
        }
        if !gone.is_empty() && (key.kind == ObjectKind::Table || !self.is_gone(key)) {
            self.disturb(key, &gone);
        }
    }

    /// Returns `true` if a function is kept and its results change.
    fn is_rewritten(&self, key: &ObjectKey) -> bool {
        const CHANGE_RESULTS: &[Attribute] = &[
            Attribute::Body,
            Attribute::SqlBody,
            Attribute::Language,
            Attribute::ObjectFile,
            Attribute::Settings,
            Attribute::Strict,
        ];
        key.kind == ObjectKind::Function
            && !self.is_gone(key)
            && CHANGE_RESULTS.iter().any(|attribute| self.changes(key).contains(attribute))
    }

    /// Recreates objects that store, or were validated with, results of functions that have changed.
    fn compute_again(&mut self, key: &'a ObjectKey, rewritten: &[&'a ObjectKey]) {
        match key.kind {
            ObjectKind::Index | ObjectKind::Constraint | ObjectKind::MaterializedView => {
                self.renew(key);
            }
            ObjectKind::Table => self.compute_table_again(key, rewritten),
            _ => {}
        }
    }

    /// Recreates the table, or only the checks that call the functions.
    fn compute_table_again(&mut self, key: &'a ObjectKey, rewritten: &[&'a ObjectKey]) {
        let columns = self.actual.columns(&key.name);
        let is_computed =
            columns.iter().any(|(_, column)| names(column, Attribute::GeneratedStored, rewritten));
        if is_computed || names(&self.actual.objects[key], Attribute::PartitionKey, rewritten) {
            return self.renew(key);
        }
        self.renew_checks(key, rewritten);
    }

    /// Recreates the checks of a table that name one of these objects.
    fn renew_checks(&mut self, table: &ObjectKey, named: &[&'a ObjectKey]) {
        for (check, object) in self.actual.parts_of(ObjectKind::Constraint, &table.name) {
            if names(object, Attribute::Definition, named) {
                self.renew(check);
            }
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
        let object = &self.actual.objects[key];
        match key.kind {
            ObjectKind::Table => self.disturb_table(key, gone),
            ObjectKind::Domain if !names_in_any(object, TYPE, gone) => {
                self.redefaulted.insert((&key.name, ""));
            }
            // A sequence that is merely owned is independent.
            ObjectKind::Sequence if !names(object, Attribute::IdentityOf, gone) => {}
            _ => self.renew(key),
        }
    }

    fn disturb_table(&mut self, key: &'a ObjectKey, gone: &[&'a ObjectKey]) {
        if self.dropped.contains(key) {
            return;
        }
        let (parents, others): (Vec<&ObjectKey>, Vec<&ObjectKey>) =
            gone.iter().partition(|gone| gone.kind == ObjectKind::Table);
        // A table that is moved aside must not depend on anything.
        let is_rebuilt = self.rebuilt.contains(&*key.name);
        if !is_rebuilt && self.needs_as_a_whole(key, &parents, &others) {
            return self.renew(key);
        }
        for (column, object) in self.actual.columns(&key.name) {
            let is_of_type = names_in_any(object, TYPE, gone);
            if is_of_type {
                self.retyped.insert((&key.name, &column.name));
            }
            if names(object, Attribute::Default, &others) || is_of_type {
                self.redefaulted.insert((&key.name, &column.name));
            }
        }
        self.renew_checks(key, gone);
    }

    /// Returns `true` if a table cannot be altered to do without these parents and other objects.
    fn needs_as_a_whole(
        &self,
        key: &ObjectKey,
        parents: &[&ObjectKey],
        others: &[&ObjectKey],
    ) -> bool {
        const GENERATED: &[Attribute] = &[Attribute::GeneratedStored, Attribute::GeneratedVirtual];
        let table = &self.actual.objects[key];
        names_in_any(table, &[Attribute::Inherits, Attribute::PartitionOf], parents)
            || names_in_any(table, &[Attribute::OfType, Attribute::PartitionKey], others)
            || self
                .actual
                .columns(&key.name)
                .into_iter()
                .any(|(_, column)| names_in_any(column, GENERATED, others))
    }
}

/// Returns `true` if one of these attributes names one of these objects.
fn names_in_any(object: &Object, attributes: &[Attribute], gone: &[&ObjectKey]) -> bool {
    attributes.iter().any(|attribute| names(object, *attribute, gone))
}

/// Returns `true` if an attribute names one of these objects.
fn names(object: &Object, attribute: Attribute, gone: &[&ObjectKey]) -> bool {
    let Some(value) = object.get(attribute) else { return false };
    let texts = match value {
        Value::Text(text) => words_of(text),
        Value::List(list) => list.iter().flat_map(|text| words_of(text)).collect(),
        Value::Flag(_) => Vec::new(),
    };
    gone.iter().any(|gone| {
        mention(gone.kind).is_some_and(|kind| {
            texts.iter().any(|(found, word)| *found == kind && *word == gone.name)
        })
    })
}
