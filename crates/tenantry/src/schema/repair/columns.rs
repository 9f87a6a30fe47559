//! Columns of tables that are kept.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{Phase, Script, column_definition, ident, identity_clause, own, script},
    },
    conversion, not_null, options,
    pair::Pair,
    plan::{Plan, parents},
    privileges::{comment, common},
    target::printed,
};

/// The attributes that are changed together with the type.
const TYPE: &[Attribute] = &[Attribute::Type, Attribute::Collation];

/// Adds a column that a table, foreign table or composite type lacks.
pub(super) fn add(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let of = key.of.as_deref().unwrap_or_default();
    let comes_from_parent =
        plan.is_typed(of) || parents_column(plan, key, |key| plan.missing.contains(key));
    let adds = format!(" {} add ", own(of));
    for (phase, statement) in script(plan.expected, key).into_phases() {
        match statement.contains(&adds) && phase == Phase::Create {
            true if comes_from_parent => {}
            // All its values exist immediately, so it can be not null.
            true => match identity_clause(plan.expected, key) {
                Some(identity) => out.add(phase, format!("{statement} {identity}")),
                None => out.add(phase, statement),
            },
            false => out.add(phase, statement),
        }
    }
}

/// Returns `true` if a parent or the partitioned table of this column's table has such a column.
pub(super) fn parents_column(
    plan: &Plan<'_>,
    key: &ObjectKey,
    is_such: impl Fn(&ObjectKey) -> bool,
) -> bool {
    let of = key.of.as_deref().unwrap_or_default();
    let table = plan.actual.get(&ObjectKey::new(ObjectKind::Table, of));
    let Some(table) = table.filter(|_| !plan.rebuilt.contains(of)) else { return false };
    parents(table).any(|parent| {
        let tables = plan.actual.of_kind(ObjectKind::Table);
        let mut named = tables.filter(|(table, _)| ident(&table.name) == *parent);
        named.any(|(table, _)| {
            is_such(&ObjectKey::part(ObjectKind::Column, &*table.name, &*key.name))
        })
    })
}

/// Adds the changes of a column that both have.
pub(super) fn alter(plan: &Plan<'_>, key: &ObjectKey, out: &mut Script) {
    let Some(column) = Kept::find(plan, key) else { return };
    let default_is_gone = column.change_type(out);
    column.change_generation(out);
    column.change_default(default_is_gone, out);
    column.change_identity(out);
    not_null::alter(&column.pair, out);
    column.change_settings(out);
    if plan.changed.contains_key(key) {
        common(&column.pair, out);
    }
}

/// A column that both schemas have.
struct Kept<'p, 'a> {
    pair: Pair<'p, 'a>,
    /// The name of its table, and its own in SQL syntax.
    of: &'p str,
    name: String,
}

impl<'p, 'a> Kept<'p, 'a> {
    fn find(plan: &'p Plan<'a>, key: &'p ObjectKey) -> Option<Self> {
        let pair = Pair::find(plan, key)?;
        Some(Self { pair, of: key.of.as_deref().unwrap_or_default(), name: ident(&key.name) })
    }

    /// Returns a statement that alters the column of this table alone.
    fn only(&self, what: &str) -> String {
        format!("alter table only {} alter column {} {what}", own(self.of), self.name)
    }

    /// Returns a statement that alters the column of this table and its children.
    fn all(&self, what: &str) -> String {
        format!("alter table {} alter column {} {what}", own(self.of), self.name)
    }

    /// Returns `true` if the column's values are texts while its type is recreated.
    fn is_retyped(&self) -> bool {
        self.pair.plan.retyped.contains(&(self.of, &*self.pair.key.name))
    }

    /// Changes the type. Returns `true` if the column has no default any more.
    fn change_type(&self, out: &mut Script) -> bool {
        let Pair { plan, key, old, .. } = self.pair;
        let is_redefaulted = plan.redefaulted.contains(&(self.of, &*key.name));
        if !self.pair.differs_in_any(TYPE) && !self.is_retyped() {
            return is_redefaulted;
        }
        let has_default = old.get(Attribute::Default).is_some();
        if has_default && !is_redefaulted {
            out.add(Phase::Create, self.only("drop default"));
        }
        let with_parent = parents_column(plan, key, |parent| {
            let of = parent.of.as_deref().unwrap_or_default();
            plan.retyped.contains(&(of, &*parent.name))
                || TYPE.iter().any(|attribute| plan.changes(parent).contains(attribute))
        });
        if !with_parent {
            out.add(Phase::Create, self.all(&self.new_type()));
        }
        is_redefaulted || has_default
    }

    fn new_type(&self) -> String {
        let Pair { old, new, .. } = self.pair;
        let to = new.text(Attribute::Type).unwrap_or_default();
        let from = match self.is_retyped() {
            true => "text",
            false => old.text(Attribute::Type).unwrap_or_default(),
        };
        let mut sql = format!("type {to}");
        if let Some(collation) = new.text(Attribute::Collation) {
            sql.push_str(&format!(" collate {collation}"));
        }
        if let Some(using) = conversion::using(&self.name, from, to) {
            sql.push_str(&format!(" using {using}"));
        }
        sql
    }

    /// Changes the expression of a generated column.
    fn change_generation(&self, out: &mut Script) {
        for attribute in [Attribute::GeneratedStored, Attribute::GeneratedVirtual] {
            if !self.pair.differs_in(attribute) {
                continue;
            }
            match self.pair.new.text(attribute) {
                Some(expression) => {
                    let sql = self.all(&format!("set expression as ({expression})"));
                    out.add(Phase::Create, sql);
                }
                None if attribute == Attribute::GeneratedStored => {
                    out.add(Phase::Create, self.all("drop expression"));
                }
                None => {}
            }
        }
    }

    fn change_default(&self, is_gone: bool, out: &mut Script) {
        let differs = self.pair.differs_in(Attribute::Default);
        match self.pair.new.text(Attribute::Default) {
            Some(default) if differs || is_gone => {
                out.add(Phase::Create, self.only(&format!("set default {default}")));
            }
            None if differs && !is_gone => out.add(Phase::Create, self.only("drop default")),
            _ => {}
        }
    }

    fn change_identity(&self, out: &mut Script) {
        let Pair { plan, key, old, new } = self.pair;
        // A new identity is added with its sequence, an old one goes with it.
        let has_new_sequence = plan.created.iter().any(|sequence| {
            sequence.kind == ObjectKind::Sequence
                && plan.expected.get(sequence).and_then(|object| object.text(Attribute::IdentityOf))
                    == Some(&*printed(key))
        });
        if self.pair.differs_in(Attribute::Identity)
            && !has_new_sequence
            && old.get(Attribute::Identity).is_some()
            && let Some(when) = new.text(Attribute::Identity)
        {
            out.add(Phase::Identity, self.all(&format!("set generated {when}")));
        }
    }

    /// Changes the storage of the column, and the planner's information about it.
    fn change_settings(&self, out: &mut Script) {
        let Pair { plan, old, new, .. } = self.pair;
        let is_retyped = self.pair.differs_in(Attribute::Type) || self.is_retyped();
        let has_storage = new.get(Attribute::Storage).is_some();
        if self.pair.differs_in(Attribute::Storage) || is_retyped && has_storage {
            let mode = match new.text(Attribute::Storage) {
                Some(mode) => mode,
                None if plan.actual.server_version >= 16 => "default",
                None => usual_storage(new.text(Attribute::Type).unwrap_or_default()),
            };
            out.add(Phase::Create, self.only(&format!("set storage {mode}")));
        }
        for (attribute, words, usual) in [
            (Attribute::Compression, "set compression", "default"),
            (Attribute::StatisticsTarget, "set statistics", "-1"),
        ] {
            if self.pair.differs_in(attribute) {
                let value = new.text(attribute).unwrap_or(usual);
                out.add(Phase::Create, self.only(&format!("{words} {value}")));
            }
        }
        if self.pair.differs_in(Attribute::ColumnOptions) {
            for what in options::storage(old, new, Attribute::ColumnOptions, "") {
                out.add(Phase::Create, self.only(&what));
            }
        }
    }
}

/// Returns the storage of a type's values before version 16 introduced a word for it.
fn usual_storage(data_type: &str) -> &'static str {
    match data_type.split(['(', ' ']).next().unwrap_or_default() {
        "numeric" | "inet" | "cidr" => "main",
        _ => "extended",
    }
}

/// Returns a field of a composite type that is missing.
pub(super) fn add_field(key: &ObjectKey, object: &Object, out: &mut Script) {
    let name = own(key.of.as_deref().unwrap_or_default());
    let definition = column_definition(key, object);
    out.add(Phase::Create, format!("alter type {name} add attribute {definition} cascade"));
    if let Some(text) = object.text(Attribute::Comment) {
        let target = format!("column {name}.{}", ident(&key.name));
        out.add(Phase::Create, comment(&target, Some(text)));
    }
}
