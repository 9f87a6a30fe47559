//! The value of `search_path`, as PostgreSQL stores it for a function, a role or a database.

/// Returns the schemas of a search path, with others instead of `from` and without duplicates; `None` if it does not
/// contain `from`, or if the value is not a list of names.
pub(super) fn replace(value: &str, from: &str, to: &[&str]) -> Option<Vec<String>> {
    let schemas = split(value)?;
    if !schemas.iter().any(|schema| schema == from) {
        return None;
    }
    let mut replaced: Vec<String> = Vec::new();
    for schema in &schemas {
        let now = if schema == from { to } else { &[schema.as_str()][..] };
        for schema in now {
            if !replaced.iter().any(|before| before == schema) {
                replaced.push((*schema).to_owned());
            }
        }
    }
    Some(replaced)
}

/// Returns `true` if a search path contains a schema.
pub(super) fn names(value: &str, name: &str) -> bool {
    split(value).is_some_and(|schemas| schemas.iter().any(|schema| schema == name))
}

/// Splits a list of names like the server does: unquoted names are folded to lower case.
fn split(value: &str) -> Option<Vec<String>> {
    let mut schemas = Vec::new();
    let mut rest = value.trim_start();
    if rest.is_empty() {
        return Some(schemas);
    }
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_ascii_lowercase(), &rest[end..])
            }
        };
        schemas.push(name);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => return rest.is_empty().then_some(schemas),
        }
    }
}

/// Reads a name up to its closing quote, and returns it with the rest.
fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut name, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_schema_is_replaced_and_the_others_keep_their_places() {
        for (value, replaced) in [
            ("acme", Some(vec!["new"])),
            ("acme, public", Some(vec!["new", "public"])),
            (r#""$user", ACME , pg_temp"#, Some(vec!["$user", "new", "pg_temp"])),
            (r#"public, "acme", """#, Some(vec!["public", "new", ""])),
            (r#""ACME", public"#, None),
            (r#""ac""me", public"#, None),
            ("acme2, public", None),
            (r#""acme, public""#, None),
            ("", None),
            (r#""acme"#, None),
        ] {
            let expected = replaced.map(|it| it.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(replace(value, "acme", &["new"]), expected, "{value}");
        }
        assert_eq!(replace(r#""a""b""#, "a\"b", &["c"]), Some(vec!["c".to_owned()]));
        let both = replace("acme, public", "acme", &["new", "public"]);
        assert_eq!(both, Some(vec!["new".to_owned(), "public".to_owned()]));
    }
}
