//! Options of masks.

use serde::{Deserialize, Serialize};

use super::FakeKind;

/// Options of [`Mask::Hash`](super::Mask::Hash).
///
/// A text becomes lowercase hexadecimal digits, a `uuid` another `uuid` of version 4, and `bytea` 32 bytes. An
/// integer becomes another integer of the same sign that fits the same integer types; 0 stays 0. Equal values have
/// equal hashes in every column. If columns that must join have room for different numbers of digits, set `length` to
/// what fits the shortest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HashMask {
    /// The number of hexadecimal digits, 1 to 64. Default: 32, or as many as fit the column. Unique columns need at
    /// least 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// A prefix for hashed texts. Default: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// A suffix for hashed texts, such as `@example.invalid`. Default: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Whether texts that differ only in case get the same hash. Default: `false`; always `true` for `citext`.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_case: bool,
}

impl HashMask {
    /// Sets the number of hexadecimal digits.
    #[must_use]
    pub fn length(self, digits: usize) -> Self {
        Self { length: Some(digits), ..self }
    }

    /// Sets the prefix for hashed texts.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Sets the suffix for hashed texts.
    #[must_use]
    pub fn suffix(self, suffix: impl Into<String>) -> Self {
        Self { suffix: suffix.into(), ..self }
    }

    /// Gives texts that differ only in case the same hash.
    #[must_use]
    pub fn ignore_case(self) -> Self {
        Self { ignore_case: true, ..self }
    }
}

/// Options of [`Mask::Fake`](super::Mask::Fake). TOML has them in one table: `{ fake = "email", unique = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FakeMask {
    /// The kind of value.
    pub kind: FakeKind,
    /// Whether to include 12 hexadecimal digits of the value's hash, so that different values stay different.
    /// Default: `false`.
    pub unique: bool,
    /// Whether texts that differ only in case get the same fake. Default: `false`; always `true` for `citext`.
    pub ignore_case: bool,
}

impl FakeMask {
    /// Creates a mask that invents values of a kind.
    #[must_use]
    pub fn new(kind: FakeKind) -> Self {
        Self { kind, unique: false, ignore_case: false }
    }

    /// Keeps different values different.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// Gives texts that differ only in case the same fake.
    #[must_use]
    pub fn ignore_case(self) -> Self {
        Self { ignore_case: true, ..self }
    }
}

/// Options of [`Mask::DateShift`](super::Mask::DateShift).
///
/// Dates of one row are shifted by the same number of days if their rules have the same `max_days` and `per`. The
/// time of day does not change. `infinity` and `-infinity` stay and do not count as masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DateShiftMask {
    /// The largest shift in days, in either direction, from 1 to 365,000.
    pub max_days: u32,
    /// What determines the shift. With `row`, the default, it is the primary key, or the row number in a table
    /// without one. With the name of a column of the same table, all rows with the same value in that column are
    /// shifted equally, in any table, so the intervals between a person's dates are preserved. Where that column is
    /// null, the row determines the shift.
    #[serde(default = "row", skip_serializing_if = "is_row")]
    pub per: String,
}

impl DateShiftMask {
    /// Creates a mask that shifts the dates of each row separately.
    #[must_use]
    pub fn new(max_days: u32) -> Self {
        Self { max_days, per: row() }
    }

    /// Shifts the dates of all rows with the same value in a column equally.
    #[must_use]
    pub fn per(self, column: impl Into<String>) -> Self {
        Self { per: column.into(), ..self }
    }
}

fn row() -> String {
    "row".to_owned()
}

fn is_row(per: &str) -> bool {
    per == "row"
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Options of [`Mask::Noise`](super::Mask::Noise): the largest change, in either direction. Exactly one of the two
/// must be set.
///
/// A number keeps its sign and the precision and scale of its type, and changes by at least one unit of its last
/// digit. `NaN`, the infinities and, with `percent`, 0 stay and do not count as masked. Equal numbers in different
/// rows change differently.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NoiseMask {
    /// In percent of the number, more than 0 and at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// In units of the number, more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<f64>,
}

impl NoiseMask {
    /// Creates a mask that changes numbers by up to a percentage.
    #[must_use]
    pub fn percent(percent: f64) -> Self {
        Self { percent: Some(percent), amount: None }
    }

    /// Creates a mask that changes numbers by up to an amount.
    #[must_use]
    pub fn amount(amount: f64) -> Self {
        Self { percent: None, amount: Some(amount) }
    }
}

/// Options of [`Mask::Partial`](super::Mask::Partial).
///
/// The middle of a text is replaced by `with`, which does not reveal its length. A text that is not longer than
/// `first` and `last` together is replaced completely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PartialMask {
    /// How many characters to keep at the start. Default: 1.
    pub first: usize,
    /// How many characters to keep at the end. Default: 0.
    pub last: usize,
    /// The replacement for the rest. Default: `***`.
    pub with: String,
}

impl Default for PartialMask {
    fn default() -> Self {
        Self { first: 1, last: 0, with: "***".to_owned() }
    }
}

impl PartialMask {
    /// Creates a mask that keeps some characters at the start and at the end.
    #[must_use]
    pub fn new(first: usize, last: usize) -> Self {
        Self { first, last, ..Self::default() }
    }

    /// Sets the replacement for the rest.
    #[must_use]
    pub fn with(self, with: impl Into<String>) -> Self {
        Self { with: with.into(), ..self }
    }
}

/// Options of [`Mask::Sql`](super::Mask::Sql). TOML has them in one table: `{ sql = "lower(city)", unique = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlMask {
    /// The expression. The source evaluates it for each row; it can refer to the row's columns.
    pub expression: String,
    /// Asserts that different rows get different values. This is not checked in advance. Default: `false`.
    pub unique: bool,
}

impl SqlMask {
    /// Creates a mask from an expression.
    #[must_use]
    pub fn new(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), unique: false }
    }

    /// Asserts that different rows get different values.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }
}
