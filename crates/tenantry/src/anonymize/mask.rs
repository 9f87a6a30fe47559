//! What a mask does, as rules say it.

use std::fmt;

use super::{DateShiftMask, FakeKind, FakeMask, HashMask, NoiseMask, PartialMask, SqlMask};

/// What happens to the values of a column.
///
/// *Joinable* means that equal values stay equal, in every column of every table; *unique* that different values
/// stay different. Null stays null under every mask.
///
/// | mask | fits | joinable | unique |
/// |---|---|---|---|
/// | [`Keep`](Self::Keep) | everything | yes | yes |
/// | [`Null`](Self::Null) | everything that can be null | no | only where nulls are distinct |
/// | [`Constant`](Self::Constant) | everything that the text is a value of | no | no |
/// | [`Template`](Self::Template) | texts | without `{row}` | with `{row}`, or `{hash}` of 10 digits |
/// | [`Hash`](Self::Hash) | texts, `uuid`, integers, `bytea` | yes | from 10 digits on, without `ignore_case` |
/// | [`Fake`](Self::Fake) | texts; addresses also `inet` | yes | with `unique` |
/// | [`DateShift`](Self::DateShift) | `date`, `timestamp`, `timestamptz` | no | no |
/// | [`Noise`](Self::Noise) | integers, `numeric`, floats | no | no |
/// | [`Partial`](Self::Partial) | texts | yes | no |
/// | [`Shuffle`](Self::Shuffle) | everything but parts of a value | no | a single column |
/// | [`Sql`](Self::Sql) | everything but parts of a value | it depends | if `unique` says so |
///
/// Domains are masked like the types they are based on. A mask on an array is applied to each element. A field of a
/// composite and a value inside `json` are masked by a rule with a path.
///
/// # Examples
///
/// ```
/// use tenantry::anonymize::{FakeKind, FakeMask, HashMask, Mask};
///
/// let hash = Mask::Hash(HashMask::default().suffix("@example.invalid"));
/// assert_eq!(hash.to_string(), "hash");
/// assert_eq!(Mask::from(FakeKind::City), Mask::Fake(FakeMask::new(FakeKind::City)));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mask {
    /// Leaves values unchanged. It also says that the column has been considered.
    Keep,
    /// Replaces every value by null.
    Null,
    /// Replaces every value by one text. In `json`, a constant that is JSON, such as `42` or `{}`, is written as JSON, and any
    /// other as a string.
    Constant(String),
    /// Replaces every value by a text with placeholders: `{hash}` and `{hash:8}`, hexadecimal digits of the value's hash, 32 by
    /// default; `{row}`, the number of the row in its table, from 1; and each [`FakeKind`], as `{first_name}`. `{{` and `}}` are
    /// braces.
    Template(String),
    /// Replaces values by their keyed hash.
    Hash(HashMask),
    /// Replaces values by invented ones, which follow from the key and the value.
    Fake(FakeMask),
    /// Moves dates by a number of days, never by 0.
    DateShift(DateShiftMask),
    /// Moves numbers by a random amount.
    Noise(NoiseMask),
    /// Shows the ends of a text only.
    Partial(PartialMask),
    /// Exchanges the values of a column among its rows.
    Shuffle,
    /// Replaces values by an SQL expression over the columns of the row.
    Sql(SqlMask),
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Null => "null",
            Self::Constant(_) => "constant",
            Self::Template(_) => "template",
            Self::Hash(_) => "hash",
            Self::Fake(fake) => return write!(f, "fake {}", fake.kind),
            Self::DateShift(_) => "date_shift",
            Self::Noise(_) => "noise",
            Self::Partial(_) => "partial",
            Self::Shuffle => "shuffle",
            Self::Sql(_) => "sql",
        })
    }
}

impl From<HashMask> for Mask {
    fn from(mask: HashMask) -> Self {
        Self::Hash(mask)
    }
}

impl From<FakeMask> for Mask {
    fn from(mask: FakeMask) -> Self {
        Self::Fake(mask)
    }
}

impl From<FakeKind> for Mask {
    fn from(kind: FakeKind) -> Self {
        Self::Fake(FakeMask::new(kind))
    }
}
