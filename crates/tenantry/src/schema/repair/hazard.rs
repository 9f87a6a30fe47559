//! Possible side effects of a repair's statements.

use std::fmt;

use serde::Serialize;

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{fill, ident, is_of_domain, own},
    },
    conversion::{Effect, effect},
    plan::{Plan, table_of},
    rebuild,
    sequences::column_of,
    target::printed,
    violations,
};

/// A possible side effect of a statement.
///
/// `Display` writes words: `locks orders (access exclusive)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "hazard", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Hazard {
    /// Rows or values are lost, or become less precise.
    LosesData,
    /// Roles lose privileges that they have now, such as those that were granted by hand.
    RevokesAccess,
    /// Every row is rewritten: the time depends on the number of rows, and the table's space is needed a second time.
    RewritesTable,
    /// The whole table is read.
    ReadsTable,
    /// It waits for a lock on a table, and holds it until the end of the transaction.
    Locks {
        /// The table or view.
        relation: String,
        /// The lock's mode.
        mode: LockMode,
    },
    /// It fails if there are rows that do not fit.
    MayFail {
        /// A query that finds such rows, if possible. It expects the schema to be the search path.
        query: Option<String>,
    },
}

/// Modes of table locks, from weak to strong
/// ([Explicit Locking](https://www.postgresql.org/docs/current/explicit-locking.html)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LockMode {
    /// Other schema changes wait; reads and writes continue.
    ShareUpdateExclusive,
    /// Writes wait.
    Share,
    /// Writes wait, and so do other locks of this mode.
    ShareRowExclusive,
    /// Reads wait, too.
    AccessExclusive,
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShareUpdateExclusive => "share update exclusive",
            Self::Share => "share",
            Self::ShareRowExclusive => "share row exclusive",
            Self::AccessExclusive => "access exclusive",
        })
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LosesData => f.write_str("LOSES DATA"),
            Self::RevokesAccess => f.write_str("REVOKES ACCESS"),
            Self::RewritesTable => f.write_str("rewrites the table"),
            Self::ReadsTable => f.write_str("reads the whole table"),
            Self::Locks { relation, mode } => write!(f, "locks {relation} ({mode})"),
            Self::MayFail { query: None } => f.write_str("may fail on existing rows"),
            Self::MayFail { query: Some(query) } => {
                write!(f, "may fail on existing rows: {query}")
            }
        }
    }
}

impl Hazard {
    /// Replaces the placeholders by the names.
    pub(super) fn fill(&mut self, schema: &str, role: Option<&str>) {
        if let Self::MayFail { query: Some(query) } = self {
            *query = fill(query, schema, role);
        }
    }
}

/// Returns the hazards of a statement for this object.
pub(super) fn of(plan: &Plan<'_>, key: &ObjectKey, sql: &str) -> Vec<Hazard> {
    let mut found = of_change(plan, key, sql);
    // A new object starts with PostgreSQL's default grants, which no role relies on yet.
    if revokes(sql) && !plan.created.contains(key) && !plan.missing.contains(key) {
        found.insert(0, Hazard::RevokesAccess);
    }
    found
}

fn revokes(sql: &str) -> bool {
    let of_defaults = sql.starts_with("alter default privileges ") && sql.contains(" revoke ");
    sql.starts_with("revoke ") || of_defaults
}

/// The hazards of a statement, in the order in which they are reported.
#[derive(Default)]
struct Findings {
    hazards: Vec<Hazard>,
    may_fail: Option<Hazard>,
}

impl Findings {
    fn add(&mut self, hazard: Hazard) {
        self.hazards.push(hazard);
    }

    /// The statement fails if this query finds rows.
    fn may_fail(&mut self, query: Option<String>) {
        self.may_fail = Some(Hazard::MayFail { query });
    }

    fn with_lock(mut self, lock: Option<Hazard>) -> Vec<Hazard> {
        self.hazards.extend(self.may_fail);
        self.hazards.extend(lock);
        self.hazards
    }
}

fn of_change(plan: &Plan<'_>, key: &ObjectKey, sql: &str) -> Vec<Hazard> {
    let object = plan.expected.get(key).or_else(|| plan.actual.get(key));
    let locked = object.and_then(|object| Some((object, relation(plan, key, object, sql)?)));
    let Some((object, relation)) = locked else { return of_others(plan, key, sql) };
    // A new object has no users yet.
    let is_new = |kind| plan.missing.contains(&ObjectKey::new(kind, &*relation));
    if is_new(ObjectKind::Table) || is_new(ObjectKind::ForeignTable) {
        return Vec::new();
    }
    let mut found = Findings::default();
    if loses_data(plan, key, sql) {
        found.add(Hazard::LosesData);
    }
    match key.kind {
        ObjectKind::Column => of_column(plan, key, sql, &mut found),
        ObjectKind::Constraint | ObjectKind::Index => {
            of_index(key, object, (&own(&relation), sql), &mut found);
        }
        ObjectKind::Table | ObjectKind::MaterializedView => of_table(key, sql, &mut found),
        ObjectKind::Sequence if sql.contains(" add generated ") => found.add(Hazard::ReadsTable),
        _ => {}
    }
    found.with_lock(lock(key, sql).map(|mode| Hazard::Locks { relation, mode }))
}

fn of_column(plan: &Plan<'_>, key: &ObjectKey, sql: &str, found: &mut Findings) {
    let contains = |words: &str| sql.contains(words);
    let (table, name) = (own(key.of.as_deref().unwrap_or_default()), ident(&key.name));
    if contains(" set not null") || contains(" not null ") && contains(" add constraint ") {
        found.add(Hazard::ReadsTable);
        found.may_fail(Some(format!("select * from {table} where {name} is null")));
    }
    if contains(" add column ") {
        let has_value = contains(" default ") || contains(" generated ");
        if contains(" not null") && !has_value {
            found.may_fail(Some(format!("select * from {table} limit 1")));
        }
        // The value is computed for every row.
        if contains("(") && has_value {
            found.add(Hazard::RewritesTable);
            found.may_fail.get_or_insert(Hazard::MayFail { query: None });
        }
    }
    if contains(&format!(" alter column {name} type ")) {
        of_type(plan, key, sql, found);
    }
    if contains(" set expression as ") {
        found.add(Hazard::RewritesTable);
    }
}

/// Finds the hazards of an index or a constraint of this table.
fn of_index(key: &ObjectKey, object: &Object, (table, sql): (&str, &str), found: &mut Findings) {
    let contains = |words: &str| sql.contains(words);
    match key.kind {
        ObjectKind::Constraint if contains(" add constraint ") || contains(" validate ") => {
            found.add(Hazard::ReadsTable);
            if !contains(" not valid") && !contains(" NOT VALID") {
                found.may_fail(violations::of_constraint(table, object));
            }
        }
        ObjectKind::Index if sql.starts_with("create unique ") => {
            found.add(Hazard::ReadsTable);
            found.may_fail(violations::of_unique(table, object));
        }
        ObjectKind::Index if sql.starts_with("create ") => found.add(Hazard::ReadsTable),
        _ => {}
    }
}

/// Finds the hazards of a table or a materialized view.
fn of_table(key: &ObjectKey, sql: &str, found: &mut Findings) {
    const REWRITES: &[&str] =
        &[" set logged", " set unlogged", " set tablespace ", " set access method "];
    let is_table = key.kind == ObjectKind::Table;
    if is_table && sql.starts_with("insert ") {
        found.add(Hazard::RewritesTable);
        found.may_fail(None);
        return;
    }
    if is_table && sql.contains(" attach partition ") {
        found.add(Hazard::ReadsTable);
        found.may_fail(None);
        return;
    }
    if REWRITES.iter().any(|words| sql.contains(words)) {
        found.add(Hazard::RewritesTable);
    }
    if sql.starts_with("refresh ") {
        found.add(Hazard::ReadsTable);
    }
}

fn of_others(plan: &Plan<'_>, key: &ObjectKey, sql: &str) -> Vec<Hazard> {
    let mut found = Vec::new();
    // The value of a recreated sequence is preserved.
    let is_lost = key.kind == ObjectKind::Sequence && !plan.created.contains(key);
    if is_lost && sql.starts_with("drop sequence ") {
        found.push(Hazard::LosesData);
    }
    let narrows = sql.contains(" set not null") || sql.contains(" add constraint ");
    let is_of_domain = matches!(key.kind, ObjectKind::Domain | ObjectKind::Constraint);
    if is_of_domain && (narrows || sql.contains(" validate constraint ")) {
        found.push(Hazard::MayFail { query: None });
    }
    found
}

/// Returns the relation that a statement about an object locks.
fn relation(plan: &Plan<'_>, key: &ObjectKey, object: &Object, sql: &str) -> Option<String> {
    let is_of_domain = |model| key.kind == ObjectKind::Constraint && is_of_domain(model, key);
    if is_of_domain(plan.expected) || is_of_domain(plan.actual) {
        return None;
    }
    let name = match key.kind {
        // Of an identity, or of a column's default.
        ObjectKind::Sequence if sql.starts_with("alter table ") => table_of_sequence(plan, object)?,
        ObjectKind::Table
        | ObjectKind::ForeignTable
        | ObjectKind::View
        | ObjectKind::MaterializedView => &*key.name,
        ObjectKind::Column
        | ObjectKind::Constraint
        | ObjectKind::Trigger
        | ObjectKind::Rule
        | ObjectKind::Policy
        | ObjectKind::Index => table_of(key, object),
        ObjectKind::Statistics => object.text(Attribute::Table)?.trim_matches('"'),
        _ => return None,
    };
    Some(name.to_owned())
}

fn table_of_sequence<'a>(plan: &Plan<'a>, sequence: &Object) -> Option<&'a str> {
    let column = column_of(sequence)?;
    let models = [plan.expected, plan.actual].into_iter();
    let mut columns = models.flat_map(|model| model.of_kind(ObjectKind::Column));
    let (column, _) = columns.find(|(key, _)| printed(key) == column)?;
    column.of.as_deref()
}

fn loses_data(plan: &Plan<'_>, key: &ObjectKey, sql: &str) -> bool {
    match key.kind {
        ObjectKind::Table => {
            let is_moved = plan.moved.contains_key(key);
            let is_dropped =
                plan.dropped.contains(key) && !is_moved && sql.starts_with("drop table ");
            let is_copied = sql.starts_with("insert ");
            is_dropped && rebuild::holds_rows(plan, key) || is_copied && loses_values(plan, key)
        }
        ObjectKind::Column => {
            let object = plan.actual.get(key);
            let is_computed = object.is_some_and(is_computed);
            sql.contains(" drop column ") && !is_computed || sql.contains(" drop attribute ")
        }
        _ => false,
    }
}

/// Returns `true` if a column's values are generated from others.
fn is_computed(column: &Object) -> bool {
    column.get(Attribute::GeneratedStored).is_some()
        || column.get(Attribute::GeneratedVirtual).is_some()
}

/// Returns `true` if copying a table's rows does not preserve all values.
fn loses_values(plan: &Plan<'_>, table: &ObjectKey) -> bool {
    let into = plan.moved.get(table).map_or(&*table.name, |into| &*into.name);
    let columns = plan.actual.columns(&table.name).into_iter();
    columns.filter(|(_, old)| !is_computed(old)).any(|(column, old)| {
        let new = ObjectKey::part(ObjectKind::Column, into, &*column.name);
        let Some(new) = plan.expected.get(&new) else { return true };
        let types = (old.text(Attribute::Type), new.text(Attribute::Type));
        let is_less = matches!(types, (Some(from), Some(to)) if from != to
            && effect(from, to) == Effect::LosesData);
        is_computed(new) || is_less
    })
}

/// Finds the hazards of a column's new type.
fn of_type(plan: &Plan<'_>, key: &ObjectKey, sql: &str, found: &mut Findings) {
    let data_type = |object: Option<&Object>| {
        object.and_then(|object| object.text(Attribute::Type)).unwrap_or_default().to_owned()
    };
    let (from, to) = (data_type(plan.actual.get(key)), data_type(plan.expected.get(key)));
    let of = key.of.as_deref().unwrap_or_default();
    if sql.ends_with(" type text") && to != "text" {
        return found.add(Hazard::RewritesTable);
    }
    if plan.retyped.contains(&(of, &*key.name)) {
        found.may_fail(violations::of_labels(plan, key, &to));
        return found.add(Hazard::RewritesTable);
    }
    let effect = if from == to { Effect::Nothing } else { effect(&from, &to) };
    if effect == Effect::LosesData {
        found.add(Hazard::LosesData);
    }
    if effect != Effect::Nothing {
        found.add(Hazard::RewritesTable);
    }
    if matches!(effect, Effect::MayFail | Effect::LosesData) {
        found.may_fail(violations::of_type(plan, key, &from, &to));
    }
}

/// Returns the lock that a statement takes on the object's table.
fn lock(key: &ObjectKey, sql: &str) -> Option<LockMode> {
    const WITHOUT: &[&str] =
        &["grant ", "revoke ", "set role", "comment ", "security label ", "select "];
    if WITHOUT.iter().any(|words| sql.starts_with(words)) || sql == "reset role" {
        return None;
    }
    let contains = |words: &str| sql.contains(words);
    Some(match key.kind {
        ObjectKind::View if sql.starts_with("create ") => return None,
        ObjectKind::MaterializedView if sql.starts_with("create ") => return None,
        ObjectKind::Table | ObjectKind::Column if sql.starts_with("insert ") => return None,
        ObjectKind::Index if sql.starts_with("create ") => LockMode::Share,
        ObjectKind::Constraint if contains(" FOREIGN KEY ") => LockMode::ShareRowExclusive,
        ObjectKind::Constraint if contains(" validate ") => LockMode::ShareUpdateExclusive,
        ObjectKind::Trigger if !sql.starts_with("drop ") => LockMode::ShareRowExclusive,
        ObjectKind::Statistics => LockMode::ShareUpdateExclusive,
        ObjectKind::Table if contains(" attach partition ") => LockMode::ShareUpdateExclusive,
        _ if contains(" set statistics ") => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    })
}
