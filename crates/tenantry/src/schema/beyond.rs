//! Facts about a schema that are not part of a dump.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ObjectKey;

/// A fact about a schema that `pg_dump` does not show: it is never drift.
///
/// `Display` writes a remark: `index orders_total_idx: the index is invalid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Beyond {
    /// The object.
    pub object: ObjectKey,
    /// The kind of fact.
    pub what: BeyondKind,
    /// The other object that is involved, such as a publication or a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// The kind of a fact beyond the dump.
///
/// `Display` writes the second part of a remark: `the index is invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BeyondKind {
    /// An index that queries do not use: its concurrent creation or removal was interrupted.
    InvalidIndex,
    /// A materialized view that was never populated.
    NotPopulated,
    /// A trigger of a foreign key that is disabled: the key is not checked.
    KeyTriggerDisabled,
    /// A cast from or to a type of the schema.
    Cast,
    /// A publication that publishes the table or the schema.
    Published,
    /// An event trigger that calls a function of the schema.
    EventTrigger,
    /// An extension that is installed in the schema.
    Extension,
    /// A collation whose version differs from the server's current one.
    CollationVersion,
    /// A partition whose concurrent detaching has not completed.
    PendingDetach,
    /// A transform for a type of the schema.
    Transform,
}

impl BeyondKind {
    fn words(self) -> &'static str {
        match self {
            Self::InvalidIndex => "the index is invalid",
            Self::NotPopulated => "the materialized view is not populated",
            Self::KeyTriggerDisabled => "a trigger of the foreign key is disabled",
            Self::Cast => "there is a cast",
            Self::Published => "it is published",
            Self::EventTrigger => "it is called by an event trigger",
            Self::Extension => "an extension is installed in the schema",
            Self::CollationVersion => "the version of the collation is not the server's",
            Self::PendingDetach => "the partition is only partly detached",
            Self::Transform => "there is a transform",
        }
    }
}

impl fmt::Display for BeyondKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.what)?;
        match &self.other {
            Some(other) => write!(f, " ({other})"),
            None => Ok(()),
        }
    }
}
