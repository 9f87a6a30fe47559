//! Possible side effects of a repair's statements.

use std::fmt;

use serde::Serialize;

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{escape, fill, ident, is_of_domain, literal, own},
    },
    conversion::{Effect, effect},
    drops::printed,
    plan::{Plan, table_of},
    rebuild,
    steps::column_of,
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

fn of_change(plan: &Plan<'_>, key: &ObjectKey, sql: &str) -> Vec<Hazard> {
    let object = plan.expected.get(key).or_else(|| plan.actual.get(key));
    let Some(relation) = object.and_then(|object| relation(plan, key, object, sql)) else {
        return of_others(plan, key, sql);
    };
    // A new object has no users yet.
    let is_new = |kind| plan.missing.contains(&ObjectKey::new(kind, &*relation));
    if is_new(ObjectKind::Table) || is_new(ObjectKind::ForeignTable) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if loses_data(plan, key, sql) {
        found.push(Hazard::LosesData);
    }
    let mut may_fail = None;
    let starts = |words: &str| sql.starts_with(words);
    let contains = |words: &str| sql.contains(words);
    let table = own(&relation);
    match key.kind {
        ObjectKind::Column => {
            let name = ident(&key.name);
            if contains(" set not null") || contains(" not null ") && contains(" add constraint ") {
                found.push(Hazard::ReadsTable);
                may_fail = Some(Some(format!("select * from {table} where {name} is null")));
            }
            if contains(" add column ") {
                let has_value = contains(" default ") || contains(" generated ");
                if contains(" not null") && !has_value {
                    may_fail = Some(Some(format!("select * from {table} limit 1")));
                }
                // The value is computed for every row.
                if contains("(") && has_value {
                    found.push(Hazard::RewritesTable);
                    may_fail = may_fail.or(Some(None));
                }
            }
            if contains(&format!(" alter column {name} type ")) {
                found.extend(of_type(plan, key, sql, &mut may_fail));
            }
            if contains(" set expression as ") {
                found.push(Hazard::RewritesTable);
            }
        }
        ObjectKind::Constraint if contains(" add constraint ") || contains(" validate ") => {
            found.push(Hazard::ReadsTable);
            if !contains(" not valid") && !contains(" NOT VALID") {
                may_fail = object.map(|object| rows_against(&table, object));
            }
        }
        ObjectKind::Index if starts("create unique ") => {
            found.push(Hazard::ReadsTable);
            may_fail = object.map(|object| twice(&table, columns_in(object)));
        }
        ObjectKind::Index if starts("create ") => found.push(Hazard::ReadsTable),
        ObjectKind::Table if starts("insert ") => {
            found.push(Hazard::RewritesTable);
            may_fail = Some(None);
        }
        ObjectKind::Sequence if contains(" add generated ") => found.push(Hazard::ReadsTable),
        ObjectKind::Table if contains(" attach partition ") => {
            found.push(Hazard::ReadsTable);
            may_fail = Some(None);
        }
        ObjectKind::Table | ObjectKind::MaterializedView => {
            let rewrites =
                [" set logged", " set unlogged", " set tablespace ", " set access method "];
            if rewrites.iter().any(|words| contains(words)) {
                found.push(Hazard::RewritesTable);
            }
            if starts("refresh ") {
                found.push(Hazard::ReadsTable);
            }
        }
        _ => {}
    }
    found.extend(may_fail.map(|query| Hazard::MayFail { query }));
    let mode = lock(key, sql);
    found.extend(mode.map(|mode| Hazard::Locks { relation, mode }));
    found
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
        ObjectKind::Sequence if sql.starts_with("alter table ") => {
            let column = column_of(object)?;
            let models = [plan.expected, plan.actual].into_iter();
            let mut columns = models.flat_map(|model| model.of_kind(ObjectKind::Column));
            let (column, _) = columns.find(|(key, _)| printed(key) == column)?;
            return column.of.clone();
        }
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
            let is_computed = object.is_some_and(|object| {
                object.get(Attribute::GeneratedStored).is_some()
                    || object.get(Attribute::GeneratedVirtual).is_some()
            });
            sql.contains(" drop column ") && !is_computed || sql.contains(" drop attribute ")
        }
        _ => false,
    }
}

/// Returns `true` if copying a table's rows does not preserve all values.
fn loses_values(plan: &Plan<'_>, table: &ObjectKey) -> bool {
    let is_computed = |object: &Object| {
        object.get(Attribute::GeneratedStored).is_some()
            || object.get(Attribute::GeneratedVirtual).is_some()
    };
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

fn of_type(
    plan: &Plan<'_>,
    key: &ObjectKey,
    sql: &str,
    may_fail: &mut Option<Option<String>>,
) -> Vec<Hazard> {
    let data_type = |object: Option<&Object>| {
        object.and_then(|object| object.text(Attribute::Type)).unwrap_or_default().to_owned()
    };
    let (from, to) = (data_type(plan.actual.get(key)), data_type(plan.expected.get(key)));
    let of = key.of.as_deref().unwrap_or_default();
    if sql.ends_with(" type text") && to != "text" {
        return vec![Hazard::RewritesTable];
    }
    if plan.retyped.contains(&(of, &*key.name)) {
        *may_fail = Some(without_label(plan, key, &to));
        return vec![Hazard::RewritesTable];
    }
    if from == to {
        return Vec::new();
    }
    match effect(&from, &to) {
        Effect::Nothing => Vec::new(),
        Effect::Rewrites => vec![Hazard::RewritesTable],
        Effect::MayFail => {
            *may_fail = Some(unfit(plan, key, &from, &to));
            vec![Hazard::RewritesTable]
        }
        Effect::LosesData => {
            *may_fail = Some(unfit(plan, key, &from, &to));
            vec![Hazard::LosesData, Hazard::RewritesTable]
        }
    }
}

/// Returns a query for the rows whose label no longer exists in an enum.
fn without_label(plan: &Plan<'_>, column: &ObjectKey, data_type: &str) -> Option<String> {
    let (key, new) =
        plan.expected.of_kind(ObjectKind::Enum).find(|(key, _)| ident(&key.name) == data_type)?;
    let old = plan.actual.get(key)?;
    let labels = old.list(Attribute::Labels).iter();
    let gone = labels.filter(|label| !new.list(Attribute::Labels).contains(label));
    let gone: Vec<_> = gone.map(|label| literal(&escape(label))).collect();
    let (table, name) = (own(column.of.as_deref().unwrap_or_default()), ident(&column.name));
    let all = gone.join(", ");
    (!gone.is_empty()).then(|| format!("select {name} from {table} where {name}::text in ({all})"))
}

/// Returns a query for the rows whose value does not fit into a type.
fn unfit(plan: &Plan<'_>, key: &ObjectKey, from: &str, to: &str) -> Option<String> {
    let table = own(key.of.as_deref().unwrap_or_default());
    let name = ident(&key.name);
    let (bare, inner) = to.split_once('(').unwrap_or((to, ""));
    let numbers: Vec<u32> =
        inner.trim_end_matches(')').split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let is_number = ["smallint", "integer", "bigint", "numeric", "real", "double precision"]
        .iter()
        .any(|number| from.starts_with(number));
    let condition = match (bare, &numbers[..]) {
        ("character varying" | "character", [length]) => {
            format!("char_length({name}::text) > {length}")
        }
        ("smallint", _) if is_number => format!("{name} not between -32768 and 32767"),
        ("integer", _) if is_number => format!("{name} not between -2147483648 and 2147483647"),
        ("bigint", _) if is_number => {
            format!("{name} not between -9223372036854775808 and 9223372036854775807")
        }
        ("numeric", [all, after]) if is_number && all >= after => {
            format!("abs({name}) >= 1e{}", all - after)
        }
        _ if plan.actual.server_version >= 16 && !to.contains('\'') => {
            format!("not pg_input_is_valid({name}::text, '{to}')")
        }
        ("smallint" | "integer" | "bigint", _) => format!("{name}::text !~ '^\\s*[-+]?\\d+\\s*$'"),
        ("numeric" | "real" | "double precision", _) => {
            format!("{name}::text !~ '^\\s*[-+]?(\\d+\\.?\\d*|\\.\\d+)(e[-+]?\\d+)?\\s*$'")
        }
        ("uuid", _) => {
            format!("{name}::text !~* '^[0-9a-f]{{8}}-?([0-9a-f]{{4}}-?){{3}}[0-9a-f]{{12}}$'")
        }
        _ => return None,
    };
    Some(format!("select {name} from {table} where {condition}"))
}

/// Returns a query for the rows that a constraint refuses.
fn rows_against(table: &str, constraint: &Object) -> Option<String> {
    let definition = constraint.text(Attribute::Definition)?;
    if let Some(rest) = definition.strip_prefix("CHECK ") {
        let condition = rest.strip_suffix(" NO INHERIT").unwrap_or(rest);
        return Some(format!("select * from {table} where not {condition}"));
    }
    if definition.starts_with("FOREIGN KEY ") {
        return without_referenced(table, definition);
    }
    match definition.starts_with("EXCLUDE ") {
        true => None,
        false => twice(table, columns_in(constraint)),
    }
}

/// Returns the columns of a key or a unique index, if they are plain ones.
fn columns_in(object: &Object) -> Option<String> {
    let definition = object.text(Attribute::Definition)?;
    let (_, rest) = definition.split_once('(')?;
    let (columns, after) = rest.split_once(')')?;
    let is_plain = !columns.contains(['(', '\'']) && !after.contains(" WHERE ");
    let columns = columns.split(',').map(|column| {
        let column = column.trim();
        match column.strip_prefix('"').and_then(|rest| rest.find('"')) {
            Some(end) => column[..end + 2].to_owned(),
            None => column.split(' ').next().unwrap_or_default().to_owned(),
        }
    });
    let columns: Vec<_> = columns.collect();
    is_plain.then(|| columns.join(", "))
}

/// Returns a query for duplicate values.
fn twice(table: &str, columns: Option<String>) -> Option<String> {
    let columns = columns?;
    Some(format!("select {columns}, count(*) from {table} group by {columns} having count(*) > 1"))
}

/// Returns a query for rows that violate a foreign key.
fn without_referenced(table: &str, definition: &str) -> Option<String> {
    let (own, rest) = definition.strip_prefix("FOREIGN KEY (")?.split_once(") REFERENCES ")?;
    let (referenced, rest) = rest.split_once('(')?;
    let (columns, _) = rest.split_once(')')?;
    if own.contains('(') || own.contains('"') || columns.contains('"') || referenced.contains('"') {
        return None;
    }
    let referenced = match referenced.contains('.') {
        true => referenced.to_owned(),
        false => format!("{{schema}}.{referenced}"),
    };
    let pairs: Vec<_> = own.split(", ").zip(columns.split(", ")).collect();
    let there: Vec<_> = pairs.iter().map(|(own, _)| format!("a.{own} is not null")).collect();
    let same: Vec<_> = pairs.iter().map(|(own, other)| format!("b.{other} = a.{own}")).collect();
    Some(format!(
        "select * from {table} as a where {} and not exists (select from {referenced} as b where {})",
        there.join(" and "),
        same.join(" and ")
    ))
}

/// Returns the lock that a statement takes on the object's table.
fn lock(key: &ObjectKey, sql: &str) -> Option<LockMode> {
    let contains = |words: &str| sql.contains(words);
    if sql.starts_with("grant ") || sql.starts_with("revoke ") || sql.starts_with("set role") {
        return None;
    }
    if sql.starts_with("comment ") || sql == "reset role" || sql.starts_with("security label ") {
        return None;
    }
    if sql.starts_with("select ") {
        return None;
    }
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
