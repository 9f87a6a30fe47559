//! Queries for the rows that a statement fails on.

use super::{
    super::{
        Attribute, Object, ObjectKey, ObjectKind,
        ddl::{escape, ident, literal, own},
    },
    plan::Plan,
};

/// Returns a query for the rows whose label no longer exists in an enum.
pub(super) fn of_labels(plan: &Plan<'_>, column: &ObjectKey, data_type: &str) -> Option<String> {
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
pub(super) fn of_type(plan: &Plan<'_>, key: &ObjectKey, from: &str, to: &str) -> Option<String> {
    let (table, name) = (own(key.of.as_deref().unwrap_or_default()), ident(&key.name));
    let is_number = ["smallint", "integer", "bigint", "numeric", "real", "double precision"]
        .iter()
        .any(|number| from.starts_with(number));
    let condition = out_of_range(&name, to, is_number).or_else(|| {
        match plan.actual.server_version >= 16 && !to.contains('\'') {
            true => Some(format!("not pg_input_is_valid({name}::text, '{to}')")),
            false => malformed(&name, bare(to)),
        }
    });
    condition.map(|condition| format!("select {name} from {table} where {condition}"))
}

/// Returns the condition for values that are too long, or numbers that are too large.
fn out_of_range(name: &str, to: &str, is_number: bool) -> Option<String> {
    let (_, modifiers) = to.split_once('(').unwrap_or((to, ""));
    let modifiers = modifiers.trim_end_matches(')').split(',');
    let modifiers: Vec<u32> = modifiers.filter_map(|n| n.trim().parse().ok()).collect();
    match (bare(to), &modifiers[..]) {
        ("character varying" | "character", [length]) => {
            Some(format!("char_length({name}::text) > {length}"))
        }
        ("smallint", _) if is_number => Some(format!("{name} not between -32768 and 32767")),
        ("integer", _) if is_number => {
            Some(format!("{name} not between -2147483648 and 2147483647"))
        }
        ("bigint", _) if is_number => {
            Some(format!("{name} not between -9223372036854775808 and 9223372036854775807"))
        }
        ("numeric", [all, after]) if is_number && all >= after => {
            Some(format!("abs({name}) >= 1e{}", all - after))
        }
        _ => None,
    }
}

/// Returns the condition for texts that are not in the format of a type.
fn malformed(name: &str, data_type: &str) -> Option<String> {
    let pattern = match data_type {
        "smallint" | "integer" | "bigint" => r"!~ '^\s*[-+]?\d+\s*$'",
        "numeric" | "real" | "double precision" => {
            r"!~ '^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$'"
        }
        "uuid" => "!~* '^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$'",
        _ => return None,
    };
    Some(format!("{name}::text {pattern}"))
}

/// Returns a type's name without its modifiers.
fn bare(data_type: &str) -> &str {
    data_type.split_once('(').map_or(data_type, |(bare, _)| bare)
}

/// Returns a query for the rows that a constraint refuses.
pub(super) fn of_constraint(table: &str, constraint: &Object) -> Option<String> {
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
        false => of_unique(table, constraint),
    }
}

/// Returns a query for the duplicate values of a key or a unique index.
pub(super) fn of_unique(table: &str, object: &Object) -> Option<String> {
    let columns = columns_in(object)?;
    Some(format!("select {columns}, count(*) from {table} group by {columns} having count(*) > 1"))
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
