//! What is worth knowing about a schema and no part of a dump of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ObjectKey;

/// Something about a schema that `pg_dump` does not show: it is never drift.
///
/// As text it is a remark: `index orders_total_idx: the index is invalid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Beyond {
    /// The object.
    pub object: ObjectKey,
    /// What there is to know.
    pub what: BeyondKind,
    /// The other object that it is about, such as a publication or a type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// What there is to know about an object beyond the dump.
///
/// As text it is what a remark says of the object: `the index is invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BeyondKind {
    /// An index that queries do not use: building or dropping it concurrently was cut off.
    InvalidIndex,
    /// A materialized view that has never been filled.
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
    /// A collation whose version is not the one that the server has now.
    CollationVersion,
    /// A partition that was detached concurrently, and not to the end.
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
            Self::PendingDetach => "the partition is detached by half",
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
