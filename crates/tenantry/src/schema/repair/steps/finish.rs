//! What comes after everything is built.

use super::{
    super::{
        super::{
            Attribute, BeyondKind, Object, ObjectKey, ObjectKind, SchemaModel,
            ddl::{ident, literal, own, words},
        },
        rebuild, sequences,
        sequences::column_of,
        target::printed,
    },
    Stage, Steps,
};

impl Steps<'_, '_> {
    /// Restores the values of sequences, removes the tables that were moved aside, and populates materialized views.
    pub(super) fn finish(&mut self) {
        self.restore_sequences();
        self.drop_kept_tables();
        self.refresh_views();
    }

    fn restore_sequences(&mut self) {
        let plan = self.plan;
        for (key, object) in plan.expected.of_kind(ObjectKind::Sequence) {
            let is_bounded_anew = sequences::is_bounded_anew(plan, key);
            if !plan.created.contains(key) && !is_bounded_anew {
                continue;
            }
            let name = literal(&own(&key.name));
            if plan.dropped.contains(key) || is_bounded_anew {
                let kept = own(&rebuild::kept(plan, key));
                let sql = format!(
                    "select pg_catalog.setval({name}, greatest(least(k.last_value, q.seqmax), q.seqmin), k.is_called) \
                     from {kept} as k, pg_catalog.pg_sequence as q where q.seqrelid = {name}::regclass"
                );
                self.add((Stage::Finish, 0, 0), key, sql);
                self.add((Stage::Finish, 1, 0), key, format!("drop table {kept}"));
            } else if let Some(sql) = self.beyond_last(key, object, &name) {
                self.add((Stage::Finish, 0, 0), key, sql);
            }
        }
    }

    fn drop_kept_tables(&mut self) {
        let plan = self.plan;
        for (key, _) in plan.actual.of_kind(ObjectKind::Table) {
            let is_copied = plan.rebuilt.contains(&*key.name) || plan.moved.contains_key(key);
            if is_copied && rebuild::holds_rows(plan, key) {
                let sql = format!("drop table {}", own(&rebuild::kept(plan, key)));
                self.add((Stage::Finish, 1, 0), key, sql);
            }
        }
    }

    /// Populates the new materialized views, except for those that are unpopulated.
    fn refresh_views(&mut self) {
        let plan = self.plan;
        for (rank, place) in (0_i64..).zip(plan.new_order.places()) {
            let key = plan.new_order.keys[place];
            let is_new = plan.created.contains(key) && key.kind == ObjectKind::MaterializedView;
            let model = if plan.dropped.contains(key) { plan.actual } else { plan.expected };
            if is_new && is_populated(model, key) {
                let sql = format!("refresh materialized view {}", own(&key.name));
                self.add((Stage::Finish, 2, rank), key, sql);
            }
        }
    }

    /// Returns the statement that advances a sequence beyond the existing values of the columns that use it.
    fn beyond_last(&self, key: &ObjectKey, sequence: &Object, name: &str) -> Option<String> {
        let function = if sequences::is_downward(sequence) { "min" } else { "max" };
        let values: Vec<_> = self
            .numbered_columns(key, sequence)
            .filter_map(|column| {
                let (table, name) = (own(column.of.as_deref()?), ident(&column.name));
                Some(format!("select {function}({name}) from {table}"))
            })
            .collect();
        let all = values.join(" union all ");
        (!values.is_empty()).then(|| {
            format!(
                "select pg_catalog.setval({name}, v.last) from (select {function}(u.value) as last from ({all}) as u (value)) as v, \
                 pg_catalog.pg_sequence as q where q.seqrelid = {name}::regclass and v.last between q.seqmin and q.seqmax"
            )
        })
    }

    /// Returns the existing columns of numbers that use a sequence.
    fn numbered_columns<'s>(
        &'s self,
        key: &'s ObjectKey,
        sequence: &'s Object,
    ) -> impl Iterator<Item = &'s ObjectKey> {
        let plan = self.plan;
        let owner = column_of(sequence);
        let draws = |object: &Object| {
            object.text(Attribute::Default).is_some_and(|default| {
                default.contains("nextval(")
                    && words(default).iter().any(|(_, word)| *word == key.name)
            })
        };
        let is_number = |object: &Object| {
            matches!(object.text(Attribute::Type), Some("smallint" | "integer" | "bigint"))
        };
        let columns = plan.expected.of_kind(ObjectKind::Column).filter(move |(column, new)| {
            (draws(new) || owner == Some(&*printed(column)))
                && plan.actual.get(column).is_some_and(is_number)
                && is_number(new)
        });
        columns.map(|(column, _)| column)
    }
}

fn is_populated(model: &SchemaModel, view: &ObjectKey) -> bool {
    let mut beyond = model.beyond.iter();
    !beyond.any(|beyond| beyond.what == BeyondKind::NotPopulated && beyond.object == *view)
}
