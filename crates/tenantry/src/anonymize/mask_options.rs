//! Options of masks.

use serde::{Deserialize, Serialize};

use super::FakeKind;

/// Options of [`Mask::Hash`].
///
/// A text becomes lowercase hexadecimal digits; a `uuid` one of version 4; `bytea` 32 bytes; an integer another
/// integer of the same sign that fits the same types, where 0 stays 0. Equal values give equal hashes in every column,
/// so join columns are hashed alike: where one of them is shorter than the hash, set `length` to what fits it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HashMask {
    /// The hexadecimal digits of a text, at most 64. Default: 32, or as many as fit the column. Fewer than 10
    /// cannot keep values unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// What a text begins with. Default: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// What a text ends with, such as `@example.invalid`. Default: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// Texts that differ in case only get the same hash. Default: no. `citext` is always hashed so.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_case: bool,
}

impl HashMask {
    /// Sets the number of hexadecimal digits.
    #[must_use]
    pub fn length(self, digits: usize) -> Self {
        Self { length: Some(digits), ..self }
    }

    /// Sets what a text begins with.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Sets what a text ends with.
    #[must_use]
    pub fn suffix(self, suffix: impl Into<String>) -> Self {
        Self { suffix: suffix.into(), ..self }
    }

    /// Hashes texts that differ in case only alike.
    #[must_use]
    pub fn ignore_case(self) -> Self {
        Self { ignore_case: true, ..self }
    }
}

/// Options of [`Mask::Fake`]. In TOML they stand beside the kind: `{ fake = "email", unique = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FakeMask {
    /// What is invented.
    pub kind: FakeKind,
    /// Weaves 12 hexadecimal digits of the value's hash in, so that different values stay different. Default: no.
    pub unique: bool,
    /// Texts that differ in case only get the same fake. Default: no. `citext` always does.
    pub ignore_case: bool,
}

impl FakeMask {
    /// Invents values of a kind.
    #[must_use]
    pub fn new(kind: FakeKind) -> Self {
        Self { kind, unique: false, ignore_case: false }
    }

    /// Keeps different values different.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// Invents the same for texts that differ in case only.
    #[must_use]
    pub fn ignore_case(self) -> Self {
        Self { ignore_case: true, ..self }
    }
}

/// Options of [`Mask::DateShift`].
///
/// All dates of a row are moved by the same number of days, if their rules have the same `max_days`. The time of day
/// stays; so do `infinity` and `-infinity`, which are not counted as masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DateShiftMask {
    /// The most days that a date is moved by, to either side. From 1 to 365,000.
    pub max_days: u32,
    /// What decides the shift: `row`, the default, or the name of a column of the same table. All rows with the same value in that
    /// column, in any table, are moved alike, so a person's dates keep their distances. Where the column is null, the
    /// row decides.
    #[serde(default = "row", skip_serializing_if = "is_row")]
    pub per: String,
}

impl DateShiftMask {
    /// Moves the dates of each row.
    #[must_use]
    pub fn new(max_days: u32) -> Self {
        Self { max_days, per: row() }
    }

    /// Moves the dates of all rows alike that have the same value in a column.
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

/// Options of [`Mask::Noise`]: how far a number is moved at most, to either side. One of the two is given.
///
/// A number keeps its sign and its type's precision and scale, and is moved by at least one unit of its last
/// digit. With `percent`, 0 stays 0; so do `NaN` and the infinities. They are not counted as masked. Equal numbers
/// of different rows are moved differently.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NoiseMask {
    /// Percent of the number, more than 0 and at most 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// In units of the number, more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<f64>,
}

impl NoiseMask {
    /// Moves numbers by a share of themselves.
    #[must_use]
    pub fn percent(percent: f64) -> Self {
        Self { percent: Some(percent), amount: None }
    }

    /// Moves numbers by an amount.
    #[must_use]
    pub fn amount(amount: f64) -> Self {
        Self { percent: None, amount: Some(amount) }
    }
}

/// Options of [`Mask::Partial`].
///
/// The middle of a text is replaced by `with`, whatever its length. A text with no more characters than `first` and `last`
/// together is replaced completely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PartialMask {
    /// The characters that are shown at the start. Default: 1.
    pub first: usize,
    /// The characters that are shown at the end. Default: 0.
    pub last: usize,
    /// What stands for the rest. Default: `***`.
    pub with: String,
}

impl Default for PartialMask {
    fn default() -> Self {
        Self { first: 1, last: 0, with: "***".to_owned() }
    }
}

impl PartialMask {
    /// Shows some characters at the start and at the end.
    #[must_use]
    pub fn new(first: usize, last: usize) -> Self {
        Self { first, last, ..Self::default() }
    }

    /// Sets what stands for the rest.
    #[must_use]
    pub fn with(self, with: impl Into<String>) -> Self {
        Self { with: with.into(), ..self }
    }
}

/// Options of [`Mask::Sql`]. In TOML they stand side by side: `{ sql = "lower(city)", unique = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlMask {
    /// The expression. It is evaluated in the source for each row, and can name the row's columns.
    pub expression: String,
    /// States that different rows get different values, which nothing checks in advance. Default: no.
    pub unique: bool,
}

impl SqlMask {
    /// Replaces values by an expression.
    #[must_use]
    pub fn new(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), unique: false }
    }

    /// States that different rows get different values.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }
}
