//! Masks.

use std::fmt;

use super::{DateShiftMask, FakeKind, FakeMask, HashMask, NoiseMask, PartialMask, SqlMask};

/// What happens to the values of a column.
///
/// *Joinable* means that equal values stay equal in every column of every table; *unique* means that different values
/// stay different. Null stays null under every mask.
///
/// | mask | fits | joinable | unique |
/// |---|---|---|---|
/// | [`Keep`](Self::Keep) | every type | yes | yes |
/// | [`Null`](Self::Null) | nullable columns | no | where nulls are distinct |
/// | [`Constant`](Self::Constant) | every type the text is valid for | no | no |
/// | [`Template`](Self::Template) | text | unless it has `{row}` | with `{row}`, or with `{hash}` of 10 digits or more |
/// | [`Hash`](Self::Hash) | text, `uuid`, integers, `bytea` | yes | with 10 digits or more, without `ignore_case` |
/// | [`Fake`](Self::Fake) | text; `ip` also fits `inet` | yes | with `unique` |
/// | [`DateShift`](Self::DateShift) | `date`, `timestamp`, `timestamptz` | no | no |
/// | [`Noise`](Self::Noise) | integers, `numeric`, floats | no | no |
/// | [`Partial`](Self::Partial) | text | yes | no |
/// | [`Shuffle`](Self::Shuffle) | every type, whole values only | no | in a single column |
/// | [`Sql`](Self::Sql) | every type, whole values only | no | with `unique` |
///
/// A domain is masked like its base type, and an array element by element. Fields of a composite and values inside
/// `json` need a rule with a path. A number inside `json` becomes a string under a template, a fake or a partial
/// mask.
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
    /// Leaves values unchanged, and records that this is intended.
    Keep,
    /// Replaces every value by null.
    Null,
    /// Replaces every value by the same text. Inside `json`, a text that is valid JSON, such as `42` or `{}`, is
    /// inserted verbatim, and any other as a string.
    Constant(String),
    /// Replaces every value by a text with placeholders: `{hash}` or `{hash:8}` for hexadecimal digits of the value's
    /// hash (32 by default), `{row}` for the number of the row in its table, from 1, and each [`FakeKind`], such as
    /// `{first_name}`. Write `{{` and `}}` for braces.
    Template(String),
    /// Replaces values by their keyed hash (HMAC-SHA256).
    Hash(HashMask),
    /// Replaces values by invented ones, derived from the key and the value.
    Fake(FakeMask),
    /// Shifts dates by a random number of days, never by 0.
    DateShift(DateShiftMask),
    /// Adds random noise to numbers.
    Noise(NoiseMask),
    /// Keeps only the ends of a text.
    Partial(PartialMask),
    /// Shuffles the values of a column among the rows of the table.
    Shuffle,
    /// Replaces values by the result of an SQL expression over the row.
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
