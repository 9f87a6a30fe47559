//! Conversions of a column's values to another type.

/// Returns the expression for `alter column … type … using`; `None` if PostgreSQL converts implicitly.
pub(super) fn using(column: &str, from: &str, to: &str) -> Option<String> {
    if let Some(expression) = in_utc(column, &bare(from), to) {
        return Some(expression);
    }
    match (family(from), family(to)) {
        (old, new) if old == new && old != Family::Other => None,
        // Every type converts to text.
        (_, Family::Text) => None,
        (Family::Text, _) => Some(format!("{column}::{to}")),
        (Family::Boolean, Family::Number) | (Family::Number, Family::Boolean) => {
            // This is the only existing cast.
            match (from, to) {
                ("integer", _) | (_, "integer") => Some(format!("{column}::{to}")),
                _ => Some(format!("{column}::integer::{to}")),
            }
        }
        _ if bare(from) == bare(to) => None,
        _ => Some(format!("{column}::text::{to}")),
    }
}

/// Returns the conversion between a type with a time zone and one without: the time is interpreted as UTC, regardless
/// of the session's time zone.
fn in_utc(column: &str, from: &str, to: &str) -> Option<String> {
    let is_zoned = |name: &str| name == "timestamp with time zone";
    match (from, &*bare(to)) {
        ("timestamp without time zone", new) if is_zoned(new) => {
            Some(format!("{column} at time zone 'UTC'"))
        }
        ("date", new) if is_zoned(new) => Some(format!("{column}::timestamp at time zone 'UTC'")),
        (old, "timestamp without time zone") if is_zoned(old) => {
            Some(format!("{column} at time zone 'UTC'"))
        }
        (old, "date") if is_zoned(old) => Some(format!("({column} at time zone 'UTC')::date")),
        _ => None,
    }
}

/// Returns the expression that converts the value in a query.
pub(super) fn converted(column: &str, from: &str, to: &str) -> String {
    match from == to {
        true => column.to_owned(),
        false => using(column, from, to).unwrap_or_else(|| column.to_owned()),
    }
}

/// Types that PostgreSQL converts into one another on assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Boolean,
    Date,
    Json,
    Bits,
    Network,
    Other,
}

fn family(name: &str) -> Family {
    match bare(name).as_str() {
        "text" | "character varying" | "character" | "name" | "bpchar" => Family::Text,
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => {
            Family::Number
        }
        "boolean" => Family::Boolean,
        "date" | "timestamp without time zone" | "timestamp with time zone" => Family::Date,
        "json" | "jsonb" => Family::Json,
        "bit" | "bit varying" => Family::Bits,
        "inet" | "cidr" => Family::Network,
        _ => Family::Other,
    }
}

/// Returns a type without its modifiers.
fn bare(name: &str) -> String {
    let (Some(open), Some(close)) = (name.find('('), name.find(')')) else {
        return name.to_owned();
    };
    format!("{}{}", &name[..open], &name[close + 1..])
}

/// Returns the numbers in a type's parentheses.
fn modifiers(name: &str) -> Vec<i32> {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let numbers = inner.map(|(inner, _)| inner.split(',').filter_map(|n| n.trim().parse().ok()));
    numbers.map(Iterator::collect).unwrap_or_default()
}

/// The possible effect of a type change on the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The same bytes are read as the other type.
    Nothing,
    /// Each value is converted to the other type, and none is rejected.
    Rewrites,
    /// Some values can be rejected.
    MayFail,
    /// Part of a value can be lost.
    LosesData,
}

/// Types of exact numbers, each with the range of those before it.
const EXACT: &[&str] = &["smallint", "integer", "bigint", "numeric"];

/// Returns the effect of changing a column's type.
pub(super) fn effect(from: &str, to: &str) -> Effect {
    let (old, new) = (bare(from), bare(to));
    let (was, is) = (modifiers(from), modifiers(to));
    let stays_text = matches!(&*new, "text" | "character varying") && old != "character";
    if family(from) == Family::Text && stays_text {
        return match (was.first(), is.first()) {
            (_, None) => Effect::Nothing,
            (Some(was), Some(is)) if was <= is => Effect::Nothing,
            _ => Effect::MayFail,
        };
    }
    if family(to) == Family::Text {
        return if is.is_empty() { Effect::Rewrites } else { Effect::MayFail };
    }
    let rank = |name: &str| EXACT.iter().position(|other| *other == name);
    match (rank(&old), rank(&new)) {
        (Some(3), Some(3)) => effect_on_numeric(&was, &is),
        (Some(3), Some(_)) => Effect::LosesData,
        (Some(old), Some(new)) if old < new && is.is_empty() => Effect::Rewrites,
        (Some(_), Some(_)) => Effect::MayFail,
        _ => effect_on_others((from, &was), (to, &is)),
    }
}

/// Returns the effect of another precision and scale of `numeric`.
fn effect_on_numeric(was: &[i32], is: &[i32]) -> Effect {
    match (was, is) {
        (_, []) => Effect::Nothing,
        ([was_all, was_after], [all, after]) if was_after == after && was_all <= all => {
            Effect::Nothing
        }
        ([was_all, was_after], [all, after])
            if was_after <= after && was_all - was_after <= all - after =>
        {
            Effect::Rewrites
        }
        ([_, was_after], [_, after]) if was_after <= after => Effect::MayFail,
        _ => Effect::LosesData,
    }
}

/// Returns the effect between types that are neither texts nor exact numbers.
fn effect_on_others((from, was): (&str, &[i32]), (to, is): (&str, &[i32])) -> Effect {
    let (old, new) = (bare(from), bare(to));
    match (&*old, &*new) {
        (_, "date") if family(from) == Family::Date => Effect::LosesData,
        ("real", "double precision") | ("date", _) if family(to) != Family::Other => {
            Effect::Rewrites
        }
        ("double precision", "real") => Effect::LosesData,
        ("real" | "double precision", _) if family(to) == Family::Number => Effect::LosesData,
        ("json", "jsonb") => Effect::LosesData,
        ("jsonb", "json") | ("cidr", "inet") | ("boolean", "integer") => Effect::Rewrites,
        _ if family(from) == Family::Date && family(to) == Family::Date => {
            // A precision of less than six places rounds.
            let places = |modifiers: &[i32]| modifiers.first().copied().unwrap_or(6);
            match places(is) < places(was) && old != "date" {
                true => Effect::LosesData,
                false => Effect::Rewrites,
            }
        }
        _ => Effect::MayFail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_by_way_of_text_where_nothing_else_does() {
        for (from, to, expected) in [
            ("integer", "bigint", None),
            ("text", "integer", Some("c::integer")),
            ("uuid", "integer", Some("c::text::integer")),
            ("integer", "text", None),
            ("boolean", "integer", Some("c::integer")),
            ("boolean", "bigint", Some("c::integer::bigint")),
            ("time(3) without time zone", "time without time zone", None),
            ("integer[]", "text[]", Some("c::text::text[]")),
            (
                "timestamp without time zone",
                "timestamp with time zone",
                Some("c at time zone 'UTC'"),
            ),
        ] {
            assert_eq!(using("c", from, to).as_deref(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn effects_are_told() {
        for (from, to, expected) in [
            ("character varying(5)", "character varying(9)", Effect::Nothing),
            ("character varying(9)", "character varying(5)", Effect::MayFail),
            ("character varying(9)", "text", Effect::Nothing),
            ("integer", "bigint", Effect::Rewrites),
            ("bigint", "integer", Effect::MayFail),
            ("numeric(12,2)", "numeric(10,2)", Effect::MayFail),
            ("numeric(10,2)", "numeric(12,2)", Effect::Nothing),
            ("numeric(10,4)", "numeric(10,2)", Effect::LosesData),
            ("timestamp with time zone", "date", Effect::LosesData),
            ("timestamp without time zone", "timestamp(0) without time zone", Effect::LosesData),
            ("date", "timestamp with time zone", Effect::Rewrites),
            ("integer", "text", Effect::Rewrites),
            ("text", "integer", Effect::MayFail),
        ] {
            assert_eq!(effect(from, to), expected, "{from} to {to}");
        }
    }
}
