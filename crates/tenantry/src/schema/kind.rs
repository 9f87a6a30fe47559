//! The kinds of objects in a schema.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$docs:meta])* $variant:ident = $words:literal,)*) => {
        /// A kind of object in a schema.
        ///
        /// `Display` writes PostgreSQL's name for it, in lower case: `table`, `materialized view`. The order is the
        /// order in which objects are listed.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum ObjectKind {
            $($(#[$docs])* #[serde(rename = $words)] $variant,)*
        }

        impl ObjectKind {
            /// All kinds, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns PostgreSQL's name for it, in lower case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }
        }
    };
}

impl ObjectKind {
    /// The kinds of objects that have columns.
    pub(crate) const WITH_COLUMNS: [Self; 5] =
        [Self::Table, Self::ForeignTable, Self::View, Self::MaterializedView, Self::Composite];

    /// The kinds of objects that have parts: columns or constraints.
    pub(crate) const WITH_PARTS: [Self; 6] = [
        Self::Table,
        Self::ForeignTable,
        Self::View,
        Self::MaterializedView,
        Self::Composite,
        Self::Domain,
    ];
}

kinds! {
    /// The schema itself: its owner, grants and comment. Its name is empty.
    Schema = "schema",
    /// Grants that objects will have which a role creates in the schema later.
    DefaultPrivileges = "default privileges",
    /// A collation.
    Collation = "collation",
    /// A conversion between encodings.
    Conversion = "conversion",
    /// An enumerated type.
    Enum = "enum",
    /// A composite type that is not the row type of a table. Its fields are [columns](Self::Column).
    Composite = "composite type",
    /// A domain. Its checks are [constraints](Self::Constraint).
    Domain = "domain",
    /// A range type, with its multirange type.
    Range = "range type",
    /// A base type, or a shell type that is not defined yet.
    BaseType = "type",
    /// A function, a window function included.
    Function = "function",
    /// A procedure.
    Procedure = "procedure",
    /// An aggregate function.
    Aggregate = "aggregate",
    /// An operator.
    Operator = "operator",
    /// An operator family of an access method.
    OperatorFamily = "operator family",
    /// An operator class of an access method.
    OperatorClass = "operator class",
    /// A parser for text search.
    TextSearchParser = "text search parser",
    /// A template of dictionaries for text search.
    TextSearchTemplate = "text search template",
    /// A dictionary for text search.
    TextSearchDictionary = "text search dictionary",
    /// A configuration for text search, with its mappings.
    TextSearchConfiguration = "text search configuration",
    /// A sequence, also one that belongs to an identity column.
    Sequence = "sequence",
    /// A table, partitioned ones and partitions included.
    Table = "table",
    /// A foreign table.
    ForeignTable = "foreign table",
    /// A view.
    View = "view",
    /// A materialized view.
    MaterializedView = "materialized view",
    /// A column of a table or view, or a field of a composite type.
    Column = "column",
    /// A constraint of a table or a domain.
    Constraint = "constraint",
    /// An index that no constraint stands for.
    Index = "index",
    /// Extended statistics.
    Statistics = "statistics",
    /// A trigger.
    Trigger = "trigger",
    /// A rewrite rule.
    Rule = "rule",
    /// A policy of row-level security.
    Policy = "policy",
    /// A security label.
    SecurityLabel = "security label",
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
