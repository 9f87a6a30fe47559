//! The rules and their severities.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// The rule is not applied.
    Off,
    /// Worth knowing.
    Info,
    /// Likely to hurt.
    Warning,
    /// A mistake.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! rules {
    ($($(#[$docs:meta])* $variant:ident = $id:literal, $severity:ident;)*) => {
        /// A rule that a schema is checked against.
        ///
        /// `Display` and configurations use its id: `foreign-key-index`.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum LintRule {
            $($(#[$docs])* #[serde(rename = $id)] $variant,)*
        }

        impl LintRule {
            /// All rules, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the id.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)*
                }
            }

            /// Returns the severity that the rule has unless the options override it.
            #[must_use]
            pub fn default_severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

rules! {
    /// Names of tables and views follow a style. A warning.
    TableNaming = "table-naming", Warning;
    /// Names of columns follow a style. A warning.
    ColumnNaming = "column-naming", Warning;
    /// Every table has a primary key. An error.
    RequirePrimaryKey = "require-primary-key", Error;
    /// A primary key of one column is a `uuid` or an identity column. Off.
    PrimaryKeyType = "primary-key-type", Off;
    /// A primary key of one column is no `integer` or `smallint`, which run out of values. A warning.
    SmallPrimaryKey = "small-primary-key", Warning;
    /// Every table has columns for the times of creation and change. Off.
    RequireTimestamps = "require-timestamps", Off;
    /// Every table has a column that marks deleted rows. Off.
    RequireSoftDelete = "require-soft-delete", Off;
    /// The columns of a foreign key lead an index that is not partial. A warning.
    ForeignKeyIndex = "foreign-key-index", Warning;
    /// `on delete cascade` is meant: the constraint has a comment that says so. Off.
    CascadeDelete = "cascade-delete", Off;
    /// No two indexes are the same. A warning.
    DuplicateIndex = "duplicate-index", Warning;
    /// No index is only the beginning of another one. For information.
    RedundantIndex = "redundant-index", Info;
    /// No index is invalid. A warning.
    InvalidIndex = "invalid-index", Warning;
    /// Points in time are `timestamptz`. A warning.
    TimestampWithoutTimeZone = "timestamp-without-time-zone", Warning;
    /// A text is `text`: `varchar(n)` needs a migration to allow more. For information.
    VarcharLength = "varchar-length", Info;
    /// A text is no `char(n)`, which is padded with blanks. A warning.
    PaddedChar = "padded-char", Warning;
    /// Numbers are drawn by an identity column, not by `serial`. For information.
    Serial = "serial", Info;
    /// Amounts are `numeric`: `money` depends on the locale of the server. A warning.
    Money = "money", Warning;
    /// Documents are `jsonb`. For information.
    Json = "json", Info;
    /// A boolean is true or false. For information.
    NullableBoolean = "nullable-boolean", Info;
    /// Every constraint is validated. A warning.
    ConstraintNotValid = "constraint-not-valid", Warning;
    /// A table with row-level security has a policy: without one, only its owner sees rows. A warning.
    RowSecurityWithoutPolicy = "row-security-without-policy", Warning;
    /// A table with a policy has row-level security enabled: without it, the policy is ignored. An error.
    PolicyWithoutRowSecurity = "policy-without-row-security", Error;
    /// A `security definer` routine sets its `search_path`. An error.
    SecurityDefinerSearchPath = "security-definer-search-path", Error;
    /// No table is unlogged: it is empty after a crash, and on replicas. A warning.
    UnloggedTable = "unlogged-table", Warning;
    /// No trigger is disabled. A warning.
    DisabledTrigger = "disabled-trigger", Warning;
}

impl fmt::Display for LintRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
