//! Finds the schema's own name and the tenant's role in texts, by tokens and never by plain replacement.

use std::collections::BTreeSet;

/// The names that are a tenant's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) schema: &'a str,
    pub(crate) role: Option<&'a str>,
}

/// The placeholder for the schema's own name.
const SCHEMA: &str = "{schema}";
/// The placeholder for the tenant's role.
const ROLE: &str = "{role}";

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// The own schema or its placeholder, whether or not in quotes.
    Schema { proven: bool, qualifies: bool, raw: &'a str },
    /// The own role or its placeholder.
    Role { raw: &'a str },
    /// Anything else.
    Other(&'a str),
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// Splits a text into tokens; an own name is one token even if it consists of several words.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
    schema: Vec<String>,
    role: Vec<String>,
}

/// The forms of a name in a text: unquoted, in double quotes, and both within a string.
fn forms(name: &str) -> Vec<String> {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let mut forms = vec![name.to_owned(), quoted];
    if name.contains('\'') {
        let in_string = forms.iter().map(|form| form.replace('\'', "''"));
        forms.extend(in_string.collect::<Vec<_>>());
    }
    forms
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str, own: Own<'a>) -> Self {
        let role = own.role.map(forms).unwrap_or_default();
        Self { text, at: 0, schema: forms(own.schema), role }
    }

    /// Returns the end of a name that starts here, in one of its forms.
    fn name(&self, forms: &[String]) -> Option<usize> {
        let form = forms.iter().find(|form| {
            let after = self.text[self.at..].strip_prefix(form.as_str());
            let before = self.text[..self.at].chars().next_back();
            let joins = |inner: Option<char>, outer: Option<char>| {
                inner.is_some_and(is_of_word) && outer.is_some_and(is_of_word)
            };
            after.is_some_and(|after| {
                !joins(form.chars().next(), before)
                    && !joins(form.chars().next_back(), after.chars().next())
            })
        })?;
        Some(self.at + form.len())
    }

    /// Returns `true` if the name qualifies another one: a dot follows, and none precedes it.
    fn qualifies(&self, end: usize) -> bool {
        let before = self.text[..self.at].trim_end().chars().next_back();
        before != Some('.') && self.text[end..].trim_start().starts_with('.')
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        for (placeholder, is_schema) in [(SCHEMA, true), (ROLE, false)] {
            let escaped = self.text[..self.at].ends_with('{');
            if rest.starts_with(placeholder) && !escaped {
                let raw = &rest[..placeholder.len()];
                let qualifies = self.qualifies(self.at + placeholder.len());
                self.at += placeholder.len();
                return Some(match is_schema {
                    true => Token::Schema { proven: true, qualifies, raw },
                    false => Token::Role { raw },
                });
            }
        }
        if let Some(end) = self.name(&self.schema) {
            let (raw, qualifies) = (&self.text[self.at..end], self.qualifies(end));
            self.at = end;
            return Some(Token::Schema { proven: false, qualifies, raw });
        }
        if let Some(end) = self.name(&self.role) {
            let raw = &self.text[self.at..end];
            self.at = end;
            return Some(Token::Role { raw });
        }
        let length = match is_of_word(first) {
            true => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        self.at += length;
        Some(Token::Other(&rest[..length]))
    }
}

/// A name behind a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Qualified {
    text: String,
    /// A parenthesis follows.
    is_called: bool,
}

impl Qualified {
    /// Returns `true` if the object's name is assembled at run time: `'acme.' || x`, `format('acme.%I', x)`.
    fn is_put_together(&self, in_literal: bool) -> bool {
        in_literal && (self.text.is_empty() || self.text.starts_with('%'))
    }
}

/// Returns the identifier or operator after a dot, without its quotes; nothing at the end of a string.
fn qualified(text: &str) -> Option<Qualified> {
    let rest = text.trim_start().strip_prefix('.')?.trim_start();
    if rest.starts_with('\'') {
        return Some(Qualified { text: String::new(), is_called: false });
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (mut name, mut characters) = (String::new(), quoted.chars().peekable());
        while let Some(character) = characters.next() {
            match character {
                '"' if characters.next_if_eq(&'"').is_none() => {
                    return Some(Qualified {
                        text: name,
                        is_called: characters.next() == Some('('),
                    });
                }
                other => name.push(other),
            }
        }
        return None;
    }
    let is_part: fn(char) -> bool = match rest.starts_with(is_of_operator) {
        true => is_of_operator,
        false => is_of_word,
    };
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    let (text, after) = rest.split_at(end);
    (end > 0).then(|| Qualified { text: text.to_owned(), is_called: after.starts_with('(') })
}

fn is_of_operator(character: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(character)
}

/// Escapes text that looks like a placeholder: `{schema}` becomes `{{schema}`.
fn escape(text: &str) -> String {
    text.replace(SCHEMA, "{{schema}").replace(ROLE, "{{role}")
}

/// Replaces the schema's own name by a placeholder where it qualifies one of its objects, or where only a relation
/// can occur.
///
/// Other occurrences are ambiguous: `a.id` can be a column of a table or alias with the same name as the schema. If
/// the text also contains the unqualified name, only occurrences that cannot be a column are unambiguous.
pub(crate) fn take_out(text: &str, own: Own<'_>, objects: &BTreeSet<String>) -> String {
    let is_alias = is_alias(text, own);
    take_out_where(text, own, |name, before, in_literal| {
        let is_relation = names_a_relation(before);
        let is_sure = match objects.contains(&name.text) {
            true => {
                !is_alias || is_relation || in_literal || name.is_called || before.ends_with("::")
            }
            // A table that the text itself creates, or whose name it assembles.
            false => !is_alias && (is_relation || name.is_put_together(in_literal)),
        };
        if is_sure { Qualifier::Placeholder } else { Qualifier::Stays }
    })
}

/// Returns `true` if a text ends where the name of a relation comes next.
fn names_a_relation(text: &str) -> bool {
    let text = text.trim_end_matches(|c: char| c == '(' || c.is_whitespace());
    let word = text.rsplit(|c| !is_of_word(c)).next().unwrap_or_default();
    let words =
        ["from", "join", "into", "update", "table", "exists", "only", "using", "references"];
    words.iter().any(|other| other.eq_ignore_ascii_case(word))
}

/// Replaces the schema's own name by a placeholder in a text that the server has printed.
///
/// The server prints own names unqualified, unless a name in `pg_catalog` or a `with` query hides them. A function is
/// also qualified if another one of the same name could be meant. Literals contain user-written text.
pub(crate) fn take_out_of_printed(
    text: &str,
    own: Own<'_>,
    (objects, hidden): (&BTreeSet<String>, &BTreeSet<String>),
) -> String {
    let is_alias = is_alias(text, own);
    take_out_where(text, own, |name, before, in_literal| match objects.contains(&name.text) {
        true if in_literal || hidden.contains(&name.text) => Qualifier::Placeholder,
        true if name.is_called => Qualifier::Goes,
        true if !is_alias || names_a_relation(before) => Qualifier::Placeholder,
        false if !is_alias && name.is_put_together(in_literal) => Qualifier::Placeholder,
        _ => Qualifier::Stays,
    })
}

/// Returns `true` if a text gives the schema's name to something else, which can have columns.
fn is_alias(text: &str, own: Own<'_>) -> bool {
    let mut in_literal = false;
    let mut is_bare = |token| match token {
        Token::Schema { proven: false, qualifies: false, .. } => !in_literal,
        Token::Other("'") => {
            in_literal = !in_literal;
            false
        }
        _ => false,
    };
    ["new", "old", "excluded"].contains(&own.schema) || Tokens::new(text, own).any(&mut is_bare)
}

/// How to treat the schema's name before a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Qualifier {
    Stays,
    Placeholder,
    Goes,
}

fn take_out_where(
    text: &str,
    own: Own<'_>,
    qualifier: impl Fn(&Qualified, &str, bool) -> Qualifier,
) -> String {
    let escaped = escape(text);
    let (mut taken, mut at) = (String::with_capacity(escaped.len()), 0);
    let (mut in_literal, mut skips_dot) = (false, false);
    for token in Tokens::new(&escaped, own) {
        let raw = match token {
            Token::Schema { raw, .. } | Token::Role { raw } | Token::Other(raw) => raw,
        };
        at += raw.len();
        in_literal ^= raw == "'";
        if skips_dot {
            skips_dot = raw != ".";
            continue;
        }
        let becomes = match token {
            Token::Schema { proven: false, qualifies: false, .. }
                if is_constant_of_namespace(&escaped, at - raw.len(), at) =>
            {
                Qualifier::Placeholder
            }
            Token::Schema { proven: false, qualifies: true, .. } => qualified(&escaped[at..])
                .map_or(Qualifier::Stays, |name| {
                    qualifier(&name, &escaped[..at - raw.len()], in_literal)
                }),
            _ => Qualifier::Stays,
        };
        match becomes {
            Qualifier::Stays => taken.push_str(raw),
            Qualifier::Placeholder => taken.push_str(SCHEMA),
            Qualifier::Goes => skips_dot = true,
        }
    }
    taken
}

/// Returns `true` if a name is a whole constant of the type whose values are schemas.
fn is_constant_of_namespace(text: &str, start: usize, end: usize) -> bool {
    let Some(after) = text[end..].strip_prefix('\'') else { return false };
    let after = after.trim_start();
    text[..start].ends_with('\'')
        && ["::regnamespace", "::pg_catalog.regnamespace"]
            .iter()
            .any(|cast| after.starts_with(cast))
}

/// Replaces the schema's own name by a placeholder in a setting, if it is one of the names of a `search_path`.
pub(crate) fn take_out_of_setting(setting: &str, own: Own<'_>) -> String {
    let setting = escape(setting);
    let Some(path) = setting.strip_prefix("search_path=") else { return setting };
    let quoted = format!("\"{}\"", own.schema.replace('"', "\"\""));
    let mut in_quotes = false;
    let names = path.split(|character| {
        in_quotes ^= character == '"';
        character == ',' && !in_quotes
    });
    let names = names.map(|name| match name.trim() {
        own_name if own_name == own.schema || own_name == quoted => SCHEMA,
        other => other,
    });
    format!("search_path={}", names.collect::<Vec<_>>().join(", "))
}

/// Replaces every occurrence of the own names wherever two equivalent texts can have them: texts that are equal
/// afterwards are equivalent, but equivalent texts can differ.
pub(crate) fn blank(text: &str, own: Own<'_>, written: bool) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut in_literal = false;
    for token in Tokens::new(text, own) {
        match token {
            Token::Schema { qualifies, raw, .. } => match written || qualifies || in_literal {
                true => blanked.push_str("\u{1}s"),
                false => blanked.push_str(raw),
            },
            Token::Role { raw } => match written || in_literal {
                true => blanked.push_str("\u{1}r"),
                false => blanked.push_str(raw),
            },
            // Text that is already there must not look like one of these.
            Token::Other("\u{1}") => blanked.push_str("\u{1}\u{1}"),
            Token::Other(raw) => {
                in_literal ^= raw == "'";
                blanked.push_str(raw);
            }
        }
    }
    blanked
}

/// Returns a text of one schema as the other schema would have it.
///
/// The name is meant where it qualifies another one, and where it is the whole content of a literal. Existing
/// placeholders are kept.
pub(crate) fn translated(text: &str, from: Own<'_>, to: &str) -> String {
    let quoted = format!("\"{}\"", to.replace('"', "\"\""));
    let is_plain = to.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let mut translated = String::with_capacity(text.len());
    let mut at = 0;
    for token in Tokens::new(text, from) {
        let raw = match token {
            Token::Schema { raw, .. } | Token::Role { raw } | Token::Other(raw) => raw,
        };
        let after = &text[at + raw.len()..];
        let is_literal = text[..at].ends_with('\'') && after.starts_with('\'');
        at += raw.len();
        match token {
            Token::Schema { proven: false, qualifies, .. } if qualifies || is_literal => {
                let name = match raw.starts_with('"') || qualifies && !is_plain {
                    true => &quoted,
                    false => to,
                };
                let name = if is_literal { name.replace('\'', "''") } else { name.to_owned() };
                translated.push_str(&name);
            }
            _ => translated.push_str(raw),
        }
    }
    translated
}

/// Returns `true` if a text names a schema before a dot, or as a constant.
pub(crate) fn names_schema(text: &str, schema: &str) -> bool {
    let mut tokens = Tokens::new(text, Own { schema, role: None });
    while let Some(token) = tokens.next() {
        let Token::Schema { proven: false, qualifies, raw } = token else { continue };
        let end = tokens.at;
        if qualifies || is_constant_of_namespace(text, end - raw.len(), end) {
            return true;
        }
    }
    false
}

/// Returns `true` if two texts are the same except for each one's own names.
///
/// In a text that the server has printed, only a qualifier or a name in a literal can be the schema's name. In a
/// user-written text, every word can.
pub(crate) fn alike(
    expected: &str,
    expected_own: Own<'_>,
    actual: &str,
    actual_own: Own<'_>,
    written: bool,
) -> bool {
    if expected == actual {
        return true;
    }
    let (mut left, mut right) =
        (Tokens::new(expected, expected_own), Tokens::new(actual, actual_own));
    let mut in_literal = false;
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (
                Some(Token::Schema { qualifies, proven, raw }),
                Some(Token::Schema { qualifies: other, proven: also, raw: other_raw }),
            ) => {
                let may_be_own = written || in_literal || (qualifies && other) || (proven && also);
                if !may_be_own && raw != other_raw {
                    return false;
                }
            }
            (Some(Token::Role { raw }), Some(Token::Role { raw: other })) => {
                if !(written || in_literal) && raw != other {
                    return false;
                }
            }
            // One side's name is a plain word on the other side: equal words are equal, unless the word was proven to
            // be the schema.
            (Some(left_token), Some(right_token)) => {
                let raw = |token| match token {
                    Token::Schema { raw, .. } | Token::Role { raw } | Token::Other(raw) => raw,
                };
                let (left_raw, right_raw) = (raw(left_token), raw(right_token));
                if left_raw != right_raw {
                    // A name of several words against the words.
                    let (a, b) = (left.at - left_raw.len(), right.at - right_raw.len());
                    let longer = left_raw.len().max(right_raw.len());
                    let (Some(a), Some(b)) =
                        (expected.get(a..a + longer), actual.get(b..b + longer))
                    else {
                        return false;
                    };
                    if a != b {
                        return false;
                    }
                    left.at += longer - left_raw.len();
                    right.at += longer - right_raw.len();
                    continue;
                }
                in_literal ^= left_raw == "'";
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(schema: &str) -> Own<'_> {
        Own { schema, role: None }
    }

    fn taken(text: &str, schema: &str) -> String {
        let objects = ["orders".to_owned(), "Odd name".to_owned()].into();
        take_out(text, own(schema), &objects)
    }

    #[test]
    fn takes_out_what_qualifies_an_object() {
        for (text, schema, expected) in [
            ("select * from acme.orders", "acme", "select * from {schema}.orders"),
            ("select * from acme . orders", "acme", "select * from {schema} . orders"),
            ("acme.\"Odd name\"", "acme", "{schema}.\"Odd name\""),
            ("\"Acme 1\".orders", "Acme 1", "{schema}.orders"),
            ("'acme.orders'::regclass", "acme", "'{schema}.orders'::regclass"),
            ("acme.id", "acme", "acme.id"),
            ("from acme.id where acme.id", "acme", "from {schema}.id where acme.id"),
            ("delete from \"acme\".%I", "acme", "delete from {schema}.%I"),
            ("'acme.%I' 'acme.' || 'acme'", "acme", "'{schema}.%I' '{schema}.' || 'acme'"),
            ("is distinct from acme.id; acme text", "acme", "is distinct from acme.id; acme text"),
            ("acme.orders from acme.orders acme", "acme", "acme.orders from {schema}.orders acme"),
            ("acme.orders(acme)::acme.orders", "acme", "{schema}.orders(acme)::{schema}.orders"),
            ("'acme'::regnamespace 'acme'::text", "acme", "'{schema}'::regnamespace 'acme'::text"),
            ("x.acme.orders", "acme", "x.acme.orders"),
            (
                "macme.orders acmes.orders acme_.orders",
                "acme",
                "macme.orders acmes.orders acme_.orders",
            ),
            ("{schema}.orders", "acme", "{{schema}.orders"),
        ] {
            assert_eq!(taken(text, schema), expected, "{text}");
        }
    }

    #[test]
    fn only_hidden_names_are_qualified_in_what_the_server_prints() {
        let objects = ["t".to_owned(), "lower".to_owned(), "f".to_owned()].into();
        let hidden = ["lower".to_owned()].into();
        for (text, expected) in [
            ("SELECT t.t FROM t", "SELECT t.t FROM t"),
            (
                "SELECT t.t FROM (t.t JOIN t.t t_1 ON x)",
                "SELECT t.t FROM ({schema}.t JOIN {schema}.t t_1 ON x)",
            ),
            (
                "SELECT t.t FROM (t.t t JOIN t.t x)",
                "SELECT t.t FROM ({schema}.t t JOIN {schema}.t x)",
            ),
            ("t.lower(x)", "{schema}.lower(x)"),
            ("EXECUTE FUNCTION t.f()", "EXECUTE FUNCTION f()"),
            ("nextval('t.t'::text)", "nextval('{schema}.t'::text)"),
        ] {
            assert_eq!(take_out_of_printed(text, own("t"), (&objects, &hidden)), expected);
        }
    }

    #[test]
    fn texts_are_alike_but_for_own_names() {
        let written = [
            ("a.id from accounts a", "a", "a.id from accounts a", "b", true),
            ("where schema = 'acme'", "acme", "where schema = 'beta'", "beta", true),
            ("execute 'acme.' || x", "acme", "execute 'beta.' || x", "beta", true),
            ("from {schema}.orders", "acme", "from {schema}.orders", "beta", true),
            ("from {schema}.orders", "acme", "from acme.orders", "beta", false),
            ("from acme.orders", "beta", "from {schema}.orders", "acme", false),
            ("from x", "acme", "from y", "beta", false),
            ("\"Nord 1\".f()", "Nord 1", "b.f()", "b", true),
            ("Nord 1 is", "Nord 1", "Nord 1 is", "b", true),
            ("Nord 1 is", "b", "Nord 1 is", "Nord 1", true),
            ("Nord 1 is", "b", "Nord 2 is", "Nord 1", false),
            ("a", "a", "a b", "b", false),
        ];
        for (left, left_own, right, right_own, expected) in written {
            let found = alike(left, own(left_own), right, own(right_own), true);
            assert_eq!(found, expected, "{left} / {right}");
        }
        assert!(!alike("acme", own("acme"), "beta", own("beta"), false));
        assert!(alike("'acme'", own("acme"), "'beta'", own("beta"), false));
    }

    #[test]
    fn a_search_path_is_a_list_of_names() {
        assert_eq!(
            take_out_of_setting("search_path=acme, public", own("acme")),
            "search_path={schema}, public"
        );
        assert_eq!(
            take_out_of_setting("search_path=\"Ac me\", pg_temp", own("Ac me")),
            "search_path={schema}, pg_temp"
        );
        assert_eq!(
            take_out_of_setting("search_path=\"a, \"\"b\", c", own("a, \"b")),
            "search_path={schema}, c"
        );
        assert_eq!(take_out_of_setting("work_mem=acme", own("acme")), "work_mem=acme");
    }

    #[test]
    fn what_is_blanked_alike_is_alike() {
        assert_eq!(blank("acme.x", own("acme"), false), blank("beta.x", own("beta"), false));
        assert_ne!(blank("acme", own("acme"), false), blank("beta", own("beta"), false));
        assert_eq!(blank("acme", own("acme"), true), blank("beta", own("beta"), true));
        assert_ne!(blank("acme", own("acme"), true), blank("\u{1}s", own("beta"), true));
    }
}
