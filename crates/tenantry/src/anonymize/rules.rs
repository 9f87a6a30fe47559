//! Masking rules.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Key, KeyError, Mask, path::Path, pattern::ColumnPattern};

/// Rules for masking personal data while a tenant's schema is copied.
///
/// The first rule whose pattern matches a column wins. A rule with a path applies to a place inside the value, so a
/// column can have several of them. A pattern is `table.column`, where `*` matches any characters and `?` matches
/// one. Matching is case-sensitive and uses names as the catalog stores them.
///
/// A rule for a partitioned table also applies to its partitions. A table that merely inherits from another needs
/// separate rules. Columns without a rule are copied unchanged. In strict mode, the default, a schema is not cloned
/// while a column without a rule looks personal; see [`Suspicion`](super::Suspicion).
///
/// # Examples
///
/// In Rust:
///
/// ```
/// use tenantry::anonymize::{Anonymize, FakeKind, HashMask, Mask};
///
/// let rules = Anonymize::new()
///     .rule("users.email", HashMask::default().suffix("@example.invalid"))
///     .rule("*.full_name", FakeKind::Name)
///     .rule_at("events.payload", "**.email", HashMask::default())
///     .keep("users.id");
/// ```
///
/// The same as TOML:
///
/// ```
/// # use tenantry::anonymize::{Anonymize, FakeKind, HashMask, Mask};
/// let rules = Anonymize::from_toml(r#"
///     key_env = "ANONYMIZE_KEY"
///
///     [[rules]]
///     columns = ["users.email"]
///     mask = { hash = { suffix = "@example.invalid" } }
///
///     [[rules]]
///     columns = ["*.full_name"]
///     mask = { fake = "name" }
///
///     [[rules]]
///     columns = ["events.payload"]
///     path = "**.email"
///     mask = "hash"
///
///     [[rules]]
///     columns = ["users.id"]
///     mask = "keep"
/// "#)?;
/// assert_eq!(rules.rules.len(), 4);
/// # Ok::<(), tenantry::anonymize::RulesError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Anonymize {
    /// Whether to refuse cloning while a column without a rule looks personal. Default: `true`.
    #[serde(default = "yes")]
    pub strict: bool,
    /// The environment variable that holds the key. The name is only recorded;
    /// [`read_key`](Self::read_key) reads the variable. Default: none, and each clone uses a random key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// The rules, in order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    #[serde(skip)]
    key: Option<Key>,
}

fn yes() -> bool {
    true
}

impl Default for Anonymize {
    fn default() -> Self {
        Self { strict: true, key_env: None, rules: Vec::new(), key: None }
    }
}

/// A mask and the columns it applies to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// Patterns of columns, such as `users.email`, `*.email` or `"odd.table".email`. The rule
    /// applies to columns that match any of them. Each pattern must match at least one column.
    #[serde(deserialize_with = "patterns")]
    pub columns: Vec<String>,
    /// The place inside the value: keys of `json` and fields of composites, separated by dots; `[*]` is any element
    /// of an array, `*` any key or field, `**` any depth. A path to an object or array covers every string and number
    /// in it. Keys are never masked. Default: the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "path")]
    pub path: Option<String>,
    /// The mask.
    pub mask: Mask,
}

impl Rule {
    /// Creates a rule for whole values.
    #[must_use]
    pub fn new(columns: impl Into<String>, mask: impl Into<Mask>) -> Self {
        Self { columns: vec![columns.into()], path: None, mask: mask.into() }
    }

    /// Restricts the rule to a place inside the value.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Adds another pattern of columns.
    #[must_use]
    pub fn and(mut self, columns: impl Into<String>) -> Self {
        self.columns.push(columns.into());
        self
    }
}

/// Invalid rules: the position, what is wrong, and what to write instead.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*.position))]
pub struct RulesError {
    position: Option<(usize, usize)>,
    message: String,
}

crate::error_report::readable_debug!(RulesError);

fn place(position: Option<(usize, usize)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!("line {line}, column {column}: "))
}

impl RulesError {
    /// Returns the line, from 1, if it is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.position.map(|(line, _)| line)
    }

    /// Returns the column in the line, in characters from 1, if it is known.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.position.map(|(_, column)| column)
    }
}

impl Anonymize {
    /// Creates an empty set of rules, in strict mode and without a key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses rules from TOML.
    ///
    /// # Errors
    ///
    /// [`RulesError`] when the text is not TOML, or when an option, pattern, path, template or mask is invalid.
    /// Whether the rules fit a schema is checked by [`check`](Self::check).
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        let rules: Self = toml::from_str(text).map_err(|error| {
            let position = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(text);
                let line = before.rsplit('\n').next().unwrap_or_default();
                (before.matches('\n').count() + 1, line.chars().count() + 1)
            });
            RulesError { position, message: error.message().trim_end().replace('\n', "; ") }
        })?;
        Ok(rules)
    }

    /// Adds a rule for columns.
    #[must_use]
    pub fn rule(self, columns: impl Into<String>, mask: impl Into<Mask>) -> Self {
        self.with(Rule::new(columns, mask))
    }

    /// Adds a rule for a place inside the values of columns.
    #[must_use]
    pub fn rule_at(
        self,
        columns: impl Into<String>,
        path: impl Into<String>,
        mask: impl Into<Mask>,
    ) -> Self {
        self.with(Rule::new(columns, mask).at(path))
    }

    /// Copies columns unchanged, even if they look personal. Later rules do not apply to them.
    #[must_use]
    pub fn keep(self, columns: impl Into<String>) -> Self {
        self.rule(columns, Mask::Keep)
    }

    /// Adds a rule.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Sets whether cloning is refused while a column without a rule looks personal. Default: `true`.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Sets the key. Clones made with the same key have the same masks.
    #[must_use]
    pub fn key(self, key: Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Reads the key from the variable that [`key_env`](Self::key_env) names, unless a key is already set or no
    /// variable is named.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the variable is not set or its value is too short.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use tenantry::anonymize::Anonymize;
    /// # fn example(rules: Anonymize) -> Result<(), tenantry::anonymize::KeyError> {
    /// let rules = rules.read_key(|name| std::env::var(name).ok())?;
    /// # Ok(()) }
    /// ```
    pub fn read_key(self, look_up: impl FnOnce(&str) -> Option<String>) -> Result<Self, KeyError> {
        let Some(name) = self.key_env.clone().filter(|_| self.key.is_none()) else {
            return Ok(self);
        };
        let Some(key) = look_up(&name) else { return Err(KeyError::Missing { name }) };
        let key = Key::from_bytes(key)?;
        Ok(self.key(key))
    }

    /// Returns `true` if a column that looks personal needs a rule.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Returns the key, if one is set.
    pub(crate) fn set_key(&self) -> Option<&Key> {
        self.key.as_ref()
    }
}

/// A pattern that can be read.
struct Checked(String);

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An error inside a visitor is reported with the position of the pattern, and not of the whole list.
        deserializer.deserialize_str(PatternVisitor)
    }
}

struct PatternVisitor;

impl de::Visitor<'_> for PatternVisitor {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern of columns, such as \"users.email\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Checked, E> {
        match ColumnPattern::parse(text) {
            Ok(_) => Ok(Checked(text.to_owned())),
            Err(message) => Err(E::custom(message)),
        }
    }
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let patterns = Vec::<Checked>::deserialize(deserializer)?;
    if patterns.is_empty() {
        return Err(de::Error::custom("a rule needs columns, such as columns = [\"users.email\"]"));
    }
    Ok(patterns.into_iter().map(|Checked(text)| text).collect())
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Path::parse(&text).map_err(de::Error::custom)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{FakeKind, HashMask},
        *,
    };

    #[test]
    fn toml_and_rust_say_the_same() {
        let written = Anonymize::from_toml(
            r#"
            strict = false
            key_env = "ANONYMIZE_KEY"

            [[rules]]
            columns = ["users.email", "audit_*.actor", '"a.b"."c"']
            mask = "hash"

            [[rules]]
            columns = ["users.data"]
            path = "contacts[*].email"
            mask = { fake = "email", unique = true }
            "#,
        )
        .unwrap();
        let fake = crate::anonymize::FakeMask::new(FakeKind::Email).unique();
        let built = Anonymize::new()
            .strict(false)
            .with(
                Rule::new("users.email", HashMask::default())
                    .and("audit_*.actor")
                    .and(r#""a.b"."c""#),
            )
            .rule_at("users.data", "contacts[*].email", fake);
        assert_eq!(written.rules, built.rules);
        assert_eq!(written.strict, built.strict);
        assert_eq!(written.key_env.as_deref(), Some("ANONYMIZE_KEY"));
        assert!(Anonymize::from_toml("").unwrap().strict);
    }

    #[test]
    fn errors_tell_the_place_and_what_to_do() {
        for (text, place, part) in [
            ("strict = 1", (1, 10), "expected a boolean"),
            ("\nstrickt = true", (2, 1), "unknown field `strickt`"),
            ("key = \"secret\"", (1, 1), "unknown field `key`"),
            ("rules = [", (1, 10), ""),
            (
                "[[rules]]\ncolumns = [\"users.id\", \"email\"]\nmask = \"hash\"",
                (2, 24),
                "write table.column",
            ),
            ("[[rules]]\ncolumns = []\nmask = \"hash\"", (2, 11), "a rule needs columns"),
            ("[[rules]]\ncolumns = [\"a.b\"]\nmask = \"hush\"", (3, 8), "\"keep\", \"null\""),
            (
                "[[rules]]\ncolumns = [\"a.b\"]\nmask = { fake = \"emial\" }",
                (3, 17),
                "expected one of `name`",
            ),
            (
                "[[rules]]\ncolumns = [\"a.b\"]\nmask = { template = \"{x}\" }",
                (3, 21),
                "not a placeholder",
            ),
            (
                "[[rules]]\ncolumns = [\"a.b\"]\npath = \"a..b\"\nmask = \"hash\"",
                (3, 8),
                "write keys with dots",
            ),
            ("[[rules]]\ncolumns = [\"a.b\"]", (1, 1), "missing field `mask`"),
        ] {
            let error = Anonymize::from_toml(text).unwrap_err();
            assert_eq!((error.line(), error.column()), (Some(place.0), Some(place.1)), "{error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn the_key_is_looked_up_and_never_shown() {
        let named = Anonymize::from_toml("key_env = \"NAME\"").unwrap();
        let missing = named.clone().read_key(|_| None).unwrap_err();
        assert_eq!(missing, KeyError::Missing { name: "NAME".to_owned() });
        let short = named.clone().read_key(|_| Some("short".to_owned())).unwrap_err();
        assert_eq!(short, KeyError::TooShort { bytes: 5 });
        let secret = "0123456789abcdef";
        let read = named.read_key(|name| (name == "NAME").then(|| secret.to_owned())).unwrap();
        assert!(read.set_key().is_some());
        assert!(!format!("{read:?}").contains(secret));
        assert!(!serde_json::to_string(&read).unwrap().contains(secret));
        let again = read.read_key(|_| panic!("it is set already")).unwrap();
        assert!(again.set_key().is_some());
        assert!(
            Anonymize::new().read_key(|_| panic!("none is named")).unwrap().set_key().is_none()
        );
    }
}
