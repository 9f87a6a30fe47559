//! Patterns that select the columns of a rule.

use crate::glob::is_like;

/// The columns that a rule names: a table, a dot and a column, each with `*` and `?`.
///
/// A name that contains a dot, a quote, `*` or `?` is written in double quotes, as in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPattern {
    table: Part,
    column: Part,
}

/// One of the two names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// In quotes: no character is a wildcard.
    Exact(String),
    Glob(String),
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(pattern) => is_like(name, pattern),
        }
    }

    fn is_exact(&self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Glob(pattern) => !pattern.contains(['*', '?']),
        }
    }
}

impl ColumnPattern {
    /// Parses `table.column`. The error says what is wrong and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            let example = r#"write table.column, such as users.email, *.email or "a.b".c"#;
            Err(format!("{text:?} {what}: {example}"))
        };
        let Some((table, rest)) = part(text) else { return wrong("has a quote without its pair") };
        let Some(rest) = rest.strip_prefix('.') else { return wrong("names no column") };
        let Some((column, rest)) = part(rest) else { return wrong("has a quote without its pair") };
        if !rest.is_empty() {
            return wrong("has more than two names");
        }
        for part in [&table, &column] {
            let (Part::Exact(name) | Part::Glob(name)) = part;
            if name.is_empty() {
                return wrong("has an empty name");
            }
        }
        Ok(Self { table, column })
    }

    pub(super) fn matches(&self, table: &str, column: &str) -> bool {
        self.table.matches(table) && self.column.matches(column)
    }

    pub(super) fn matches_table(&self, table: &str) -> bool {
        self.table.matches(table)
    }

    /// Returns `true` if the column is named without `*` and `?`.
    pub(super) fn names_column(&self) -> bool {
        self.column.is_exact()
    }
}

/// Reads a name up to the next dot; returns it with the rest.
fn part(text: &str) -> Option<(Part, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.contains('"')).then(|| (Part::Glob(name.to_owned()), rest));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((Part::Exact(name), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_table_and_a_column() {
        for (pattern, table, column, expected) in [
            ("users.email", "users", "email", true),
            ("users.email", "users", "email2", false),
            ("users.email", "user", "email", false),
            ("*.email", "anything", "email", true),
            ("audit_*.act?r", "audit_2024", "actor", true),
            (r#""a.b".c"#, "a.b", "c", true),
            (r#""a*".c"#, "ab", "c", false),
            (r#""a*".c"#, "a*", "c", true),
            (r#""a""b"."c""#, "a\"b", "c", true),
            ("Users.Email", "users", "email", false),
        ] {
            let parsed = ColumnPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(table, column), expected, "{pattern} {table} {column}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, what) in [
            ("email", "names no column"),
            ("", "names no column"),
            ("a.b.c", "more than two names"),
            (".email", "empty name"),
            ("users.", "empty name"),
            (r#""users.email"#, "without its pair"),
            (r#"us"ers.email"#, "without its pair"),
            (r#""users"x.email"#, "names no column"),
        ] {
            let error = ColumnPattern::parse(pattern).unwrap_err();
            assert!(error.contains(what), "{pattern}: {error}");
            assert!(error.contains("users.email"), "{error}");
        }
    }

    #[test]
    fn a_column_is_named_or_described() {
        for (pattern, expected) in
            [("*.email", true), ("users.e*", false), (r#"users."e*""#, true), ("a.b?", false)]
        {
            assert_eq!(
                ColumnPattern::parse(pattern).unwrap().names_column(),
                expected,
                "{pattern}"
            );
        }
    }
}
