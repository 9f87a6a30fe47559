//! Rules about the types of columns.

use super::{Attribute, Findings, LintRule, Object, alter, ident};

pub(super) fn check(findings: &mut Findings<'_>) {
    for (table, _) in findings.tables() {
        for (column, object) in findings.model.columns(&table.name) {
            if object.has(Attribute::Inherited) {
                continue;
            }
            for Advice { rule, message, change } in advice(object) {
                let name = ident(&column.name);
                let fix = change.map(|change| change.replace("{column}", &name));
                let fix = fix.and_then(|change| alter(&table.name, &change));
                findings.add(rule, column, message.to_owned(), fix);
            }
        }
    }
}

/// Advice about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Advice {
    rule: LintRule,
    message: &'static str,
    /// The change of the table; `{column}` is the column.
    change: Option<&'static str>,
}

fn advice(column: &Object) -> Vec<Advice> {
    let whole = column.text(Attribute::Type).unwrap_or_default();
    let scalar = whole.trim_end_matches("[]");
    let (rule, message, change) = match scalar {
        "money" => (
            LintRule::Money,
            "money depends on the locale of the server; use numeric",
            "alter column {column} type numeric using {column}::numeric",
        ),
        "json" => (
            LintRule::Json,
            "json is parsed on every read, and has no equality operator; use jsonb",
            "alter column {column} type jsonb using {column}::jsonb",
        ),
        _ if scalar.starts_with("timestamp") && scalar.ends_with("without time zone") => (
            LintRule::TimestampWithoutTimeZone,
            "the time zone is not stored; use timestamptz (the fix interprets the values as UTC)",
            "alter column {column} type timestamptz using {column} at time zone 'UTC'",
        ),
        _ if scalar.starts_with("character varying(") => (
            LintRule::VarcharLength,
            "a longer value requires a migration; use text, with a check if a limit is intended",
            "alter column {column} type text",
        ),
        _ if scalar.starts_with("character(") || scalar == "bpchar" => (
            LintRule::PaddedChar,
            "values are padded with blanks; use text",
            "alter column {column} type text",
        ),
        "boolean" if whole == scalar && !column.has(Attribute::NotNull) => (
            LintRule::NullableBoolean,
            "null is a third value of the boolean; make it not null",
            "alter column {column} set not null",
        ),
        _ => return serial(column, whole).into_iter().collect(),
    };
    // A conversion of single values does not convert an array.
    vec![Advice { rule, message, change: (whole == scalar).then_some(change) }]
}

fn serial(column: &Object, data_type: &str) -> Option<Advice> {
    let is_drawn =
        column.text(Attribute::Default).is_some_and(|value| value.starts_with("nextval("));
    (is_drawn && matches!(data_type, "smallint" | "integer" | "bigint")).then_some(Advice {
        rule: LintRule::Serial,
        message: "the sequence is a separate object with separate grants; use generated always as identity",
        change: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::super::Value, *};

    #[test]
    fn types_have_their_advice() {
        for (data_type, expected) in [
            ("timestamp without time zone", Some((LintRule::TimestampWithoutTimeZone, true))),
            ("timestamp(3) without time zone", Some((LintRule::TimestampWithoutTimeZone, true))),
            ("timestamp with time zone", None),
            ("time without time zone", None),
            ("character varying(80)", Some((LintRule::VarcharLength, true))),
            ("character varying(80)[]", Some((LintRule::VarcharLength, false))),
            ("character varying", None),
            ("character(3)", Some((LintRule::PaddedChar, true))),
            ("\"char\"", None),
            ("money", Some((LintRule::Money, true))),
            ("json", Some((LintRule::Json, true))),
            ("jsonb", None),
            ("boolean", Some((LintRule::NullableBoolean, true))),
            ("boolean[]", None),
            ("text", None),
        ] {
            let mut column = Object::default();
            column.set(Attribute::Type, Value::Text(data_type.to_owned()));
            let found = advice(&column);
            let found = found.first().map(|advice| (advice.rule, advice.change.is_some()));
            assert_eq!(found, expected, "{data_type}");
        }
    }

    #[test]
    fn a_number_from_a_sequence_is_a_serial() {
        for (data_type, default, expected) in [
            ("integer", "nextval('orders_id_seq'::regclass)", true),
            ("bigint", "nextval('numbers'::regclass)", true),
            ("bigint", "1", false),
            ("text", "nextval('numbers'::regclass)", false),
        ] {
            let mut column = Object::default();
            column.set(Attribute::Type, Value::Text(data_type.to_owned()));
            column.set(Attribute::Default, Value::Text(default.to_owned()));
            assert_eq!(!advice(&column).is_empty(), expected, "{data_type} {default}");
        }
    }
}
