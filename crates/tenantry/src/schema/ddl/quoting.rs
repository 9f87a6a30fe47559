//! Names and constants in SQL syntax, and placeholders.

/// Words that must be quoted as names: the key words of PostgreSQL 14 to 18 that are reserved in some context,
/// sorted.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_table",
    "json_value",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "merge_action",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Returns a name in SQL syntax, quoted if necessary. Placeholders in it have no special meaning.
pub(crate) fn ident(name: &str) -> String {
    escape(&quoted(name))
}

/// Returns the name of an object of the schema.
pub(crate) fn own(name: &str) -> String {
    format!("{{schema}}.{}", ident(name))
}

/// Returns the name of an object of the schema that the server has printed.
pub(crate) fn name_of(printed: &str) -> String {
    let name = printed.strip_prefix("{schema}.").unwrap_or(printed);
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    };
    name.replace("{{schema}", "{schema}").replace("{{role}", "{role}")
}

fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && KEYWORDS.binary_search(&name).is_err();
    match is_plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Returns a text as a constant. Placeholders in it stay.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns a text in dollar quotes that do not occur in it. Placeholders in it stay.
pub(super) fn dollar_quoted(text: &str) -> String {
    let mut tag = String::new();
    while text.contains(&format!("${tag}"))
        && (text.contains(&format!("${tag}$")) || text.ends_with(&format!("${tag}")))
    {
        tag.push('_');
    }
    format!("${tag}${text}${tag}$")
}

/// Returns a text without placeholders.
pub(in crate::schema) fn escape(text: &str) -> String {
    text.replace("{schema}", "{{schema}").replace("{role}", "{{role}")
}

/// Replaces the placeholders by the names, quoted if necessary.
pub(crate) fn fill(statement: &str, schema: &str, role: Option<&str>) -> String {
    let (schema, role) = (quoted(schema), role.map(quoted));
    let (mut filled, mut rest) = (String::with_capacity(statement.len()), statement);
    let mut in_constant = false;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        filled.push_str(before);
        in_constant ^= before.matches('\'').count() % 2 == 1;
        let placeholders = [("{schema}", Some(&schema)), ("{role}", role.as_ref())];
        let found = placeholders.iter().find_map(|(placeholder, name)| {
            if let Some(after) = after.strip_prefix('{').and_then(|a| a.strip_prefix(placeholder)) {
                return Some(((*placeholder).to_owned(), after));
            }
            let after = after.strip_prefix(placeholder)?;
            let name = (*name)?;
            let name = if in_constant { name.replace('\'', "''") } else { name.clone() };
            Some((name, after))
        });
        let (text, after) = found.unwrap_or_else(|| ("{".to_owned(), &after[1..]));
        filled.push_str(&text);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// Returns the part before the arguments of a routine or operator, as printed by `regprocedure`.
pub(super) fn without_arguments(signature: &str) -> &str {
    let mut in_quotes = false;
    let end = signature.find(|character| {
        in_quotes ^= character == '"';
        character == '(' && !in_quotes
    });
    &signature[..end.unwrap_or(signature.len())]
}

/// Converts an option `name=value` to the syntax of `with`.
pub(in crate::schema) fn storage_option(option: &str) -> String {
    let (name, value) = option.split_once('=').unwrap_or((option, "true"));
    let is_plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_word = matches!(value, "true" | "false" | "on" | "off" | "auto" | "local" | "cascaded");
    match is_plain || is_word {
        true => format!("{name} = {value}"),
        false => format!("{name} = {}", literal(&escape(value))),
    }
}

/// Converts the options `name=value` of a foreign object to the syntax of `options`.
pub(super) fn foreign_options(options: &[String]) -> String {
    let options = options.iter().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        format!("{} {}", ident(name), literal(&escape(value)))
    });
    options.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_quotes_where_they_need_them() {
        for (name, expected) in [
            ("orders", "orders"),
            ("_x1", "_x1"),
            ("order", "\"order\""),
            ("name", "name"),
            ("Odd \"x\"", "\"Odd \"\"x\"\"\""),
            ("1a", "\"1a\""),
            ("a$", "\"a$\""),
            ("", "\"\""),
            ("{schema}", "\"{{schema}\""),
        ] {
            assert_eq!(ident(name), expected);
        }
    }

    #[test]
    fn placeholders_are_filled() {
        for (text, expected) in [
            ("{schema}.t owner to {role}", "\"O'x\".t owner to r"),
            ("'{schema}.t'", "'\"O''x\".t'"),
            ("{{schema} {{role} {x} {", "{schema} {role} {x} {"),
        ] {
            assert_eq!(fill(text, "O'x", Some("r")), expected);
        }
    }

    #[test]
    fn dollars_in_a_body_are_no_end() {
        assert_eq!(dollar_quoted("select 1"), "$$select 1$$");
        assert_eq!(dollar_quoted("select '$$'"), "$_$select '$$'$_$");
        assert_eq!(dollar_quoted("x$"), "$_$x$$_$");
        assert_eq!(dollar_quoted("$1"), "$$$1$$");
    }

    #[test]
    fn arguments_are_cut_off() {
        assert_eq!(without_arguments("int4eq(integer,integer)"), "int4eq");
        assert_eq!(without_arguments("\"f(x)\"(integer)"), "\"f(x)\"");
    }
}
