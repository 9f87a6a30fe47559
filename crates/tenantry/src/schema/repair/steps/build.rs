//! Creations and alterations.

use super::{
    super::{
        super::{
            Attribute, BeyondKind, Object, ObjectKey, ObjectKind,
            ddl::{Phase, Script, comes_with_its_table, ident, own, script},
        },
        columns,
        pair::Pair,
        plan::table_of,
        privileges, rebuild, relations,
        target::printed,
        types,
    },
    Stage, Steps,
};

/// A statement with its phase and its object.
type Built<'a> = (&'a ObjectKey, Phase, String);

/// Returns the statements of an object.
fn of(key: &ObjectKey, statements: Vec<(Phase, String)>) -> impl Iterator<Item = Built<'_>> {
    statements.into_iter().map(move |(phase, sql)| (key, phase, sql))
}

impl<'a> Steps<'_, 'a> {
    /// Creates and alters objects, each after those that it needs.
    pub(super) fn build(&mut self) {
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
    fn builds(&self, key: &'a ObjectKey) -> Vec<Built<'a>> {
        let plan = self.plan;
        if key.kind == ObjectKind::DefaultPrivileges && plan.grants_by_default() {
            return of(key, script(plan.expected, key).into_phases()).collect();
        }
        if plan.is_new(key) {
            return of(key, self.created(key)).collect();
        }
        let mut found: Vec<_> = of(key, self.altered(key).into_phases()).collect();
        found.extend(self.parts(key));
        found
    }

    /// Returns the statements that alter an object, without those for its parts.
    fn altered(&self, key: &ObjectKey) -> Script {
        let plan = self.plan;
        let mut out = Script::default();
        let Some(pair) = Pair::find(plan, key) else { return out };
        if plan.changed.contains_key(key) {
            relations::alter(&pair, &mut out);
            types::alter(&pair, &mut out);
            privileges::common(&pair, &mut out);
        } else if plan.redefaulted.contains(&(&*key.name, "")) {
            types::alter(&pair, &mut out);
        }
        // Its owner was dropped or recreated.
        if key.kind == ObjectKind::Sequence
            && let Some(column) = pair.new.text(Attribute::OwnedBy)
            && !pair.differs_in(Attribute::OwnedBy)
            && plan.rebuilt.iter().any(|table| column.starts_with(&format!("{}.", ident(table))))
        {
            let sql = format!("alter sequence {} owned by {column}", own(&key.name));
            out.add(Phase::Ownership, sql);
        }
        out
    }

    /// Returns the statements for the columns and checks of kept objects.
    fn parts(&self, key: &ObjectKey) -> Vec<Built<'a>> {
        let plan = self.plan;
        let has_columns = matches!(
            key.kind,
            ObjectKind::Table
                | ObjectKind::ForeignTable
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Composite
        );
        if !has_columns {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (column, object) in plan.expected.columns(&key.name) {
            found.extend(of(column, self.column(key.kind, column, object).into_phases()));
        }
        for (check, object) in plan.expected.parts_of(ObjectKind::Constraint, &key.name) {
            if comes_with_its_table(object) {
                found.extend(of(check, self.check(key, check).into_phases()));
            }
        }
        found
    }

    /// Returns the statements for a column of a kept object of this kind.
    fn column(&self, holder: ObjectKind, column: &ObjectKey, object: &Object) -> Script {
        let plan = self.plan;
        let mut out = Script::default();
        match (plan.missing.contains(column), holder) {
            (true, ObjectKind::Composite) => columns::add_field(column, object, &mut out),
            (true, ObjectKind::Table | ObjectKind::ForeignTable) => {
                columns::add(plan, column, &mut out);
            }
            (true, _) => {}
            (false, ObjectKind::Composite) => {
                let pair = Pair::find(plan, column);
                if let Some(pair) = pair.filter(|_| plan.changed.contains_key(column)) {
                    privileges::common(&pair, &mut out);
                }
            }
            (false, _) => columns::alter(plan, column, &mut out),
        }
        out
    }

    /// Returns the statements for a check of a kept table.
    fn check(&self, table: &ObjectKey, check: &ObjectKey) -> Script {
        let plan = self.plan;
        let mut out = Script::default();
        if plan.created.contains(check) {
            let is_partition =
                plan.expected.get(table).is_some_and(|t| t.get(Attribute::PartitionOf).is_some());
            let parents = plan.parents_check(check).filter(|(key, _)| !plan.is_gone(key));
            if is_partition && parents.is_some() {
                let (table, name) = (own(&table.name), ident(&check.name));
                out.add(Phase::Check, format!("alter table {table} validate constraint {name}"));
            } else if !self.comes_from_parent(table, check) {
                out = script(plan.expected, check);
            }
        } else if plan.changed.contains_key(check)
            && let Some(pair) = Pair::find(plan, check)
        {
            relations::alter(&pair, &mut out);
            privileges::common(&pair, &mut out);
        }
        out
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
            ObjectKind::Sequence => self.adjust_sequence(object, &mut found),
            ObjectKind::Table if plan.is_attached_late(&key.name) => attach_late(&mut found),
            ObjectKind::Index | ObjectKind::Constraint => {
                self.adjust_index(key, object, &mut found);
            }
            _ => {}
        }
        found
    }

    /// An identity's sequence comes with a column that is added, and before the rows of a table that is copied.
    fn adjust_sequence(&self, object: &Object, statements: &mut Vec<(Phase, String)>) {
        let plan = self.plan;
        let column = object.text(Attribute::IdentityOf).unwrap_or_default();
        let mut columns = plan.expected.of_kind(ObjectKind::Column).map(|(key, _)| key);
        let column = columns.find(|key| printed(key) == column);
        let of = column.and_then(|column| column.of.as_deref()).unwrap_or_default();
        let table = ObjectKey::new(ObjectKind::Table, of);
        let comes_with_column =
            column.is_some_and(|column| plan.missing.contains(column)) && !plan.is_new(&table);
        statements.retain(|(phase, _)| *phase != Phase::Identity || !comes_with_column);
        for (phase, _) in statements {
            // Copied rows can need values from it.
            if *phase == Phase::Identity && plan.rebuilt.contains(of) {
                *phase = Phase::Create;
            }
        }
    }

    fn adjust_index(
        &self,
        key: &ObjectKey,
        object: &Object,
        statements: &mut Vec<(Phase, String)>,
    ) {
        let plan = self.plan;
        // It becomes part of its parent's together with its table.
        if plan.is_attached_late(table_of(key, object)) {
            statements.retain(|(phase, _)| *phase != Phase::Attach);
        }
        let is_invalid = plan.actual.beyond.iter().any(|beyond| {
            beyond.what == BeyondKind::InvalidIndex && beyond.object.name == key.name
        });
        if is_invalid && let Some((phase, _)) = statements.first() {
            statements.insert(0, (*phase, format!("drop index {}", own(&key.name))));
        }
    }
}

/// Attaches a partition after its indexes exist: a table that stays brings its indexes along.
fn attach_late(statements: &mut [(Phase, String)]) {
    for (phase, sql) in statements {
        if *phase == Phase::Create && sql.contains(" attach partition ") {
            *phase = Phase::UseIndex;
        }
    }
}
