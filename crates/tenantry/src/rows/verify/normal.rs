//! Expressions in a form that can be compared.

/// Returns an expression without what PostgreSQL adds when it prints one, and versions print
/// differently: parentheses, names of results, casts of texts, upper case and needless quotes.
///
/// Only parentheses tell some expressions apart. None of those begins with the tenant column and
/// `=`, and ends with the key of the session, because a cast or an operator that is left has to
/// stand somewhere.
pub(super) fn normal(expression: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = expression.trim_start();
    while let Some((word, after)) = next(rest) {
        rest = after.trim_start();
        match &*word {
            "(" | ")" | ";" => {}
            _ => words.push(word),
        }
        match &words[..] {
            [.., cast, of] if cast == "::" && of == "text" => words.truncate(words.len() - 2),
            [.., named, _] if named == "as" => words.truncate(words.len() - 2),
            _ => {}
        }
    }
    words.join(" ")
}

/// Splits off the first word, constant or mark.
fn next(text: &str) -> Option<(String, &str)> {
    let first = text.chars().next()?;
    let length = match first {
        '\'' | '"' => quoted(text, first),
        ':' if text.starts_with("::") => 2,
        _ if is_of_name(first) => text.find(|c| !is_of_name(c)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    };
    let (word, rest) = text.split_at(length);
    let word = match first {
        '\'' => word.to_owned(),
        '"' => {
            let name = &word[1..length.saturating_sub(1).max(1)];
            let plain = name.chars().all(|c| c.is_lowercase() || c.is_ascii_digit() || c == '_');
            if plain { name.to_owned() } else { word.to_owned() }
        }
        _ => word.to_lowercase(),
    };
    Some((word, rest))
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Returns the length of a constant or a name in quotes, which contains its quote twice.
fn quoted(text: &str, quote: char) -> usize {
    let mut marks = text.match_indices(quote).skip(1).peekable();
    while let Some((at, _)) = marks.next() {
        if marks.next_if(|(next, _)| *next == at + 1).is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_adds_is_left_out() {
        let written =
            r#""tenant_id" = (select nullif(current_setting('tenantry.tenant', true), '')::uuid)"#;
        let printed = "(tenant_id = ( SELECT (NULLIF(current_setting('tenantry.tenant'::text, true), ''::text))::uuid AS \"nullif\"))";
        assert_eq!(normal(written), normal(printed));
        assert_eq!(normal("(\"Org\"\"x\")::text = 'It''s'::text"), "\"Org\"\"x\" = 'It''s'");
    }

    #[test]
    fn other_expressions_stay_other() {
        let expected = normal("tenant_id = (select nullif(current_setting('a.b', true), ''))");
        for other in [
            "tenant_id = (select nullif(current_setting('a.b', true), '')) or true",
            "tenant_id = (select nullif(current_setting('a.c', true), ''))",
            "tenant_id = (select nullif(current_setting('A.B', true), ''))",
            "owner_id = (select nullif(current_setting('a.b', true), ''))",
            "tenant_id <> (select nullif(current_setting('a.b', true), ''))",
            "tenant_id operator(app.=) (select nullif(current_setting('a.b', true), ''))",
            "tenant_id = (select nullif(app.current_setting('a.b', true), ''))",
            "tenant_id = (select nullif(current_setting('a.b', true), '') from t)",
            "tenant_id = (select coalesce(current_setting('a.b', true), ''))",
            "tenant_id = (select nullif(current_setting('a.b', true), 'x'))",
            "\"Tenant_id\" = (select nullif(current_setting('a.b', true), ''))",
            "not (tenant_id = (select nullif(current_setting('a.b', true), '')))",
        ] {
            assert_ne!(normal(other), expected, "{other}");
        }
    }
}
