//! Masks as TOML and JSON write them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    DateShiftMask, FakeKind, FakeMask, HashMask, Mask, NoiseMask, PartialMask, SqlMask,
    template::Template,
};

/// A mask in its written form: a table in which one key names the mask.
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

/// A constant, which TOML can write as a number or a Boolean.
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

/// The masks that a rule can name.
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
            _ => Err(E::custom(format!("{word:?} is not a mask: write {SHAPES}"))),
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
            (json!("hush"), "\"hush\" is not a mask: write \"keep\""),
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
