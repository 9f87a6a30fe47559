//! Names of other schemas in texts that the server does not analyze: function bodies, strings, search paths.

use std::collections::BTreeMap;

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The body of a routine in SQL or PL/pgSQL. Comments do not count.
    Sql,
    /// A body in another language, or the arguments of a trigger.
    Body,
    /// Printed by the server: only strings are searched, since the server knows all other dependencies.
    Printed,
    /// A setting.
    Setting,
}

/// Another schema in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mention {
    /// The index of the schema in the list of all.
    pub(crate) schema: usize,
    /// The object after the dot; empty if the schema is named alone.
    pub(crate) name: String,
    /// The name can be a routine's.
    pub(crate) may_be_routine: bool,
    /// It is an element of a search path.
    pub(crate) in_search_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Name(String),
    Operator(String),
    Mark(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    what: What,
    in_string: bool,
}

impl Token {
    fn name(&self) -> Option<&str> {
        match &self.what {
            What::Name(name) => Some(name),
            _ => None,
        }
    }

    fn is(&self, mark: char) -> bool {
        self.what == What::Mark(mark)
    }
}

/// Words that are followed by the name of a table, even if it has another meaning elsewhere.
const BEFORE_TABLE: &[&str] =
    &["from", "into", "join", "only", "references", "table", "truncate", "update"];

/// Words that are not followed by an alias.
const BEFORE_NO_ALIAS: &[&str] = &["in", "on", "schema", "set", "to", "usage", "using"];

/// Finds the names of schemas in a text, without duplicates. `schemas` maps names to indexes.
pub(crate) fn mentions(text: &str, form: Form, schemas: &BTreeMap<&str, usize>) -> Vec<Mention> {
    let tokens = tokens(text, form);
    let mut found = Vec::new();
    let mut aliases: BTreeMap<usize, bool> = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        if before.is_some_and(|before| before.is('.')) {
            continue;
        }
        if name == "search_path" {
            let listed = listed(&tokens[at + 1..], token.in_string).into_iter();
            let listed = listed.filter_map(|name| schemas.get(name).copied());
            found.extend(listed.map(|schema| Mention {
                schema,
                name: String::new(),
                may_be_routine: false,
                in_search_path: true,
            }));
        }
        let Some(&schema) = schemas.get(name) else { continue };
        if form == Form::Printed && !token.in_string {
            continue;
        }
        let Some(qualified) = qualified(&tokens[at + 1..], token.in_string) else { continue };
        let is_alias = *aliases.entry(schema).or_insert_with(|| is_alias(&tokens, name));
        let is_table =
            before.and_then(Token::name).is_some_and(|word| BEFORE_TABLE.contains(&word));
        if is_alias && !is_table && !qualified.is_called {
            continue;
        }
        found.push(Mention {
            schema,
            name: qualified.name,
            may_be_routine: qualified.is_called || token.in_string,
            in_search_path: false,
        });
    }
    found.sort_unstable();
    found.dedup();
    found
}

struct Qualified {
    name: String,
    is_called: bool,
}

/// Returns the object after a schema and a dot.
fn qualified(rest: &[Token], in_string: bool) -> Option<Qualified> {
    let (dot, rest) = rest.split_first()?;
    if !dot.is('.') {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let next = |mark| rest.first().is_some_and(|token| token.is(mark));
    let name = match &first.what {
        What::Name(name) => name.clone(),
        What::Operator(percent) if in_string && percent == "%" => String::new(),
        What::Operator(operator) => operator.clone(),
        // `'b.' || name`
        What::Mark('\'') if in_string => {
            let concatenates = matches!(&rest.first()?.what, What::Operator(o) if o == "||");
            return concatenates.then(|| Qualified { name: String::new(), is_called: false });
        }
        What::Mark(_) => return None,
    };
    Some(Qualified { is_called: next('(') && !name.is_empty(), name })
}

/// Returns the names of a search path that is set here, in a setting or as an argument of `set_config`.
fn listed(rest: &[Token], is_argument: bool) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = rest.iter().filter(|token| !token.is('\'') && !token.is('$')).peekable();
    let is_assigned = rest.next_if(|token| {
        is_argument && token.is(',')
            || token.name() == Some("to")
            || token.what == What::Operator("=".to_owned())
    });
    if is_assigned.is_none() {
        return names;
    }
    while let Some(token) = rest.next() {
        names.extend(token.name());
        if rest.next_if(|token| token.is(',')).is_none() {
            break;
        }
    }
    names
}

/// Returns `true` if the name is an alias or a variable anywhere in the text.
fn is_alias(tokens: &[Token], name: &str) -> bool {
    tokens.iter().enumerate().any(|(at, token)| {
        let after = tokens.get(at + 1);
        if token.name() != Some(name) || after.is_some_and(|after| after.is('.')) {
            return false;
        }
        match at.checked_sub(1).and_then(|before| tokens.get(before)).map(|token| &token.what) {
            Some(What::Name(word)) => {
                let word = word.as_str();
                !BEFORE_TABLE.contains(&word) && !BEFORE_NO_ALIAS.contains(&word)
            }
            Some(What::Mark(')')) => true,
            Some(What::Mark(';')) => after.and_then(Token::name).is_some(),
            _ => false,
        }
    })
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_of_operator(character: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(character)
}

/// Splits a text into names, operators and marks, without SQL comments.
fn tokens(text: &str, form: Form) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut in_string, mut has_escapes) = (text, false, false);
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        let skips_comments = form == Form::Sql && !in_string;
        let mut what = None;
        if first == '\'' {
            if !in_string {
                has_escapes = matches!(tokens.last().and_then(Token::name), Some("e"));
            }
            what = Some(What::Mark('\''));
        } else if in_string && has_escapes && first == '\\' {
            length += rest[length..].chars().next().map_or(0, char::len_utf8);
        } else if skips_comments && rest.starts_with("--") {
            length = rest.find('\n').unwrap_or(rest.len());
        } else if skips_comments && rest.starts_with("/*") {
            length = rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if first == '"' {
            match quoted(rest) {
                Some((name, end)) if form != Form::Body || is_part(&tokens, &rest[end..]) => {
                    length = end;
                    what = Some(What::Name(name));
                }
                _ => {}
            }
        } else if is_of_word(first) {
            length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            what = Some(What::Name(rest[..length].to_ascii_lowercase()));
        } else if is_of_operator(first) {
            length = operator(rest, skips_comments);
            what = Some(What::Operator(rest[..length].to_owned()));
        } else if !first.is_whitespace() {
            what = Some(What::Mark(first));
        }
        let closes = first == '\'';
        tokens.extend(what.map(|what| Token { what, in_string }));
        in_string ^= closes;
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of an operator, which ends where a comment starts; the `%` of a format string is separate.
fn operator(rest: &str, skips_comments: bool) -> usize {
    if rest.starts_with('%') {
        return 1;
    }
    let end = rest.find(|c| !is_of_operator(c)).unwrap_or(rest.len());
    let comment = ["--", "/*"].into_iter().filter_map(|start| rest[..end].find(start)).min();
    comment.filter(|at| skips_comments && *at > 0).unwrap_or(end)
}

/// Returns the identifier in quotes that begins here, and where it ends.
fn quoted(rest: &str) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == '"' && characters.next_if(|(_, next)| *next == '"').is_none() {
            return Some((name, at + 1));
        }
        name.push(character);
    }
    None
}

/// Returns `true` if a quoted part belongs to a qualified name.
fn is_part(before: &[Token], after: &str) -> bool {
    before.last().is_some_and(|token| token.is('.')) || after.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, form: Form) -> Vec<String> {
        let schemas = [("b", 0), ("B 1", 1), ("o", 2)].into();
        let found = mentions(text, form, &schemas).into_iter();
        let words = found.map(|mention| {
            let routine = if mention.may_be_routine { "()" } else { "" };
            let path = if mention.in_search_path { "path " } else { "" };
            format!("{path}{}.{}{routine}", mention.schema, mention.name)
        });
        words.collect()
    }

    #[test]
    fn finds_names_in_bodies() {
        for (body, expected) in [
            ("select * from b.t", &["0.t"][..]),
            ("select * from B . T", &["0.t"]),
            ("select \"B 1\".\"T t\"", &["1.T t"]),
            ("select b.f(1)", &["0.f()"]),
            ("select 1 operator(b.@@) 2", &["0.@@"]),
            ("select x.b.t, bb.t, b_.t", &[]),
            ("-- b.t\n select 1 /* b.t */", &[]),
            ("select 1--b.t\n, '--', b.t", &["0.t"]),
            ("execute 'select from b.t'", &["0.t()"]),
            ("execute format('select from b.%I', x)", &["0.()"]),
            ("execute 'select from b.' || x", &["0.()"]),
            ("raise 'as good as b.'", &[]),
            ("select 'it''s', E'\\'', b.t", &["0.t"]),
            ("execute $q$select from b.t$q$", &["0.t"]),
            ("select o.status from orders o", &[]),
            ("select o.status from orders as o, o.t", &[]),
            ("select o.f(o.id) from o.orders o", &["2.f()", "2.orders"]),
            ("declare o record; begin x := o.status; end", &[]),
            ("declare x int; o record; begin x := o.status; end", &[]),
            ("set search_path = b, public", &["path 0."]),
            ("set local search_path to public, \"B 1\"", &["path 1."]),
            ("perform set_config('search_path', 'b, public', true)", &["path 0."]),
            ("select search_path, b from x", &[]),
        ] {
            assert_eq!(found(body, Form::Sql), expected, "{body}");
        }
    }

    #[test]
    fn each_form_of_text_has_its_rules() {
        for (text, form, expected) in [
            ("b.t 'b.t'", Form::Printed, &["0.t()"][..]),
            ("b.t", Form::Printed, &[]),
            ("search_path=\"$user\", b", Form::Setting, &["path 0."]),
            ("search_path=a, \"B 1\"", Form::Setting, &["path 1."]),
            ("plpy.execute(\"select from b.t\") # it's", Form::Body, &["0.t"]),
            ("plpy.execute('select from b.\"t\"')", Form::Body, &["0.t()"]),
            ("b.audit\\000", Form::Body, &["0.audit"]),
        ] {
            assert_eq!(found(text, form), expected, "{text}");
        }
    }
}
