//! Texts of two schemas, compared token by token.

use std::collections::BTreeSet;

/// What a schema calls itself, the role that owns it by design, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) schema: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) objects: &'a BTreeSet<String>,
}

/// Returns `true` if the two statements are the same text, token by token, but for their own names.
///
/// A schema's own name counts only inside string constants, where renaming the schema does not reach.
/// Before an object of the schema it is nothing else; elsewhere it may be any word, and the same word is the same.
/// A role's own name counts everywhere.
pub(crate) fn is_alike(left: &str, left_own: Own<'_>, right: &str, right_own: Own<'_>) -> bool {
    let (left, right) = (tokens(left, left_own.schema), tokens(right, right_own.schema));
    left.len() == right.len()
        && left.iter().zip(&right).enumerate().all(|(at, (left_token, right_token))| {
            let is_free = || !qualifies(&left, at, left_own) && !qualifies(&right, at, right_own);
            let (left, right) = (left_token, right_token);
            (left.text, left.is_text) == (right.text, right.is_text) && is_free()
                || (left.is_text && left.is(left_own.schema) && right.is_text && right.is(right_own.schema))
                || matches!((left_own.role, right_own.role), (Some(l), Some(r)) if left.is(l) && right.is(r))
        })
}

/// Returns `true` if the token is the schema's name before one of its objects, or in a search path.
fn qualifies(tokens: &[Token<'_>], at: usize, own: Own<'_>) -> bool {
    if tokens[at].is_whole && is_in_search_path(&tokens[..at]) {
        return true;
    }
    let texts = |tokens: &[Token<'_>]| tokens.iter().map(|token| token.text).collect::<String>();
    if tokens[at].is(own.schema)
        && at > 0
        && tokens[at - 1].text == "'"
        && texts(tokens.get(at + 1..at + 5).unwrap_or_default()).starts_with("'::regnamespace")
    {
        return true;
    }
    let [token, dot, object, after @ ..] = &tokens[at..] else { return false };
    if !(token.is_text && token.is(own.schema) && dot.text == ".") {
        return false;
    }
    let object = object.quoted().unwrap_or_else(|| object.text.to_owned());
    // The name may be a table's or an alias, before one of its columns.
    let is_bare = |(at, token): (usize, &Token<'_>)| {
        let is_before_dot = tokens.get(at + 1).is_some_and(|next| next.text == ".");
        token.is_text && token.is(own.schema) && !is_before_dot
    };
    let is_alias = tokens.iter().enumerate().any(is_bare);
    let before = &tokens[..at];
    let is_relation = follows_a_word_before_names(before);
    if !own.objects.contains(&object) {
        return !is_alias && (is_relation || ["%", "'"].contains(&&*object));
    }
    let is_cast = texts(&before[before.len().saturating_sub(2)..]) == "::";
    let is_in_quotes = before.last().is_some_and(|token| token.text == "'");
    let is_called = after.first().is_some_and(|token| token.text == "(");
    !is_alias || is_relation || is_called || is_cast || is_in_quotes
}

/// Returns `true` if the name of a table comes next.
fn follows_a_word_before_names(tokens: &[Token<'_>]) -> bool {
    let last = tokens.iter().rev().find(|token| !token.text.trim().is_empty());
    let words =
        ["from", "join", "into", "update", "table", "exists", "only", "using", "references"];
    last.is_some_and(|token| words.contains(&&*token.text.to_lowercase()))
}

/// Returns `true` if the line is a `set search_path` so far.
fn is_in_search_path(tokens: &[Token<'_>]) -> bool {
    let line = tokens.iter().rev().take_while(|token| token.text != "\n");
    line.into_iter().any(|token| token.text == "search_path" && !token.is_text)
}

#[derive(Debug)]
struct Token<'a> {
    text: &'a str,
    is_text: bool,
    is_whole: bool,
}

impl Token<'_> {
    /// Returns `true` if this token is the name, quoted or not.
    fn is(&self, name: &str) -> bool {
        self.text.replace("''", "'") == name
            || self.text.to_lowercase() == name
            || self.quoted().is_some_and(|quoted| quoted == name)
    }

    fn quoted(&self) -> Option<String> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        Some(inner.replace("\"\"", "\""))
    }
}

fn tokens<'a>(sql: &'a str, schema: &str) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while !rest.is_empty() {
        let plain = |text| Token { text, is_text: false, is_whole: false };
        let Some((fence, length)) = constant(rest) else {
            let (text, after) = rest.split_at(word(rest));
            tokens.push(plain(text));
            rest = after;
            continue;
        };
        let (text, after) = rest.split_at(length);
        let (open, inner) = text.split_at(fence);
        let (inner, close) = inner.split_at(inner.len() - open.trim_start_matches('E').len());
        tokens.push(plain(open));
        if inner.replace("''", "'") == schema {
            // A name that is a whole constant, as in `set search_path to 'Nörd-1 A'`.
            tokens.push(Token { text: inner, is_text: true, is_whole: true });
        } else {
            words(inner, &mut tokens);
        }
        tokens.push(plain(close));
        rest = after;
    }
    tokens
}

fn words<'a>(mut rest: &'a str, tokens: &mut Vec<Token<'a>>) {
    while !rest.is_empty() {
        let (text, after) = rest.split_at(word(rest));
        tokens.push(Token { text, is_text: true, is_whole: false });
        rest = after;
    }
}

/// The lengths of the opening quote, and of the whole string constant at the start.
fn constant(sql: &str) -> Option<(usize, usize)> {
    if let Some(inner) = sql.strip_prefix("E'") {
        return Some((2, 2 + end_of_quoted(inner, true)));
    }
    if let Some(inner) = sql.strip_prefix('\'') {
        return Some((1, 1 + end_of_quoted(inner, false)));
    }
    let tag = sql.strip_prefix('$')?;
    let tag = &tag[..tag.find(|c: char| !c.is_alphanumeric() && c != '_')?];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !sql[1 + tag.len()..].starts_with('$') {
        return None;
    }
    let fence = &sql[..tag.len() + 2];
    let end = sql[fence.len()..].find(fence)?;
    Some((fence.len(), fence.len() + end + fence.len()))
}

fn end_of_quoted(inner: &str, has_escapes: bool) -> usize {
    let mut characters = inner.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if has_escapes => drop(characters.next()),
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_none() => return at + 1,
            _ => {}
        }
    }
    inner.len()
}

/// The length of the identifier at the start, or of one other character.
fn word(sql: &str) -> usize {
    if let Some(inner) = sql.strip_prefix('"') {
        let mut characters = inner.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if character == '"' && characters.next_if(|(_, next)| *next == '"').is_none() {
                return at + 2;
            }
        }
        return 1;
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    match sql.find(|c| !is_part(c)) {
        Some(0) => sql.chars().next().map_or(0, char::len_utf8),
        Some(end) => end,
        None => sql.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Own, is_alike};

    fn alike(left: (&str, &str), right: (&str, &str)) -> bool {
        let objects = ["t".to_owned()].into();
        let own = |schema| Own { schema, role: None, objects: &objects };
        is_alike(left.1, own(left.0), right.1, own(right.0))
    }

    #[test]
    fn own_names_are_alike_in_constants_only() {
        assert!(alike(("a", "AS $$select 1 from a.t$$"), ("b", "AS $$select 1 from b.t$$")));
        assert!(alike(("a", "AS $$select a.id from x a$$"), ("b", "AS $$select a.id from x a$$")));
        assert!(alike(("a", "SET p TO 'a', 'x'"), ("Nö 1", "SET p TO 'Nö 1', 'x'")));
        assert!(alike(("a", "AS $$from a.t$$"), ("Nö 1", "AS $$from \"Nö 1\".t$$")));
        assert!(!alike(("a", "AS $$select 1 from a_x$$"), ("b", "AS $$select 1 from b_x$$")));
        assert!(!alike(("a", "select a from t"), ("b", "select b from t")));
        assert!(!alike(("a", "AS $$from a.t$$"), ("b", "AS $$from a.t$$")));
        assert!(!alike(("a", "SET search_path TO 'a'"), ("b", "SET search_path TO 'a'")));
        assert!(!alike(("a", "AS $$a$$"), ("b", "AS $$c$$")));
        assert!(!alike(("a", "AS $$x  $$"), ("b", "AS $$x $$")));
    }

    #[test]
    fn a_tables_name_is_no_schema() {
        assert!(alike(("t", "AS $$select t.t from t$$"), ("b", "AS $$select t.t from t$$")));
        assert!(alike(("a", "AS $$a.t from x a$$"), ("b", "AS $$a.t from x a$$")));
        assert!(!alike(("a", "AS $$from a.%I$$"), ("b", "AS $$from a.%I$$")));
        assert!(alike(("t", "AS $$from t.t$$"), ("b", "AS $$from b.t$$")));
        assert!(!alike(("t", "AS $$from t.t$$"), ("b", "AS $$from t.t$$")));
        assert!(alike(("a", "when 'a' then"), ("b c", "when 'a' then")));
    }

    #[test]
    fn constants_end_where_they_end() {
        assert!(!alike(("a", "default 'x''' || a"), ("b", "default 'x''' || b")));
        assert!(!alike(("a", "default E'x\\'' || a"), ("b", "default E'x\\'' || b")));
        assert!(alike(("a", "as $_$ $$ a $_$"), ("b", "as $_$ $$ b $_$")));
    }

    #[test]
    fn own_roles_are_alike_everywhere() {
        let objects = BTreeSet::new();
        let own = |role| Own { schema: "s", role: Some(role), objects: &objects };
        assert!(is_alike("owner to x1;", own("x1"), "owner to x2;", own("x2")));
        assert!(!is_alike("owner to x1;", own("x1"), "owner to x3;", own("x2")));
    }
}
