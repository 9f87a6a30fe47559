//! What a mask does, as rules say it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::template::Template;

/// What happens to the values of a column.
///
/// *Joinable* means that equal values stay equal, in every column of every table; *unique* that different values
/// stay different. Null stays null under every mask but [`constant`](Self::Constant), which replaces it nowhere either.
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

macro_rules! fake_kinds {
    ($($(#[$docs:meta])* $variant:ident = $word:literal,)*) => {
        /// A kind of invented value. All are English; domains and networks are those that are reserved for documentation
        /// ([RFC 2606](https://www.rfc-editor.org/rfc/rfc2606), [RFC 5737](https://www.rfc-editor.org/rfc/rfc5737),
        /// [RFC 3849](https://www.rfc-editor.org/rfc/rfc3849)).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum FakeKind {
            $($(#[$docs])* #[serde(rename = $word)] $variant,)*
        }

        impl FakeKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns its name in rules and templates.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

fake_kinds! {
    /// A first and a last name.
    Name = "name",
    /// A first name.
    FirstName = "first_name",
    /// A last name.
    LastName = "last_name",
    /// An e-mail address at `example.com`, `.net` or `.org`.
    Email = "email",
    /// A telephone number: a North American one that is reserved for fiction, or, if unique, one with the unassigned
    /// country code 999.
    Phone = "phone",
    /// A street with a number, a postcode and a city, on one line.
    Address = "address",
    /// A street with a number.
    Street = "street",
    /// A city.
    City = "city",
    /// A postcode of five digits.
    Postcode = "postcode",
    /// A country.
    Country = "country",
    /// A company.
    Company = "company",
    /// Words of no meaning, about as many characters as the value, at most 1,000.
    Text = "text",
    /// A user name.
    Username = "username",
    /// An address below `https://example.com`.
    Url = "url",
    /// An IPv4 address, or, if unique, an IPv6 address.
    Ip = "ip",
}

impl fmt::Display for FakeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

/// A mask as it is written: a table in which one key says which mask it is.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    constant: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<TemplateText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<HashMask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fake: Option<FakeKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_shift: Option<DateShiftMask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<NoiseMask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<PartialMask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_case: Option<bool>,
}

/// A constant, which TOML may write as a number or a truth value.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// A template that can be read.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String")]
struct TemplateText(String);

impl TryFrom<String> for TemplateText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Template::parse(&text).map(|_| Self(text))
    }
}

/// What a rule can name as a mask.
const SHAPES: &str = r#""keep", "null", "hash", "partial", "shuffle", or a table with one of constant, template, hash, fake, date_shift, noise, partial, sql, such as { fake = "email" }"#;

impl Written {
    fn into_mask(self) -> Result<Mask, String> {
        let Self { constant, template, hash, fake, date_shift, noise, partial, sql, .. } = self;
        let (unique, ignore_case) = (self.unique, self.ignore_case);
        let takes_unique = fake.is_some() || sql.is_some();
        let takes_ignore_case = fake.is_some();
        let unique_or_not = unique.unwrap_or_default();
        let masks = [
            constant.map(|scalar| match scalar {
                Scalar::Text(text) => Mask::Constant(text),
                Scalar::Integer(number) => Mask::Constant(number.to_string()),
                Scalar::Float(number) => Mask::Constant(number.to_string()),
                Scalar::Boolean(truth) => Mask::Constant(truth.to_string()),
            }),
            template.map(|TemplateText(text)| Mask::Template(text)),
            hash.map(Mask::Hash),
            fake.map(|kind| {
                let ignore_case = ignore_case.unwrap_or_default();
                Mask::Fake(FakeMask { kind, unique: unique_or_not, ignore_case })
            }),
            date_shift.map(Mask::DateShift),
            noise.map(Mask::Noise),
            partial.map(Mask::Partial),
            sql.map(|expression| Mask::Sql(SqlMask { expression, unique: unique_or_not })),
        ];
        let mut masks = masks.into_iter().flatten();
        let (Some(mask), None) = (masks.next(), masks.next()) else {
            return Err(format!("a mask is one of {SHAPES}"));
        };
        if unique.is_some() && !takes_unique {
            return Err(format!("unique is an option of fake and sql, not of {mask}"));
        }
        if ignore_case.is_some() && !takes_ignore_case {
            return Err(format!(
                "ignore_case beside the mask is an option of fake; for a hash write \
                 hash = {{ ignore_case = true }}, and not with {mask}"
            ));
        }
        Ok(mask)
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = Written::default();
        let on = |flag: bool| flag.then_some(true);
        match self.clone() {
            Self::Keep => return serializer.serialize_str("keep"),
            Self::Null => return serializer.serialize_str("null"),
            Self::Shuffle => return serializer.serialize_str("shuffle"),
            Self::Constant(text) => written.constant = Some(Scalar::Text(text)),
            Self::Template(text) => written.template = Some(TemplateText(text)),
            Self::Hash(hash) => written.hash = Some(hash),
            Self::Fake(fake) => {
                (written.fake, written.unique) = (Some(fake.kind), on(fake.unique));
                written.ignore_case = on(fake.ignore_case);
            }
            Self::DateShift(shift) => written.date_shift = Some(shift),
            Self::Noise(noise) => written.noise = Some(noise),
            Self::Partial(partial) => written.partial = Some(partial),
            Self::Sql(sql) => {
                (written.sql, written.unique) = (Some(sql.expression), on(sql.unique));
            }
        }
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaskVisitor)
    }
}

struct MaskVisitor;

impl<'de> de::Visitor<'de> for MaskVisitor {
    type Value = Mask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPES)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Mask, E> {
        match word {
            "keep" => Ok(Mask::Keep),
            "null" => Ok(Mask::Null),
            "hash" => Ok(Mask::Hash(HashMask::default())),
            "partial" => Ok(Mask::Partial(PartialMask::default())),
            "shuffle" => Ok(Mask::Shuffle),
            _ => Err(E::custom(format!("{word:?} is no mask: write {SHAPES}"))),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Mask, A::Error> {
        let written = Written::deserialize(de::value::MapAccessDeserializer::new(map))?;
        written.into_mask().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn masks_are_written_and_read() {
        for (written, mask) in [
            (json!("keep"), Mask::Keep),
            (json!("null"), Mask::Null),
            (json!("shuffle"), Mask::Shuffle),
            (json!({ "constant": "x" }), Mask::Constant("x".to_owned())),
            (json!({ "template": "u{row}" }), Mask::Template("u{row}".to_owned())),
            (json!({ "hash": {} }), Mask::Hash(HashMask::default())),
            (
                json!({ "hash": { "length": 12, "suffix": "@x", "ignore_case": true } }),
                HashMask::default().length(12).suffix("@x").ignore_case().into(),
            ),
            (json!({ "fake": "email" }), FakeKind::Email.into()),
            (
                json!({ "fake": "name", "unique": true, "ignore_case": true }),
                FakeMask::new(FakeKind::Name).unique().ignore_case().into(),
            ),
            (json!({ "date_shift": { "max_days": 30 } }), Mask::DateShift(DateShiftMask::new(30))),
            (
                json!({ "date_shift": { "max_days": 30, "per": "user_id" } }),
                Mask::DateShift(DateShiftMask::new(30).per("user_id")),
            ),
            (json!({ "noise": { "percent": 10.0 } }), Mask::Noise(NoiseMask::percent(10.0))),
            (
                json!({ "partial": { "first": 2, "last": 1, "with": "…" } }),
                Mask::Partial(PartialMask::new(2, 1).with("…")),
            ),
            (json!({ "sql": "now()" }), Mask::Sql(SqlMask::new("now()"))),
            (json!({ "sql": "id", "unique": true }), Mask::Sql(SqlMask::new("id").unique())),
        ] {
            assert_eq!(serde_json::from_value::<Mask>(written.clone()).unwrap(), mask);
            assert_eq!(serde_json::to_value(&mask).unwrap(), written);
        }
    }

    #[test]
    fn short_forms_are_read() {
        for (written, mask) in [
            (json!("hash"), Mask::Hash(HashMask::default())),
            (json!("partial"), Mask::Partial(PartialMask::default())),
            (json!({ "constant": 7 }), Mask::Constant("7".to_owned())),
            (json!({ "constant": true }), Mask::Constant("true".to_owned())),
        ] {
            assert_eq!(serde_json::from_value::<Mask>(written).unwrap(), mask);
        }
    }

    #[test]
    fn what_is_no_mask_is_refused_with_advice() {
        for (written, part) in [
            (json!("hush"), "\"hush\" is no mask: write \"keep\""),
            (json!({}), "a mask is one of"),
            (json!({ "hash": {}, "fake": "email" }), "a mask is one of"),
            (json!({ "fake": "emial" }), "expected one of `name`"),
            (json!({ "hash": {}, "unique": true }), "unique is an option of fake and sql"),
            (json!({ "hash": {}, "ignore_case": true }), "hash = { ignore_case = true }"),
            (json!({ "hash": { "len": 3 } }), "unknown field `len`"),
            (json!({ "hask": {} }), "unknown field `hask`"),
            (json!({ "template": "{nobody}" }), "{nobody}"),
            (json!(7), "expected \"keep\""),
        ] {
            let error = serde_json::from_value::<Mask>(written.clone()).unwrap_err().to_string();
            assert!(error.contains(part), "{written}: {error}");
        }
    }
}
