//! The statements in a working order: drops in the reverse order of creation, then creations.

use std::collections::BTreeMap;

use super::{
    super::{
        Attribute, BeyondKind, Object, ObjectKey, ObjectKind, SchemaModel,
        ddl::{
            Phase, Script, comes_with_its_table, fill, ident, is_check, is_key, literal, own,
            reparsable, script, words,
        },
    },
    Step, columns, drops, hazard,
    plan::{Plan, table_of},
    privileges, rebuild, relations, types,
};

/// The stage in which a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Labels of enums: committed before anything uses them.
    Alone,
    /// Saves values that would be lost.
    Save,
    /// Drops objects.
    Drop,
    /// Creates objects.
    Build,
    /// Restores the saved values.
    Finish,
}

/// Statements with their positions.
struct Steps<'p, 'a> {
    plan: &'p Plan<'a>,
    /// The index of each object in the order of creation.
    old_places: BTreeMap<&'a ObjectKey, i64>,
    found: Vec<((Stage, i64, i64), &'a ObjectKey, String)>,
}

/// Returns all statements.
pub(super) fn all(plan: &Plan<'_>) -> Vec<Step> {
    let old_places = (0_i64..)
        .zip(plan.old_order.places())
        .map(|(rank, place)| (plan.old_order.keys[place], rank))
        .collect();
    let mut steps = Steps { plan, old_places, found: Vec::new() };
    steps.save();
    steps.go();
    steps.come();
    steps.finish();
    // Each stage was filled in its own order.
    steps.found.sort_by_key(|(turn, ..)| *turn);
    let (schema, role) = (&plan.actual.schema, plan.actual.role.as_deref());
    let step = |((stage, ..), key, sql): ((Stage, i64, i64), &ObjectKey, String)| {
        let remark = remark(plan, key, &sql, stage);
        let mut hazards = hazard::of(plan, key, &sql);
        hazards.iter_mut().for_each(|hazard| hazard.fill(schema, role));
        Step {
            sql: fill(&reparsable(&sql), schema, role),
            object: key.clone(),
            hazards,
            remark: remark.map(str::to_owned),
            is_alone: stage == Stage::Alone,
        }
    };
    steps.found.into_iter().map(step).collect()
}

/// Returns the reason for a statement that no difference explains.
fn remark(plan: &Plan<'_>, key: &ObjectKey, sql: &str, stage: Stage) -> Option<&'static str> {
    if key.kind == ObjectKind::Table && plan.rebuilt.contains(&*key.name) {
        return match () {
            () if sql.starts_with("lock ") => Some(
                "it cannot be altered as it has to be (such as the order of its columns): it is created anew, and its rows are copied",
            ),
            () if sql.contains(" rename to ") => Some("moved aside until its rows are copied"),
            _ => None,
        };
    }
    let comes_again = plan.dropped.contains(key) && plan.created.contains(key);
    (comes_again && !plan.changed.contains_key(key) && stage == Stage::Drop)
        .then_some("it is in the way of another change, and comes again below")
}

impl<'a> Steps<'_, 'a> {
    fn add(&mut self, turn: (Stage, i64, i64), key: &'a ObjectKey, sql: String) {
        self.found.push((turn, key, sql));
    }

    /// Saves what would be lost with dropped objects: the values of sequences. Suppresses default privileges.
    fn save(&mut self) {
        let plan = self.plan;
        // No other session can write to tables that are copied, or use sequences whose values are saved.
        for (key, _) in plan.actual.of_kind(ObjectKind::Table) {
            let start = format!("{}.", ident(&key.name));
            let is_drawn = plan.dropped.iter().any(|sequence| {
                let object = plan.actual.get(sequence);
                sequence.kind == ObjectKind::Sequence
                    && plan.created.contains(sequence)
                    && object.and_then(column_of).is_some_and(|column| column.starts_with(&start))
            });
            if plan.rebuilt.contains(&*key.name) || is_drawn {
                let sql = format!("lock table {} in access exclusive mode", own(&key.name));
                self.add((Stage::Save, -1, 0), key, sql);
            }
        }
        for (key, _) in plan.actual.of_kind(ObjectKind::Sequence) {
            let comes_again = plan.dropped.contains(key) && plan.created.contains(key);
            if comes_again || relations::is_bounded_anew(plan, key) {
                let (kept, name) = (own(&rebuild::kept(plan, key)), own(&key.name));
                let sql =
                    format!("create table {kept} as select last_value, is_called from {name}");
                self.add((Stage::Save, 0, 0), key, sql);
            }
        }
        for (key, object) in plan.actual.of_kind(ObjectKind::Sequence) {
            let column = object.text(Attribute::OwnedBy);
            if !plan.dropped.contains(key) && column.is_some_and(|c| drops::column_goes(plan, c)) {
                let sql = format!("alter sequence {} owned by none", own(&key.name));
                self.add((Stage::Save, 0, 0), key, sql);
            }
        }
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
                for sql in relations::labels(key, old, new) {
                    self.add((Stage::Alone, 0, 0), key, sql);
                }
            }
        }
    }

    /// Drops objects, each before those that it needs.
    fn go(&mut self) {
        let plan = self.plan;
        for key in plan.dropped.iter().copied() {
            if key.kind == ObjectKind::DefaultPrivileges && plan.grants_by_default() {
                continue;
            }
            let is_part = !self.old_places.contains_key(key);
            let turn = match is_part {
                // A check that a parent has as well can only be dropped after the parent's.
                true if plan.parents_check(key).is_some()
                    && !plan.rebuilt.contains(key.of.as_deref().unwrap_or_default()) =>
                {
                    (Stage::Drop, 1, 0)
                }
                // Checks, then columns, then their table.
                true => self.turn_of_table(key, if key.kind == ObjectKind::Column { 2 } else { 0 }),
                false => {
                    let place = self.old_places[key];
                    (Stage::Drop, -self.phase(key), -place * 8 + 5)
                }
            };
            for sql in drops::drops(plan, key) {
                self.add(turn, key, sql);
            }
        }
        for (key, object) in plan.actual.of_kind(ObjectKind::Table) {
            if plan.dropped.contains(key) && !plan.moved.contains_key(key) {
                continue;
            }
            let (_, _, place) = self.turn_of_table(key, 0);
            for sql in drops::strip(plan, key) {
                self.add((Stage::Drop, -(drops::STRIP as i64), place), key, sql);
            }
            let is_rebuilt = plan.rebuilt.contains(&*key.name);
            for (column, _) in plan.actual.columns(&key.name) {
                let is_retyped = plan.retyped.contains(&(&*key.name, &*column.name));
                let is_parents = columns::parents_column(plan, column, |column| {
                    let table = column.of.as_deref().unwrap_or_default();
                    plan.retyped.contains(&(table, &*column.name))
                });
                let holds_nothing = is_rebuilt && object.get(Attribute::PartitionKey).is_some();
                if is_retyped && !is_parents && !holds_nothing {
                    let (table, name) = (own(&key.name), ident(&column.name));
                    let sql = format!("alter table {table} alter column {name} type text");
                    self.add(self.turn_of_table(key, 1), column, sql);
                }
            }
            if is_rebuilt {
                let sql = rebuild::put_aside(plan, key);
                self.add(self.turn_of_table(key, 3), key, sql);
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

    /// Returns when a table or a part of it is changed, among the dropped objects.
    fn turn_of_table(&self, key: &ObjectKey, at: i64) -> (Stage, i64, i64) {
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
            ObjectKind::Constraint => match object {
                _ if is_early => Phase::Create,
                Some(object) if is_key(object) => Phase::Key,
                Some(object) if is_check(object) => Phase::Check,
                _ => Phase::ForeignKey,
            },
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

    /// Creates objects, each after those that it needs.
    fn come(&mut self) {
        let plan = self.plan;
        for (rank, place) in (0_i64..).zip(plan.new_order.places()) {
            let key = plan.new_order.keys[place];
            let is_early = plan.new_order.needed.contains(&place);
            for (key, mut phase, sql) in self.builds(key) {
                if phase == Phase::Key && is_early {
                    phase = Phase::Create;
                }
                self.add((Stage::Build, phase as i64, rank), key, sql);
            }
            if key.kind == ObjectKind::Table
                && plan.rebuilt.contains(&*key.name)
                && rebuild::holds_rows(plan, key)
            {
                self.copy(key, plan.root(key), rank);
            }
        }
        for (key, into) in &plan.moved {
            self.copy(key, into, i64::MAX);
        }
    }

    /// Copies rows, once the target table is ready.
    fn copy(&mut self, key: &'a ObjectKey, into: &ObjectKey, rank: i64) {
        let plan = self.plan;
        let turn = match plan.is_new(into) {
            true => (Stage::Build, Phase::Rows as i64, rank),
            // The partitions have been attached by then.
            false => (Stage::Build, Phase::UseIndex as i64, i64::MAX),
        };
        self.add(turn, key, rebuild::copy(plan, key, into));
    }

    /// Returns the statements for an object of the reference and its parts.
    fn builds(&self, key: &'a ObjectKey) -> Vec<(&'a ObjectKey, Phase, String)> {
        let plan = self.plan;
        if key.kind == ObjectKind::DefaultPrivileges && plan.grants_by_default() {
            let statements = script(plan.expected, key).into_phases().into_iter();
            return statements.map(|(phase, sql)| (key, phase, sql)).collect();
        }
        if plan.is_new(key) {
            return self.created(key).into_iter().map(|(phase, sql)| (key, phase, sql)).collect();
        }
        let mut found = Vec::new();
        let mut out = Script::default();
        if plan.changed.contains_key(key) {
            relations::alter(plan, key, &mut out);
            types::alter(plan, key, &mut out);
            privileges::common(plan, key, &mut out);
        } else if plan.redefaulted.contains(&(&*key.name, "")) {
            types::alter(plan, key, &mut out);
        }
        // Its owner was dropped or recreated.
        if key.kind == ObjectKind::Sequence
            && let Some(column) = plan.expected.objects[key].text(Attribute::OwnedBy)
            && !plan.changed.get(key).is_some_and(|a| a.contains(&Attribute::OwnedBy))
            && plan.rebuilt.iter().any(|table| column.starts_with(&format!("{}.", ident(table))))
        {
            out.add(
                Phase::Ownership,
                format!("alter sequence {} owned by {column}", own(&key.name)),
            );
        }
        found.extend(out.into_phases().into_iter().map(|(phase, sql)| (key, phase, sql)));
        found.extend(self.parts(key));
        found
    }

    /// Returns the statements for the columns and checks of kept objects.
    fn parts(&self, key: &ObjectKey) -> Vec<(&'a ObjectKey, Phase, String)> {
        let plan = self.plan;
        let is_relation = matches!(
            key.kind,
            ObjectKind::Table
                | ObjectKind::ForeignTable
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Composite
        );
        if !is_relation {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (column, object) in plan.expected.columns(&key.name) {
            let mut out = Script::default();
            match (plan.missing.contains(column), key.kind) {
                (true, ObjectKind::Composite) => columns::add_field(column, object, &mut out),
                (true, ObjectKind::Table | ObjectKind::ForeignTable) => {
                    columns::add(plan, column, &mut out);
                }
                (true, _) => {}
                (false, ObjectKind::Composite) => {
                    if plan.changed.contains_key(column) {
                        privileges::common(plan, column, &mut out);
                    }
                }
                (false, _) => columns::alter(plan, column, &mut out),
            }
            found.extend(out.into_phases().into_iter().map(|(phase, sql)| (column, phase, sql)));
        }
        for (check, object) in plan.expected.of_kind(ObjectKind::Constraint) {
            if check.of.as_deref() != Some(&key.name) || !comes_with_its_table(object) {
                continue;
            }
            let mut out = Script::default();
            if plan.created.contains(check) {
                let is_partition =
                    plan.expected.get(key).is_some_and(|t| t.get(Attribute::PartitionOf).is_some());
                let parents = plan.parents_check(check).filter(|(key, _)| !plan.is_gone(key));
                if is_partition && parents.is_some() {
                    let sql = format!(
                        "alter table {} validate constraint {}",
                        own(&key.name),
                        ident(&check.name)
                    );
                    out.add(Phase::Check, sql);
                } else if !self.comes_from_parent(key, check) {
                    out = script(plan.expected, check);
                }
            } else if plan.changed.contains_key(check) {
                relations::alter(plan, check, &mut out);
                privileges::common(plan, check, &mut out);
            }
            found.extend(out.into_phases().into_iter().map(|(phase, sql)| (check, phase, sql)));
        }
        found
    }

    /// Returns `true` if a partition gets this check from its parent.
    fn comes_from_parent(&self, table: &ObjectKey, check: &ObjectKey) -> bool {
        let plan = self.plan;
        let table = plan.expected.get(table);
        let Some(parent) = table.and_then(|table| table.text(Attribute::PartitionOf)) else {
            return false;
        };
        plan.created.iter().any(|other| {
            other.kind == ObjectKind::Constraint
                && other.name == check.name
                && other.of.as_deref().map(ident).as_deref() == Some(parent)
        })
    }

    /// Returns the statements that create an object.
    fn created(&self, key: &ObjectKey) -> Vec<(Phase, String)> {
        let plan = self.plan;
        let object = &plan.expected.objects[key];
        let mut found = script(plan.expected, key).into_phases();
        match key.kind {
            ObjectKind::Sequence => {
                let column = object.text(Attribute::IdentityOf).unwrap_or_default();
                let columns = plan.expected.of_kind(ObjectKind::Column).map(|(key, _)| key);
                let column = columns.into_iter().find(|key| drops::printed(key) == column);
                let of = column.and_then(|column| column.of.as_deref()).unwrap_or_default();
                let table = ObjectKey::new(ObjectKind::Table, of);
                let comes_with_column = column.is_some_and(|column| plan.missing.contains(column))
                    && !plan.is_new(&table);
                found.retain(|(phase, _)| *phase != Phase::Identity || !comes_with_column);
                for (phase, _) in &mut found {
                    // Copied rows can need values from it.
                    if *phase == Phase::Identity && plan.rebuilt.contains(of) {
                        *phase = Phase::Create;
                    }
                }
            }
            // A partition of a table that stays brings its indexes along.
            ObjectKind::Table => {
                let is_late = plan.is_attached_late(&key.name);
                for (phase, sql) in &mut found {
                    let attaches = sql.contains(" attach partition ");
                    if attaches && *phase == Phase::Create && is_late {
                        *phase = Phase::UseIndex;
                    }
                }
            }
            ObjectKind::Index | ObjectKind::Constraint => {
                // It becomes part of its parent's together with its table.
                if plan.is_attached_late(table_of(key, object)) {
                    found.retain(|(phase, _)| *phase != Phase::Attach);
                }
                let name = ident(&key.name);
                let is_invalid = plan.actual.beyond.iter().any(|beyond| {
                    beyond.what == BeyondKind::InvalidIndex && beyond.object.name == key.name
                });
                if is_invalid && let Some((phase, _)) = found.first() {
                    found.insert(0, (*phase, format!("drop index {{schema}}.{name}")));
                }
            }
            _ => {}
        }
        found
    }

    fn finish(&mut self) {
        let plan = self.plan;
        for (key, object) in plan.expected.of_kind(ObjectKind::Sequence) {
            let is_bounded_anew = relations::is_bounded_anew(plan, key);
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
        for (key, _) in plan.actual.of_kind(ObjectKind::Table) {
            let is_copied = plan.rebuilt.contains(&*key.name) || plan.moved.contains_key(key);
            if is_copied && rebuild::holds_rows(plan, key) {
                let sql = format!("drop table {}", own(&rebuild::kept(plan, key)));
                self.add((Stage::Finish, 1, 0), key, sql);
            }
        }
        for (rank, place) in (0_i64..).zip(plan.new_order.places()) {
            let key = plan.new_order.keys[place];
            let is_filled = |model: &SchemaModel| {
                !model
                    .beyond
                    .iter()
                    .any(|beyond| beyond.what == BeyondKind::NotPopulated && beyond.object == *key)
            };
            let model = if plan.dropped.contains(key) { plan.actual } else { plan.expected };
            let is_new = plan.created.contains(key) && key.kind == ObjectKind::MaterializedView;
            if is_new && is_filled(model) {
                let sql = format!("refresh materialized view {}", own(&key.name));
                self.add((Stage::Finish, 2, rank), key, sql);
            }
        }
    }

    /// Returns the statement that advances a sequence beyond the existing values of the columns that use it.
    fn beyond_last(&self, key: &ObjectKey, sequence: &Object, name: &str) -> Option<String> {
        let plan = self.plan;
        let owner = column_of(sequence);
        let draws = |object: &Object| {
            object.text(Attribute::Default).is_some_and(|default| {
                default.contains("nextval(")
                    && words(default).iter().any(|(_, word)| *word == key.name)
            })
        };
        let columns = plan
            .expected
            .of_kind(ObjectKind::Column)
            .filter(|(column, object)| draws(object) || owner == Some(&*drops::printed(column)));
        let function = if relations::is_downward(sequence) { "min" } else { "max" };
        let values: Vec<_> = columns
            .filter(|(column, new)| {
                let is_number = |object: &Object| {
                    matches!(object.text(Attribute::Type), Some("smallint" | "integer" | "bigint"))
                };
                plan.actual.get(column).is_some_and(is_number) && is_number(new)
            })
            .filter_map(|(column, _)| {
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
}

impl Plan<'_> {
    /// Returns `true` if an object is created.
    pub(super) fn is_new(&self, key: &ObjectKey) -> bool {
        self.created.contains(key)
            || key.kind == ObjectKind::Table && self.rebuilt.contains(&*key.name)
    }

    /// Returns `true` if new objects would get default privileges.
    fn grants_by_default(&self) -> bool {
        (!self.created.is_empty() || !self.rebuilt.is_empty())
            && self.actual.of_kind(ObjectKind::DefaultPrivileges).next().is_some()
    }
}

/// Returns the printed name of the column that a sequence belongs to.
pub(super) fn column_of(sequence: &Object) -> Option<&str> {
    sequence.text(Attribute::IdentityOf).or(sequence.text(Attribute::OwnedBy))
}

fn is_identity(sequence: &Object) -> bool {
    sequence.get(Attribute::IdentityOf).is_some()
}
