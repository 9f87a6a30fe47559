//! Drops, in the reverse order of creation.

use super::{
    super::{
        super::{
            Attribute, Object, ObjectKey, ObjectKind,
            ddl::{Phase, ident, is_check, is_key, own},
        },
        columns, drops, rebuild,
        sequences::is_identity,
    },
    Stage, Steps, Turn,
};

impl<'a> Steps<'_, 'a> {
    /// Drops objects, each before those that it needs.
    pub(super) fn drop_objects(&mut self) {
        let plan = self.plan;
        for key in plan.dropped.iter().copied() {
            if key.kind == ObjectKind::DefaultPrivileges && plan.grants_by_default() {
                continue;
            }
            let turn = self.turn_of_drop(key);
            for sql in drops::drops(plan, key) {
                self.add(turn, key, sql);
            }
        }
        for (key, object) in plan.actual.of_kind(ObjectKind::Table) {
            if !plan.dropped.contains(key) || plan.moved.contains_key(key) {
                self.detach_table(key, object);
            }
        }
        for (key, object) in plan.actual.of_kind(ObjectKind::Domain) {
            let is_redefaulted = plan.redefaulted.contains(&(&*key.name, ""));
            if is_redefaulted
                && !plan.dropped.contains(key)
                && object.get(Attribute::Default).is_some()
            {
                let sql = format!("alter domain {} drop default", own(&key.name));
                self.add((Stage::Drop, -(drops::STRIP as i64), 0), key, sql);
            }
        }
    }

    /// Detaches a table that is kept, or moved aside, from dropped objects.
    fn detach_table(&mut self, key: &'a ObjectKey, object: &Object) {
        let plan = self.plan;
        let (_, _, place) = self.turn_of_table(key, 0);
        for sql in drops::strip(plan, key) {
            self.add((Stage::Drop, -(drops::STRIP as i64), place), key, sql);
        }
        let is_rebuilt = plan.rebuilt.contains(&*key.name);
        let holds_nothing = is_rebuilt && object.get(Attribute::PartitionKey).is_some();
        if !holds_nothing {
            self.keep_values_as_texts(key);
        }
        if is_rebuilt {
            let sql = rebuild::put_aside(plan, key);
            self.add(self.turn_of_table(key, 3), key, sql);
        }
    }

    /// Converts the columns whose type is dropped and recreated.
    fn keep_values_as_texts(&mut self, table: &'a ObjectKey) {
        let plan = self.plan;
        let is_retyped = |column: &ObjectKey| {
            let of = column.of.as_deref().unwrap_or_default();
            plan.retyped.contains(&(of, &*column.name))
        };
        for (column, _) in plan.actual.columns(&table.name) {
            if is_retyped(column) && !columns::parents_column(plan, column, is_retyped) {
                let (name, table_name) = (ident(&column.name), own(&table.name));
                let sql = format!("alter table {table_name} alter column {name} type text");
                self.add(self.turn_of_table(table, 1), column, sql);
            }
        }
    }

    /// Returns when an object is dropped.
    fn turn_of_drop(&self, key: &ObjectKey) -> Turn {
        let of = key.of.as_deref().unwrap_or_default();
        let has_parents_check = || self.plan.parents_check(key).is_some();
        match self.old_places.get(key) {
            Some(place) => (Stage::Drop, -self.phase(key), -place * 8 + 5),
            // A check that a parent has as well can only be dropped after the parent's.
            None if has_parents_check() && !self.plan.rebuilt.contains(of) => (Stage::Drop, 1, 0),
            // Checks, then columns, then their table.
            None => self.turn_of_table(key, if key.kind == ObjectKind::Column { 2 } else { 0 }),
        }
    }

    /// Returns when a table or a part of it is changed, among the dropped objects.
    fn turn_of_table(&self, key: &ObjectKey, at: i64) -> Turn {
        let name = key.of.as_deref().unwrap_or(&key.name);
        let kinds = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::Composite];
        let place = kinds
            .into_iter()
            .find_map(|kind| self.old_places.get(&ObjectKey::new(kind, name)))
            .copied()
            .unwrap_or_default();
        (Stage::Drop, -(Phase::Create as i64), -place * 8 + at)
    }

    /// Returns the position of an object in the order of creation.
    fn phase(&self, key: &ObjectKey) -> i64 {
        let plan = self.plan;
        let object = plan.actual.get(key);
        let place = plan.old_order.keys.iter().position(|other| *other == key);
        let is_early = place.is_some_and(|place| plan.old_order.needed.contains(&place));
        let phase = match key.kind {
            ObjectKind::Constraint if is_early => Phase::Create,
            ObjectKind::Constraint if object.is_some_and(is_key) => Phase::Key,
            ObjectKind::Constraint if object.is_some_and(is_check) => Phase::Check,
            ObjectKind::Constraint => Phase::ForeignKey,
            ObjectKind::Sequence if object.is_some_and(is_identity) => Phase::Identity,
            ObjectKind::Index => Phase::Index,
            ObjectKind::Statistics => Phase::Statistics,
            ObjectKind::Trigger => Phase::Trigger,
            ObjectKind::Rule => Phase::Rule,
            ObjectKind::Policy => Phase::Policy,
            ObjectKind::SecurityLabel => Phase::Label,
            ObjectKind::DefaultPrivileges => Phase::DefaultPrivileges,
            _ => Phase::Create,
        };
        phase as i64
    }
}
