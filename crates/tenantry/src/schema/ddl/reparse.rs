//! Makes the server read what it has printed as it was.
//!
//! PostgreSQL prints a list that was compared with a `varchar` column as `(ARRAY['a'::character varying])::text[]`, and reads
//! that as a list of texts: from then on it prints something else. A cast of the list to its own type keeps it what it was.

use std::borrow::Cow;

/// Returns a statement that is printed again as this one was.
pub(crate) fn reparsable(statement: &str) -> Cow<'_, str> {
    // The text of a function is not read, and is kept to the last blank.
    let is_kept = ["create function ", "create procedure ", "create or replace ", "comment "];
    if !statement.contains("(ARRAY[") || is_kept.iter().any(|start| statement.starts_with(start)) {
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

/// Returns the length of a list up to its last bracket and the type of all of its elements, if the list is cast to another
/// type.
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

/// Returns the type that an element is cast to, which is a constant.
fn type_of(element: &str) -> Option<&str> {
    if !element.starts_with('\'') {
        return None;
    }
    let of_type = element[quoted(element)..].strip_prefix("::")?;
    (!of_type.contains("::")).then_some(of_type)
}

/// Returns the length of what stands in quotes at the beginning.
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
        for same in [
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
