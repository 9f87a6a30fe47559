use std::fmt;

use serde::Serialize;

use crate::tenant::Ident;

/// A place that stores the name of a schema as text, which a rename of the schema does not change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredName {
    /// The object, with its type, such as `function tenant_acme.total()` or `table tenant_acme.orders`.
    pub object: String,
    /// The part of it that contains the name.
    pub place: StoredIn,
    /// What a rename does about it.
    pub outcome: NameOutcome,
}

/// The part of an object that contains the name of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoredIn {
    /// A setting of a function or procedure, such as its `search_path`.
    Setting,
    /// The body of a function or procedure.
    Body,
    /// A literal in a default, a check, an index, a view, a rule, a policy, a partition's bounds, or an
    /// argument of a trigger.
    Expression,
    /// An option of a foreign table, a column of one, or a text search dictionary.
    Option,
    /// A comment.
    Comment,
    /// The object's own name.
    Name,
    /// A row of a table.
    Row,
    /// A setting of a role or of the database.
    RoleSetting,
}

/// What a rename does about a name that is stored as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NameOutcome {
    /// It is changed in the same transaction.
    Rewritten,
    /// It cannot be changed, so the schema is not renamed.
    Refused,
    /// It is unchanged: it is prose, or may have another meaning.
    Mentioned,
}

impl StoredIn {
    /// Returns it in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Body => "body",
            Self::Expression => "expression",
            Self::Option => "option",
            Self::Comment => "comment",
            Self::Name => "name",
            Self::Row => "row",
            Self::RoleSetting => "role setting",
        }
    }
}

impl NameOutcome {
    /// Returns it in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rewritten => "rewritten",
            Self::Refused => "refused",
            Self::Mentioned => "mentioned",
        }
    }
}

impl StoredName {
    /// Refers to the object by its current name after its schema was renamed or removed.
    pub(crate) fn under(mut self, now: &Ident, then: Option<&Ident>) -> Self {
        let then = then.map_or_else(String::new, |schema| format!("{schema}."));
        for name in [format!("{now}."), format!("{}.", now.quoted())] {
            for before in [" ", "(", ","] {
                let (name, then) = (format!("{before}{name}"), format!("{before}{then}"));
                self.object = self.object.replace(&name, &then);
            }
        }
        self
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.object, self.place.as_str())
    }
}

/// Why a schema is not renamed: the places that store its name as text. This is the
/// [source](std::error::Error::source) of an error of [`ErrorKind::StoredName`](crate::ErrorKind::StoredName).
#[derive(Clone, PartialEq, Eq)]
pub struct StoredNames(Vec<StoredName>);

crate::error_report::readable_debug!(StoredNames);

/// The maximum number of places in a message.
const TOLD: usize = 5;

impl StoredNames {
    pub(crate) const NONE: Self = Self(Vec::new());

    pub(crate) fn new(names: Vec<StoredName>) -> Self {
        Self(names)
    }

    /// Returns the places.
    #[must_use]
    pub fn as_slice(&self) -> &[StoredName] {
        &self.0
    }
}

impl fmt::Display for StoredNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().take(TOLD).enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl std::error::Error for StoredNames {}
