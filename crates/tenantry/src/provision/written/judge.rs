//! Decides whether a text refers to a schema by its name.
//!
//! Schema names such as `acme` or `users` are ordinary words, so the grammar decides: before a dot, in a search path,
//! as a whole literal. Any other occurrence is a mention.

use std::collections::HashSet;

use super::{
    scan::{Token, is_part, is_start, scan},
    search_path,
};

/// How a text refers to a schema, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    Nothing,
    /// The name occurs, but may be that of something else, or prose.
    Mentions,
    /// The schema is looked up by this name.
    Uses,
}

/// A schema as texts call it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Called<'a> {
    name: &'a str,
    /// Objects in the schema: if one of these follows the dot, the name before it is the schema's.
    objects: &'a HashSet<String>,
    /// Objects in another schema that has the name from now on, if there is one: texts that refer to these stay
    /// valid.
    beside: Option<&'a HashSet<String>>,
    /// Whether a complete literal is the name, and not an ordinary word.
    literal_is_name: bool,
    /// Whether a literal can be a search path.
    literal_is_path: bool,
}

/// Words of statements: a literal that contains one of them and white space may be executed.
const STATEMENT: &[&str] = &[
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "from",
    "into",
    "table",
    "truncate",
    "call",
    "execute",
    "perform",
    "create",
    "alter",
    "drop",
    "grant",
    "revoke",
    "values",
    "lock",
    "refresh",
    "copy",
    "analyze",
    "vacuum",
    "set",
    "join",
    "using",
    "references",
    "inherits",
];

/// Levels of messages, which are prose.
const LEVELS: &[&str] = &["debug", "log", "info", "notice", "warning", "exception"];

/// Words next to which a complete literal is the name of a schema.
const ABOUT_SCHEMAS: &[&str] = &[
    "%i",
    "current_schema",
    "nspname",
    "quote_ident",
    "regnamespace",
    "schema_name",
    "schemaname",
    "search_path",
    "table_schema",
];

impl<'a> Called<'a> {
    pub(super) fn new(
        name: &'a str,
        objects: &'a HashSet<String>,
        beside: Option<&'a HashSet<String>>,
    ) -> Self {
        let literal_is_name = beside.is_none();
        Self { name, objects, beside, literal_is_name, literal_is_path: false }
    }

    /// Judges the body of a routine.
    pub(super) fn in_body(&self, text: &str, language: &str) -> Meaning {
        match language {
            "sql" | "plpgsql" => self.in_context(text).in_code(text).max(self.in_words(text)),
            _ => self.in_other_language(text),
        }
    }

    /// Returns the rules for a text, depending on whether it is about schemas.
    fn in_context(&self, text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let is_about_schemas = ABOUT_SCHEMAS.iter().any(|word| text.contains(word));
        Self {
            literal_is_name: self.beside.is_none() || is_about_schemas,
            literal_is_path: text.contains("search_path"),
            ..*self
        }
    }

    /// Judges an expression as printed by the server: only its literals are text.
    pub(super) fn in_expression(&self, text: &str) -> Meaning {
        let called = self.in_context(text);
        let literals = scan(text).into_iter().filter_map(|token| match token {
            Token::Text(content) => Some(called.in_literal(&content)),
            _ => None,
        });
        literals.max().unwrap_or(Meaning::Nothing)
    }

    /// Judges prose.
    pub(super) fn in_words(&self, text: &str) -> Meaning {
        match self.words(text).next() {
            Some(_) => Meaning::Mentions,
            None => Meaning::Nothing,
        }
    }

    /// Judges a value that is a text on its own.
    pub(super) fn in_literal(&self, content: &str) -> Meaning {
        let content = content.trim();
        if content == self.name && !self.literal_is_name {
            return Meaning::Mentions;
        }
        if self.literal_is_name && self.is_in_list(content) {
            return Meaning::Uses;
        }
        let is_path = self.literal_is_path && search_path::names(content, self.name);
        if content == self.name
            || is_path
            || self.is_qualified_name(content)
            || self.names_object(content)
        {
            return Meaning::Uses;
        }
        match content.contains(char::is_whitespace) && may_be_run(content) {
            true => self.in_code(content).max(self.in_words(content)),
            false => self.in_words(content),
        }
    }

    /// Returns `true` if a literal is an array or an object in text form that contains the name as an element.
    fn is_in_list(&self, content: &str) -> bool {
        let is_list = content.starts_with(['{', '[']) && content.ends_with(['}', ']']);
        let parts = content.split(['{', '[', ',', ':', ']', '}']);
        is_list && parts.map(|part| part.trim().trim_matches('"')).any(|part| part == self.name)
    }

    /// Returns `true` if a literal is a name qualified with the schema, or the start of one.
    fn is_qualified_name(&self, content: &str) -> bool {
        let tokens = code(content);
        match tokens.as_slice() {
            [Token::Name(first, 0)] => first == self.name && content.starts_with('"'),
            [Token::Name(first, 0), Token::Mark('.'), rest @ ..] => {
                let is_beside =
                    matches!(rest, [Token::Name(object, _), ..] if self.is_beside(object));
                first == self.name && !content.contains(char::is_whitespace) && !is_beside
            }
            _ => false,
        }
    }

    /// Returns `true` if a literal that is not necessarily a statement names something in the schema: a part of a
    /// statement, such as `join acme.orders`, or a list of names.
    fn names_object(&self, content: &str) -> bool {
        let tokens = code(content);
        let is_dot = |index: usize| tokens.get(index) == Some(&Token::Mark('.'));
        tokens.iter().enumerate().any(|(index, token)| match token {
            Token::Name(name, at) if name == self.name => {
                let is_first = index.checked_sub(1).is_none_or(|before| !is_dot(before));
                is_first
                    && is_dot(index + 1)
                    && !is_within_word(content, *at)
                    && match tokens.get(index + 2) {
                        Some(Token::Name(object, _)) => self.objects.contains(object),
                        Some(after) => *after == Token::Mark('%'),
                        None => false,
                    }
            }
            // In JSON and in arrays, quotes do not quote names.
            Token::Name(inner, at) => content[*at..].starts_with('"') && self.names_object(inner),
            _ => false,
        })
    }

    fn in_code(&self, text: &str) -> Meaning {
        let tokens = code(text);
        let is_dot = |index: Option<usize>| {
            index.and_then(|index| tokens.get(index)) == Some(&Token::Mark('.'))
        };
        let named =
            |index: usize| matches!(&tokens[index], Token::Name(name, _) if name == self.name);
        // The name without a dot is that of a table, an alias or a variable.
        let bare = (0..tokens.len())
            .any(|index| named(index) && !is_dot(index.checked_sub(1)) && !is_dot(Some(index + 1)));
        let is_word = |index: Option<usize>, words: &[&str]| {
            index.is_some_and(|index| is_one_of(&tokens[index], words))
        };
        let mut meaning = Meaning::Nothing;
        for (index, token) in tokens.iter().enumerate() {
            let found = match token {
                Token::Text(content)
                    if is_word(index.checked_sub(1), LEVELS)
                        && is_word(index.checked_sub(2), &["raise"]) =>
                {
                    self.in_words(content)
                }
                // The body of a routine or of a `do` in a statement that is put together.
                Token::Text(content) if is_word(index.checked_sub(1), &["do", "as"]) => {
                    self.in_literal(content).max(self.in_code(content))
                }
                Token::Text(content) if self.is_continued(content, &tokens[index + 1..]) => {
                    Meaning::Uses
                }
                Token::Text(content) => self.in_literal(content),
                Token::Name(name, at) if name == self.name => {
                    let before = index.checked_sub(1);
                    let qualifies = !is_dot(before)
                        && is_dot(Some(index + 1))
                        && !is_within_word(text, *at)
                        && self.qualifies(tokens.get(index + 2), bare);
                    let is_schema = before.is_some_and(
                        |before| matches!(&tokens[before], Token::Name(word, _) if word == "schema"),
                    );
                    match qualifies || is_schema {
                        true => Meaning::Uses,
                        false => Meaning::Nothing,
                    }
                }
                _ => Meaning::Nothing,
            };
            meaning = meaning.max(found);
        }
        meaning.max(self.in_search_path(&tokens))
    }

    /// Returns `true` if a literal ends with the name, and the next one starts with the dot:
    /// `'from acme' || '.orders'`.
    fn is_continued(&self, content: &str, rest: &[Token]) -> bool {
        let [Token::Mark('|'), Token::Mark('|'), Token::Text(next), ..] = rest else {
            return false;
        };
        let is_last = |token: &Token| matches!(token, Token::Name(name, _) if name == self.name);
        next.starts_with('.') && code(content).last().is_some_and(is_last)
    }

    /// Returns `true` if the part after the dot shows that the name before it is a schema.
    fn qualifies(&self, after: Option<&Token>, bare: bool) -> bool {
        match after {
            Some(Token::Name(object, _)) => {
                // In a trigger's function these are rows.
                let bare = bare || matches!(self.name, "new" | "old");
                !self.is_beside(object) && (self.objects.contains(object) || !bare)
            }
            // A part of a statement that is put together: `from acme.%I`, `'acme.' || t`.
            Some(Token::Mark('*')) => false,
            Some(_) | None => true,
        }
    }

    /// Returns `true` if an object is in the other schema of the name.
    fn is_beside(&self, object: &str) -> bool {
        let beside = self.beside.is_some_and(|beside| beside.contains(object));
        beside && !self.objects.contains(object)
    }

    /// Judges `set search_path to …` and `set_config('search_path', …)`.
    fn in_search_path(&self, tokens: &[Token]) -> Meaning {
        let names_path = |token: &Token| matches!(token, Token::Name(text, _) | Token::Text(text) if text.eq_ignore_ascii_case("search_path"));
        let mut rest = tokens;
        while let Some(index) = rest.iter().position(names_path) {
            rest = &rest[index + 1..];
            let end = rest.iter().position(|token| *token == Token::Mark(';'));
            let names = rest[..end.unwrap_or(rest.len())].iter().any(|token| match token {
                Token::Name(name, _) => name == self.name,
                Token::Text(list) => search_path::names(list, self.name),
                _ => false,
            });
            if names {
                return Meaning::Uses;
            }
        }
        Meaning::Nothing
    }

    /// Judges text in a language whose tokens are not known here.
    fn in_other_language(&self, text: &str) -> Meaning {
        let mut meaning = Meaning::Nothing;
        for at in self.words(text) {
            let (before, after) = (&text[..at], &text[at + self.name.len()..]);
            let quote = before.chars().next_back().filter(|c| matches!(c, '\'' | '"' | '`'));
            let after = after.strip_prefix('"').unwrap_or(after);
            let is_literal =
                quote.is_some_and(|quote| text[at + self.name.len()..].starts_with(quote));
            let object = after.strip_prefix('.').map(|object| {
                let object = object.trim_start_matches('"');
                let end = object.find(|c: char| !is_part(c)).unwrap_or(object.len());
                &object[..end]
            });
            let qualifies = object.is_some_and(|object| {
                self.objects.contains(&object.to_ascii_lowercase()) || object.is_empty()
            });
            meaning = meaning.max(match is_literal || qualifies {
                true => Meaning::Uses,
                false => Meaning::Mentions,
            });
        }
        meaning
    }

    /// Returns where the name occurs as a word, ignoring case.
    fn words<'t>(&'t self, text: &'t str) -> impl Iterator<Item = usize> + 't {
        let length = self.name.len();
        let candidates = text.char_indices().map(|(at, _)| at);
        candidates.filter(move |at| {
            let Some(candidate) = text.get(*at..*at + length) else { return false };
            let before = text[..*at].chars().next_back();
            let after = text[*at + length..].chars().next();
            candidate.eq_ignore_ascii_case(self.name)
                && !before.is_some_and(is_part)
                && !after.is_some_and(is_part)
        })
    }
}

/// Reads tokens, without comments, which can occur anywhere like white space.
fn code(text: &str) -> Vec<Token> {
    scan(text).into_iter().filter(|token| !matches!(token, Token::Comment(_))).collect()
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Name(word, _) if words.contains(&word.as_str()))
}

/// Returns `true` if a literal may be a statement: it contains a word of one, or it starts a block of code.
fn may_be_run(content: &str) -> bool {
    let tokens = code(content);
    let is_block = |pair: &[Token]| {
        let body = matches!(pair[1], Token::Text(_)) || is_one_of(&pair[1], &["language"]);
        is_one_of(&pair[0], &["do"]) && body
    };
    tokens.iter().any(|token| is_one_of(token, STATEMENT)) || tokens.windows(2).any(is_block)
}

/// Returns `true` if a name is the end of something that is not an identifier, such as an address.
fn is_within_word(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    before.is_some_and(|c| matches!(c, '@' | '\\') || (c == '/' && !text[..at].ends_with("*/")))
        || before.is_some_and(is_start)
}

#[cfg(test)]
mod tests {
    use super::{Meaning::*, *};

    fn objects() -> HashSet<String> {
        ["orders", "users", "seq"].map(str::to_owned).into()
    }

    #[test]
    fn a_body_means_the_schema_where_the_grammar_has_one() {
        let objects = objects();
        for (name, body, meaning) in [
            ("acme", "select count(*) from acme.orders", Uses),
            ("acme", r#"select count(*) from "acme" . orders"#, Uses),
            ("acme", "select count(*) from ACME.orders", Uses),
            ("acme", r#"select count(*) from "ACME".orders"#, Mentions),
            ("acme", "begin return acme.total(); end", Uses),
            ("acme", "begin x acme.orders%rowtype; end", Uses),
            ("acme", "begin execute 'select 1 from acme.orders'; end", Uses),
            ("acme", "begin execute $q$select 1 from acme.orders$q$; end", Uses),
            ("acme", "begin execute format('select 1 from acme.%I', t); end", Uses),
            ("acme", "begin execute 'select 1 from acme.' || t; end", Uses),
            ("acme", "begin execute format('select 1 from %I.t', 'acme'); end", Uses),
            ("acme", "select nextval('acme.seq')", Uses),
            ("acme", r#"select to_regclass('"acme".seq')"#, Uses),
            ("acme", "select 'acme.seq'::regclass", Uses),
            ("acme", "begin set local search_path to acme, public; end", Uses),
            ("acme", "select set_config('search_path', 'acme, public', true)", Uses),
            ("acme", "begin create table acme.made_now (); end", Uses),
            ("acme", "begin execute 'drop schema acme'; end", Uses),
            ("acme", "select 1 -- see acme.orders", Mentions),
            ("acme", "select 1 /* acme.orders */", Mentions),
            ("acme", "begin raise notice 'mail to sales@acme.com'; end", Mentions),
            ("acme", "begin perform mail('update from sales@acme.com now'); end", Mentions),
            ("acme", "begin raise notice 'of acme'; end", Mentions),
            ("acme", "begin raise exception 'no row in acme.orders'; end", Mentions),
            ("acme", "select v from acme/**/.orders", Uses),
            ("acme", "select v from acme -- the tenant\n.orders", Uses),
            ("acme", r"begin execute E'select v from\nacme.orders'; end", Uses),
            ("acme", r"begin execute E'select v from \x61cme.orders'; end", Uses),
            ("acme", "begin execute 'do $x$ begin x := acme.total(); end $x$'; end", Uses),
            (
                "acme",
                "begin execute 'create function f() returns int language plpgsql as
                     ''begin return acme.total(); end'''; end",
                Uses,
            ),
            ("acme", "begin perform note('do not look at acme.total'); end", Mentions),
            ("acme", "begin execute 'select v from acme' || '.' || t; end", Uses),
            ("acme", "begin foreach s in array '{x, acme}'::text[] loop end loop; end", Uses),
            ("acme", r#"begin s := '{"s": "acme"}'::jsonb->>'s'; end"#, Uses),
            // Parts of statements.
            ("acme", "begin execute q || ' join acme.orders using (id)'; end", Uses),
            ("acme", "begin execute q || ' join acme.' || t; end", Uses),
            ("acme", "begin execute q || ', acme.orders'; end", Uses),
            ("acme", "begin execute q || ', acme.%I'; end", Uses),
            ("acme", "begin execute q || 'only acme.orders as o'; end", Uses),
            (
                "acme",
                "begin foreach t in array '{acme.orders, x}'::text[] loop end loop; end",
                Uses,
            ),
            ("acme", r#"begin t := '{"of": "acme.orders"}'::json->>'of'; end"#, Uses),
            ("acme", "select 'acme.seq(int, int)'::regprocedure", Uses),
            (
                "acme",
                "declare p text := 'acme, x'; begin perform set_config('search_path', p, true); end",
                Uses,
            ),
            ("acme", "declare p text := 'acme, x'; begin return p; end", Mentions),
            ("acme", "select 'mail to sales@acme.orders and more'", Mentions),
            ("acme", "select acme2.x from acme2", Nothing),
            ("acme", "select x.acme.y from x", Mentions),
            // A tenant with the same name as a table.
            ("users", "select users.id from users", Mentions),
            ("users", "select users.* from users where users.name = 'x'", Mentions),
            ("users", "select users.id from users.orders as users", Uses),
            ("users", "select u.users from t u", Mentions),
            ("users", "declare users record; begin return users.name; end", Mentions),
            ("users", "select o.id from users.users o", Uses),
            ("new", "begin if new.id > old.id then return new; end if; end", Mentions),
            ("new", "begin new.id := 1; end", Mentions),
            ("new", "begin insert into new.orders values (1); end", Uses),
        ] {
            let called = Called::new(name, &objects, None);
            assert_eq!(called.in_body(body, "plpgsql"), meaning, "{body}");
        }
    }

    #[test]
    fn of_an_expression_only_the_literals_are_text() {
        let objects = objects();
        let called = Called::new("acme", &objects, None);
        for (text, meaning) in [
            ("nextval('acme.seq'::text)", Uses),
            ("'acme'::text", Uses),
            ("(acme.orders = 'x'::text)", Nothing),
            ("(s <> 'of acme'::text)", Mentions),
            ("EXECUTE FUNCTION f('acme', 'x')", Uses),
            ("'acme2'::text", Nothing),
        ] {
            assert_eq!(called.in_expression(text), meaning, "{text}");
        }
    }

    #[test]
    fn what_another_schema_of_the_name_holds_stays_where_it_is() {
        let (objects, beside) = (objects(), ["plans", "citext"].map(str::to_owned).into());
        let called = Called::new("public", &objects, Some(&beside));
        for (body, meaning) in [
            ("select 1 from public.orders", Uses),
            ("select 1 from public.plans", Mentions),
            ("select 'public.plans'::regclass", Mentions),
            ("select 'public.orders'::regclass", Uses),
            ("select x::public.citext from t", Mentions),
            ("select 1 from t where visibility = 'public'", Mentions),
            ("select 1 from information_schema.tables where table_schema = 'public'", Uses),
            ("grant select on t to public", Mentions),
        ] {
            assert_eq!(called.in_body(body, "sql"), meaning, "{body}");
        }
    }

    #[test]
    fn other_languages_are_read_word_by_word() {
        let objects = objects();
        let called = Called::new("acme", &objects, None);
        for (text, meaning) in [
            ("plpy.execute(\"select * from acme.orders\")", Uses),
            ("plpy.execute('select * from \"acme\".\"orders\"')", Uses),
            ("schema = 'acme'", Uses),
            ("x = acme.append(1)", Mentions),
            ("# about acme", Mentions),
            ("pacme = 1", Nothing),
        ] {
            assert_eq!(called.in_body(text, "plpython3u"), meaning, "{text}");
        }
    }
}
