//! Rules that select differences.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    glob::is_like,
    schema::{Attribute, Change, Difference, ObjectKey, ObjectKind},
};

/// Matches findings by their subject: everything that is set must match.
///
/// # Examples
///
/// ```
/// use tenantry::{drift::Matching, schema::{Attribute, ObjectKind}};
///
/// // Every grant, whatever it is on.
/// let grants = Matching::attribute(Attribute::Grants);
/// // Tables that a job makes, with all that belongs to them.
/// let scratch = Matching::named("tmp_*");
/// // The comments on columns.
/// let comments = Matching::kind(ObjectKind::Column).and_attribute(Attribute::Comment);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
#[cfg_attr(
    feature = "schemars",
    schemars(description = "Matches findings: everything that is set must fit.")
)]
pub struct Matching {
    /// The kind of object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ObjectKind>,
    /// The name of the object, or of the table that it is part of; `*` matches any characters, `?` matches one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The attribute. A missing or unexpected object has none, nor does a fact beyond the dump or a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<Attribute>,
}

impl Matching {
    /// Matches objects of a kind.
    #[must_use]
    pub fn kind(kind: ObjectKind) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// Matches objects by their name, by the name of the table that they belong to, or by both with a dot in between,
    /// such as `orders.total`.
    #[must_use]
    pub fn named(pattern: impl Into<String>) -> Self {
        Self { name: Some(pattern.into()), ..Self::default() }
    }

    /// Matches an attribute.
    #[must_use]
    pub fn attribute(attribute: Attribute) -> Self {
        Self { attribute: Some(attribute), ..Self::default() }
    }

    /// Restricts the rule to objects with this name, or that belong to a table with this name.
    #[must_use]
    pub fn and_named(self, pattern: impl Into<String>) -> Self {
        Self { name: Some(pattern.into()), ..self }
    }

    /// Restricts the rule to an attribute.
    #[must_use]
    pub fn and_attribute(self, attribute: Attribute) -> Self {
        Self { attribute: Some(attribute), ..self }
    }

    /// Returns `true` if a difference matches.
    #[must_use]
    pub fn matches(&self, difference: &Difference) -> bool {
        let attribute = match difference.change {
            Change::Changed { attribute, .. } => Some(attribute),
            _ => None,
        };
        self.fits(&difference.object, attribute)
    }

    /// Returns `true` if the rule matches an object as a whole, or one of its attributes.
    pub(super) fn fits(&self, object: &ObjectKey, attribute: Option<Attribute>) -> bool {
        let named = |pattern: &str| {
            let of = object.of.as_deref();
            is_like(&object.name, pattern)
                || of.is_some_and(|of| {
                    is_like(of, pattern) || is_like(&format!("{of}.{}", object.name), pattern)
                })
        };
        self.kind.is_none_or(|kind| kind == object.kind)
            && self.name.as_deref().is_none_or(named)
            && self.attribute.is_none_or(|wanted| attribute == Some(wanted))
    }
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.attribute, &self.kind) {
            (Some(attribute), Some(kind)) => write!(f, "{attribute} of {kind}")?,
            (Some(attribute), None) => write!(f, "{attribute}")?,
            (None, Some(kind)) => write!(f, "{kind}")?,
            (None, None) => write!(f, "objects")?,
        }
        match &self.name {
            Some(name) => write!(f, " named {name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_named_with_its_table_or_without() {
        let column = ObjectKey::part(ObjectKind::Column, "orders", "total");
        for (pattern, expected) in
            [("total", true), ("orders", true), ("orders.total", true), ("items.total", false)]
        {
            assert_eq!(Matching::named(pattern).fits(&column, None), expected, "{pattern}");
        }
    }
}
