//! What is saved before anything is dropped.

use super::{
    super::{
        super::{
            Attribute, ObjectKey, ObjectKind,
            ddl::{ident, own},
        },
        drops, rebuild, sequences,
        sequences::column_of,
        types,
    },
    Stage, Steps,
};

impl Steps<'_, '_> {
    /// Saves what would be lost with dropped objects: the values of sequences. Suppresses default privileges.
    pub(super) fn save(&mut self) {
        let plan = self.plan;
        self.lock_tables();
        self.save_sequences();
        self.detach_sequences();
        if plan.grants_by_default() {
            for (key, _) in plan.actual.of_kind(ObjectKind::DefaultPrivileges) {
                for sql in drops::drops(plan, key) {
                    self.add((Stage::Save, 0, 0), key, sql);
                }
            }
        }
        for (key, attributes) in &plan.changed {
            if attributes.contains(&Attribute::Labels) && !plan.dropped.contains(key) {
                let (old, new) = (&plan.actual.objects[*key], &plan.expected.objects[*key]);
                for sql in types::new_labels(key, old, new) {
                    self.add((Stage::Alone, 0, 0), key, sql);
                }
            }
        }
    }

    /// No other session can write to tables that are copied, or use sequences whose values are saved.
    fn lock_tables(&mut self) {
        let plan = self.plan;
        for (key, _) in plan.actual.of_kind(ObjectKind::Table) {
            if plan.rebuilt.contains(&*key.name) || self.has_recreated_sequence(key) {
                let sql = format!("lock table {} in access exclusive mode", own(&key.name));
                self.add((Stage::Save, -1, 0), key, sql);
            }
        }
    }

    fn has_recreated_sequence(&self, table: &ObjectKey) -> bool {
        let plan = self.plan;
        let start = format!("{}.", ident(&table.name));
        plan.dropped.iter().any(|sequence| {
            let object = plan.actual.get(sequence);
            sequence.kind == ObjectKind::Sequence
                && plan.created.contains(sequence)
                && object.and_then(column_of).is_some_and(|column| column.starts_with(&start))
        })
    }

    fn save_sequences(&mut self) {
        let plan = self.plan;
        for (key, _) in plan.actual.of_kind(ObjectKind::Sequence) {
            let comes_again = plan.dropped.contains(key) && plan.created.contains(key);
            if comes_again || sequences::is_bounded_anew(plan, key) {
                let (kept, name) = (own(&rebuild::kept(plan, key)), own(&key.name));
                let sql =
                    format!("create table {kept} as select last_value, is_called from {name}");
                self.add((Stage::Save, 0, 0), key, sql);
            }
        }
    }

    /// Keeps sequences that would be dropped with the column that owns them.
    fn detach_sequences(&mut self) {
        let plan = self.plan;
        for (key, object) in plan.actual.of_kind(ObjectKind::Sequence) {
            let column = object.text(Attribute::OwnedBy);
            if !plan.dropped.contains(key) && column.is_some_and(|c| drops::column_goes(plan, c)) {
                let sql = format!("alter sequence {} owned by none", own(&key.name));
                self.add((Stage::Save, 0, 0), key, sql);
            }
        }
    }
}
