//! Adjusts definitions that the server would read differently from how it printed them.
//!
//! PostgreSQL prints a list that was compared with a `varchar` column as `(ARRAY['a'::character varying])::text[]`,
//! and reads that as a list of texts, which it then prints differently. A cast of the list to its own type preserves
//! it. A null in a later branch of a union is printed without a name, and gets the name of its type when it is read.

use std::borrow::Cow;

/// Returns a statement that is printed again as this one was.
pub(crate) fn reparsable(statement: &str) -> Cow<'_, str> {
    // The text of a function is not parsed, and must be unchanged.
    let is_kept = ["create function ", "create procedure ", "create or replace ", "comment "];
    if is_kept.iter().any(|start| statement.starts_with(start)) {
        return Cow::Borrowed(statement);
    }
    let is_view = ["create view ", "create materialized view "]
        .iter()
        .any(|start| statement.starts_with(start));
    match is_view && statement.contains("NULL::") {
        true => Cow::Owned(with_lists(&with_nulls(statement)).into_owned()),
        false => with_lists(statement),
    }
}

/// Adds the type to nulls that are select list items on their own.
fn with_nulls(statement: &str) -> String {
    let lines = statement.split('\n').map(|line| {
        let item = line.trim_start();
        let item = item.strip_prefix("SELECT ").unwrap_or(item);
        let (item, comma) = item.strip_suffix(',').map_or((item, ""), |item| (item, ","));
        let is_type = |c: char| c.is_alphanumeric() || " _.\"[](),".contains(c);
        let of_type = item.strip_prefix("NULL::");
        let is_null = of_type.is_some_and(|of_type| {
            of_type.chars().all(is_type)
                && !of_type.contains(" AS ")
                && of_type.matches('(').count() == of_type.matches(')').count()
        });
        match is_null {
            true => format!("{} AS \"?column?\"{comma}", &line[..line.len() - comma.len()]),
            false => line.to_owned(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn with_lists(statement: &str) -> Cow<'_, str> {
    if !statement.contains("(ARRAY[") {
        return Cow::Borrowed(statement);
    }
    let mut out = String::with_capacity(statement.len() + 64);
    let mut at = 0;
    while at < statement.len() {
        let rest = &statement[at..];
        let length = match rest.as_bytes()[0] {
            b'\'' | b'"' => quoted(rest),
            b'(' if rest.starts_with("(ARRAY[") => match list(rest) {
                Some((length, of_type)) => {
                    out.push_str(&rest[..length]);
                    out.push_str(&format!("::{of_type}[]"));
                    at += length;
                    continue;
                }
                None => 1,
            },
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        out.push_str(&rest[..length]);
        at += length;
    }
    Cow::Owned(out)
}

/// Returns the length of a list up to its last bracket and the type of all of its elements, if the list is cast to
/// another type.
fn list(text: &str) -> Option<(usize, &str)> {
    let (mut depth, mut at, mut start) = (0, "(ARRAY".len(), 0);
    let mut types = Vec::new();
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        match rest.as_bytes()[0] {
            b'\'' | b'"' => {
                at += quoted(rest);
                continue;
            }
            b'[' | b'(' => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            b']' | b')' => depth -= 1,
            _ => {}
        }
        let is_end = depth == 0;
        if is_end || (depth == 1 && rest.starts_with(", ")) {
            types.push(type_of(&text[start..at])?);
            start = at + 2;
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
        if is_end {
            break;
        }
    }
    let first = *types.first()?;
    let cast = text[at..].strip_prefix(")::")?;
    let is_other = !cast.starts_with(&format!("{first}[]"));
    (is_other && types.iter().all(|of_type| *of_type == first)).then_some((at, first))
}

/// Returns the type that an element, which is a constant, is cast to.
fn type_of(element: &str) -> Option<&str> {
    if !element.starts_with('\'') {
        return None;
    }
    let of_type = element[quoted(element)..].strip_prefix("::")?;
    (!of_type.contains("::")).then_some(of_type)
}

/// Returns the length of the quoted part at the beginning.
fn quoted(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut at = 1;
    while let Some(byte) = text.as_bytes().get(at) {
        at += 1;
        if *byte == quote {
            match text.as_bytes().get(at) {
                Some(next) if *next == quote => at += 1,
                _ => return at,
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_type() {
        for (text, expected) in [
            (
                "check (((x)::text = ANY ((ARRAY['a'::character varying, 'b]'', c'::character varying])::text[])))",
                "check (((x)::text = ANY ((ARRAY['a'::character varying, 'b]'', c'::character varying]::character varying[])::text[])))",
            ),
            (
                "a (ARRAY['ä'::bpchar])::text[] b (ARRAY['x'::bpchar])::text[]",
                "a (ARRAY['ä'::bpchar]::bpchar[])::text[] b (ARRAY['x'::bpchar]::bpchar[])::text[]",
            ),
        ] {
            assert_eq!(reparsable(text), expected);
        }
        assert_eq!(
            reparsable(
                "create view v as\nSELECT a,\n    b\nUNION\n SELECT NULL::integer,\n    NULL::numeric(10,2)\n"
            ),
            "create view v as\nSELECT a,\n    b\nUNION\n SELECT NULL::integer AS \"?column?\",\n    NULL::numeric(10,2) AS \"?column?\"\n"
        );
        for same in [
            "create view v as\n SELECT NULL::integer AS a,\n COALESCE(b, NULL::integer),\n ELSE NULL::text\n",
            "x = ANY (ARRAY['a'::text, 'b'::text])",
            "(ARRAY['a'::text])::text[]",
            "(ARRAY[('a'::character varying)::text])::text[]",
            "'(ARRAY[''a''::character varying])::text[]'",
            "create function f() as $$ (ARRAY['a'::character varying])::text[] $$",
            "(ARRAY['a'::character varying",
            "(ARRAY[",
        ] {
            assert_eq!(reparsable(same), same);
        }
    }
}
