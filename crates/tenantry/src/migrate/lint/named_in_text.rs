//! Texts that name an object: `'s.x'::regclass`, `nextval('s.x')`, `to_tsvector('s.english', a)`.

use super::literal;

/// The kind of object that a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Object,
    Schema,
}

/// Types whose text is the name of an object.
const TYPES: &[&str] = &[
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regtype",
];

/// Functions whose first argument is the name of an object.
const FIRST: &[&str] = &[
    "currval",
    "gin_clean_pending_list",
    "nextval",
    "pg_get_serial_sequence",
    "pg_get_viewdef",
    "pg_indexes_size",
    "pg_partition_ancestors",
    "pg_partition_root",
    "pg_partition_tree",
    "pg_prewarm",
    "pg_relation_filenode",
    "pg_relation_filepath",
    "pg_relation_size",
    "pg_sequence_last_value",
    "pg_table_size",
    "pg_total_relation_size",
    "row_security_active",
    "setval",
    "table_to_xml",
    "to_regclass",
    "to_regcollation",
    "to_regoper",
    "to_regoperator",
    "to_regproc",
    "to_regprocedure",
    "to_regtype",
    "ts_lexize",
];

/// Functions whose first argument is the name of a configuration if they have this number of arguments.
const CONFIGURED: &[(&str, usize)] = &[
    ("json_to_tsvector", 3),
    ("jsonb_to_tsvector", 3),
    ("phraseto_tsquery", 2),
    ("plainto_tsquery", 2),
    ("to_tsquery", 2),
    ("to_tsvector", 2),
    ("ts_debug", 2),
    ("ts_headline", 3),
    ("websearch_to_tsquery", 2),
];

/// Functions that check a privilege, and the number of arguments before the last one that name the object. The role
/// can precede them.
const RIGHTS: &[(&str, usize, Names)] = &[
    ("has_any_column_privilege", 1, Names::Object),
    ("has_column_privilege", 2, Names::Object),
    ("has_function_privilege", 1, Names::Object),
    ("has_schema_privilege", 1, Names::Schema),
    ("has_sequence_privilege", 1, Names::Object),
    ("has_table_privilege", 1, Names::Object),
    ("has_type_privilege", 1, Names::Object),
];

/// Returns what the text of a type names, if anything.
pub(super) fn of_type(name: &str) -> Option<Names> {
    match name {
        "regnamespace" => Some(Names::Schema),
        _ => TYPES.contains(&name).then_some(Names::Object),
    }
}

/// Returns what a text argument of a function names; arguments are counted from 0.
pub(super) fn of_argument(function: &str, argument: usize, arguments: usize) -> Option<Names> {
    let right = RIGHTS.iter().find(|(name, ..)| *name == function);
    if let Some((_, before, names)) = right {
        return (argument + before + 1 == arguments).then_some(*names);
    }
    let configured = CONFIGURED.iter().find(|(name, _)| *name == function);
    match (function, argument) {
        // The function of a trigger.
        ("tsvector_update_trigger", 1) => Some(Names::Object),
        ("to_regnamespace", 0) => Some(Names::Schema),
        (_, 0) => of_type(function)
            .or_else(|| FIRST.contains(&function).then_some(Names::Object))
            .or_else(|| (arguments >= configured?.1).then_some(Names::Object)),
        _ => None,
    }
}

/// Returns the schemas that a literal names, given what it names.
pub(super) fn schemas(names: Names, literal: &str) -> Vec<String> {
    let Some(text) = literal::content(literal) else { return Vec::new() };
    match names {
        Names::Schema => parts(&text).into_iter().take(1).collect(),
        // Types of arguments are in parentheses, elements of an array in braces.
        Names::Object => text.split(['(', ')', '{', '}', ',']).filter_map(schema).collect(),
    }
}

/// Returns the schema in front of an object's name.
fn schema(name: &str) -> Option<String> {
    let mut parts = parts(name);
    parts.pop()?;
    parts.pop()
}

/// Splits a name at its dots, as the server does: an unquoted name can contain any character except whitespace.
/// Returns nothing if it is not a name.
fn parts(text: &str) -> Vec<String> {
    let (mut parts, mut rest) = (Vec::new(), text.trim());
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some((name, after)) => (name.to_owned(), after),
                None => return Vec::new(),
            },
            None => {
                let end = rest.find(|c: char| c == '.' || c.is_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_lowercase(), &rest[end..])
            }
        };
        if name.is_empty() {
            return Vec::new();
        }
        parts.push(name);
        match after.trim_start().strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None => return parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_name_before_the_last() {
        for (literal, expected) in [
            ("'public.t'", &["public"][..]),
            ("'\"Public\" . t'", &["Public"]),
            ("'PUBLIC.t'", &["public"]),
            ("'db.public.t'", &["public"]),
            ("'tenant-x.t'", &["tenant-x"]),
            ("'public.+'", &["public"]),
            ("'f(public.t, other.mood[])'", &["public", "other"]),
            ("'public.f()'", &["public"]),
            ("'{public.a, other.b}'", &["public", "other"]),
            ("'t'", &[]),
            ("'\"a.b\"'", &[]),
            ("'numeric(10,2)'", &[]),
            ("'public.'", &[]),
            ("'.t'", &[]),
            ("'\"t'", &[]),
            ("''", &[]),
        ] {
            assert_eq!(schemas(Names::Object, literal), expected, "{literal}");
        }
        assert_eq!(schemas(Names::Schema, "'\"A b\"'"), ["A b"]);
    }
}
