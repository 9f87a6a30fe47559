//! Conventions that a schema is expected to follow.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{LintRule, Severity};

/// Options of [`SchemaModel::lint`](crate::schema::SchemaModel::lint).
///
/// # Examples
///
/// ```
/// use tenantry::schema::{LintOptions, LintRule, Severity};
///
/// let options = LintOptions::default()
///     .severity(LintRule::RequireTimestamps, Severity::Error)
///     .severity(LintRule::VarcharLength, Severity::Off);
///
/// let same = r#"{ "severities": { "require-timestamps": "error", "varchar-length": "off" } }"#;
/// assert_eq!(serde_json::from_str::<LintOptions>(same)?, options);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct LintOptions {
    /// Severities other than the [default](LintRule::default_severity) ones. Default: none.
    pub severities: BTreeMap<LintRule, Severity>,
    /// The style of the names of tables and views. Default: `snake_case`.
    pub table_naming: NameStyle,
    /// The style of the names of columns. Default: `snake_case`.
    pub column_naming: NameStyle,
    /// The columns that [`RequireTimestamps`](LintRule::RequireTimestamps) requires. Default: `created_at` and
    /// `updated_at`.
    pub timestamps: Vec<String>,
    /// The column that [`RequireSoftDelete`](LintRule::RequireSoftDelete) requires. Default: `deleted_at`.
    pub soft_delete: String,
    /// Tables that are excluded from all rules, with all their parts. Default: `_sqlx_migrations`.
    pub ignored_tables: BTreeSet<String>,
}

impl Default for LintOptions {
    fn default() -> Self {
        Self {
            severities: BTreeMap::new(),
            table_naming: NameStyle::default(),
            column_naming: NameStyle::default(),
            timestamps: vec!["created_at".to_owned(), "updated_at".to_owned()],
            soft_delete: "deleted_at".to_owned(),
            ignored_tables: ["_sqlx_migrations".to_owned()].into(),
        }
    }
}

impl LintOptions {
    /// Sets the severity of a rule.
    #[must_use]
    pub fn severity(mut self, rule: LintRule, severity: Severity) -> Self {
        self.severities.insert(rule, severity);
        self
    }

    /// Excludes a table from all rules.
    #[must_use]
    pub fn ignore_table(mut self, table: impl Into<String>) -> Self {
        self.ignored_tables.insert(table.into());
        self
    }

    /// Sets [`table_naming`](Self::table_naming).
    #[must_use]
    pub fn table_naming(mut self, style: NameStyle) -> Self {
        self.table_naming = style;
        self
    }

    /// Sets [`column_naming`](Self::column_naming).
    #[must_use]
    pub fn column_naming(mut self, style: NameStyle) -> Self {
        self.column_naming = style;
        self
    }

    /// Sets [`timestamps`](Self::timestamps).
    #[must_use]
    pub fn timestamps<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.timestamps = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`soft_delete`](Self::soft_delete).
    #[must_use]
    pub fn soft_delete(mut self, column: impl Into<String>) -> Self {
        self.soft_delete = column.into();
        self
    }

    /// Returns the severity of a rule.
    #[must_use]
    pub fn severity_of(&self, rule: LintRule) -> Severity {
        self.severities.get(&rule).copied().unwrap_or_else(|| rule.default_severity())
    }
}

/// How the words of a name are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum NameStyle {
    /// `order_items`
    #[default]
    #[serde(rename = "snake_case")]
    Snake,
    /// `orderItems`
    #[serde(rename = "camelCase")]
    Camel,
    /// `OrderItems`
    #[serde(rename = "PascalCase")]
    Pascal,
}

impl NameStyle {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Snake => "snake_case",
            Self::Camel => "camelCase",
            Self::Pascal => "PascalCase",
        }
    }

    /// Returns `true` if the name has this style. A leading underscore is ignored.
    pub(super) fn fits(self, name: &str) -> bool {
        let name = name.trim_start_matches('_');
        let first = name.chars().next();
        let is_alphanumeric = name.chars().all(char::is_alphanumeric);
        match self {
            Self::Snake => {
                let is_lower = |c: char| c == '_' || c.is_alphanumeric() && !c.is_uppercase();
                first.is_some() && name.chars().all(is_lower) && !name.contains("__")
            }
            Self::Camel => first.is_some_and(|c| !c.is_uppercase()) && is_alphanumeric,
            Self::Pascal => first.is_some_and(|c| !c.is_lowercase()) && is_alphanumeric,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_style() {
        for (name, snake, camel, pascal) in [
            ("orders", true, true, false),
            ("order_items", true, false, false),
            ("_orders", true, true, false),
            ("orderItems", false, true, false),
            ("OrderItems", false, false, true),
            ("order-items", false, false, false),
            ("order__items", false, false, false),
            ("größe_2", true, false, false),
        ] {
            let styles = [NameStyle::Snake, NameStyle::Camel, NameStyle::Pascal];
            assert_eq!(styles.map(|style| style.fits(name)), [snake, camel, pascal], "{name}");
        }
    }

    #[test]
    fn a_configuration_has_no_unknown_words() {
        for text in [
            r#"{ "severities": { "no-such-rule": "off" } }"#,
            r#"{ "severities": { "serial": "loud" } }"#,
            r#"{ "tableNames": "snake_case" }"#,
            r#"{ "tableNaming": "SHOUTING" }"#,
        ] {
            assert!(serde_json::from_str::<LintOptions>(text).is_err(), "{text}");
        }
        let options: LintOptions =
            serde_json::from_str(r#"{ "tableNaming": "camelCase" }"#).expect("it is sound");
        assert_eq!(options.table_naming, NameStyle::Camel);
        let written = serde_json::to_string(&options).expect("it can be written");
        assert_eq!(serde_json::from_str::<LintOptions>(&written).expect("it is sound"), options);
    }
}
