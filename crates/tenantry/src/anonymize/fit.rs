//! Fits masks to types.

use super::{
    DateShiftMask, FakeKind, FakeMask, HashMask, Mask, NoiseMask,
    date::Years,
    hash::Canonical,
    invent,
    json::{JsonMask, JsonMasker},
    leaf::{Leaf, Per},
    masker::Masker,
    noise::{Number, Reach},
    path::{Path, Step},
    shape::Shape,
    template::{HASH_DIGITS, Template},
};

/// The most days of a shift: a thousand years.
const MAX_DAYS: u32 = 365_000;

/// A rule for a column, as far as it has been read.
#[derive(Debug, Clone)]
pub(super) struct Fitting<'a> {
    /// Its number, from 1.
    pub(super) rule: usize,
    pub(super) path: Option<Path>,
    pub(super) mask: &'a Mask,
}

/// Why a mask does not fit, and what to do, with the number of the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) rule: usize,
    pub(super) message: String,
}

impl Fitting<'_> {
    pub(super) fn misfit(&self, message: impl Into<String>) -> Misfit {
        Misfit { rule: self.rule, message: message.into() }
    }
}

/// Builds the mask of a column from its rules, in order. Only the last one can be without a path.
pub(super) fn fit(
    rules: &[Fitting<'_>],
    shape: &Shape,
    data_type: &str,
    column: &str,
) -> Result<Masker, Misfit> {
    match rules.first() {
        None => Ok(Masker::Keep),
        Some(rule) if rule.path.is_none() => whole(rule, shape, data_type, column),
        Some(_) => places(rules, shape, data_type, column),
    }
}

/// Builds the mask of a whole value.
fn whole(
    rule: &Fitting<'_>,
    shape: &Shape,
    data_type: &str,
    column: &str,
) -> Result<Masker, Misfit> {
    let mask = rule.mask;
    match (shape, mask) {
        (_, Mask::Keep | Mask::Shuffle | Mask::Sql(_)) => Ok(Masker::Keep),
        (_, Mask::Null) => Ok(Masker::Leaf(Leaf::Null)),
        (Shape::Array(_), Mask::Constant(text)) if text.starts_with(['{', '[']) => {
            Ok(Masker::Leaf(Leaf::Constant(text.clone())))
        }
        (Shape::Array(element), _) => {
            Ok(Masker::Array(Box::new(whole(rule, element, data_type, column)?)))
        }
        (Shape::Composite(_), _) if !matches!(mask, Mask::Constant(_)) => Err(rule.misfit(
            format!("{mask} does not fit the composite type {data_type}: name a field with path"),
        )),
        _ => leaf(mask, shape, data_type, column)
            .map(Masker::Leaf)
            .map_err(|message| rule.misfit(message)),
    }
}

/// Builds the masks of places inside a value.
fn places(
    rules: &[Fitting<'_>],
    shape: &Shape,
    data_type: &str,
    column: &str,
) -> Result<Masker, Misfit> {
    check_masks_of_places(rules)?;
    let rules: Vec<_> = rules.iter().filter(|rule| rule.path.is_some()).cloned().collect();
    match shape {
        Shape::Json => json(&rules, column),
        Shape::Array(element) => {
            let inner = below(&rules, |step| matches!(step, Step::AnyElement));
            if inner.len() < rules.len() {
                return Err(rules[0].misfit(format!(
                    "the path does not begin with [*], but {data_type} is an array"
                )));
            }
            Ok(Masker::Array(Box::new(fit(&inner, element, data_type, column)?)))
        }
        Shape::Composite(fields) => composite(&rules, fields, data_type, column),
        // At any depth there may be no match.
        _ => match rules.iter().find(|rule| !begins_at_any_depth(rule)) {
            None => Ok(Masker::Keep),
            Some(rule) => Err(rule.misfit(format!(
                "{data_type} has no places inside: a path is for json, composites and arrays of them"
            ))),
        },
    }
}

/// Checks that no mask for whole columns has a path, and that only `keep` follows rules with a path.
fn check_masks_of_places(rules: &[Fitting<'_>]) -> Result<(), Misfit> {
    for rule in rules {
        if matches!(rule.mask, Mask::Shuffle | Mask::Sql(_)) {
            let mask = rule.mask;
            return Err(rule.misfit(format!("{mask} is for whole columns: leave out the path")));
        }
    }
    match rules.iter().find(|rule| rule.path.is_none()) {
        Some(whole) if *whole.mask != Mask::Keep => Err(whole.misfit(
            "earlier rules have a path in this column: give this rule a path, or put it first",
        )),
        _ => Ok(()),
    }
}

fn composite(
    rules: &[Fitting<'_>],
    fields: &[(String, Shape)],
    data_type: &str,
    column: &str,
) -> Result<Masker, Misfit> {
    let is_used = |rule: &Fitting<'_>| {
        let rule = std::slice::from_ref(rule);
        fields.iter().any(|(name, _)| !below_field(rule, name).is_empty())
    };
    if let Some(unused) = rules.iter().find(|rule| !is_used(rule)) {
        return Err(unused.misfit(format!("the path names no field of {data_type}")));
    }
    let fields =
        fields.iter().map(|(name, shape)| fit(&below_field(rules, name), shape, data_type, column));
    Ok(Masker::Composite(fields.collect::<Result<_, _>>()?))
}

fn begins_at_any_depth(rule: &Fitting<'_>) -> bool {
    matches!(rule.path.as_ref().map(Path::steps), Some([Step::AnyDepth, ..]))
}

fn below_field<'a>(rules: &[Fitting<'a>], field: &str) -> Vec<Fitting<'a>> {
    below(rules, |step| match step {
        Step::Key(name) => name == field,
        Step::AnyKey => true,
        Step::AnyElement | Step::AnyDepth => false,
    })
}

/// Returns the rules that continue below a step, up to the first that ends there.
fn below<'a>(rules: &[Fitting<'a>], takes: impl Fn(&Step) -> bool) -> Vec<Fitting<'a>> {
    let mut below = Vec::new();
    for rule in rules {
        let steps = rule.path.as_ref().map_or(&[][..], Path::steps);
        let rest = match steps {
            // `**` stays active, and can end anywhere.
            [Step::AnyDepth] => &[][..],
            [Step::AnyDepth, next, rest @ ..] if takes(next) => rest,
            [Step::AnyDepth, ..] => steps,
            [step, rest @ ..] if takes(step) => rest,
            _ => continue,
        };
        let path = (!rest.is_empty()).then(|| Path::rest(rest));
        let is_end = path.is_none();
        below.push(Fitting { rule: rule.rule, path, mask: rule.mask });
        if is_end {
            break;
        }
    }
    below
}

fn json(rules: &[Fitting<'_>], column: &str) -> Result<Masker, Misfit> {
    let rules = rules.iter().filter_map(|rule| Some((rule, rule.path.clone()?)));
    let rules = rules.map(|(rule, path)| {
        let mask = json_mask(rule.mask, column);
        mask.map(|mask| (path, mask)).map_err(|message| rule.misfit(message))
    });
    Ok(Masker::Json(JsonMasker { rules: rules.collect::<Result<_, _>>()? }))
}

fn json_mask(mask: &Mask, column: &str) -> Result<JsonMask, String> {
    let text = Shape::Text { limit: None, folds_case: false, is_padded: false };
    let scalars = |string, number| Ok(JsonMask::Scalars { string, number });
    match mask {
        Mask::Keep => Ok(JsonMask::Keep),
        Mask::Null => Ok(JsonMask::Replace("null".to_owned())),
        Mask::Constant(text) => {
            Ok(JsonMask::Replace(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => text.clone(),
                Err(_) => serde_json::Value::from(text.clone()).to_string(),
            }))
        }
        Mask::Hash(_) => {
            let string = leaf(mask, &text, "json", column)?;
            scalars(Some(string), Some(Leaf::HashNumber))
        }
        Mask::Noise(noise) => {
            let number = noise_leaf(noise, Number::Decimal(None), column)?;
            scalars(None, Some(number))
        }
        Mask::DateShift(shift) => scalars(Some(shift_leaf(shift, Years::ISO)?), None),
        Mask::Template(_) | Mask::Fake(_) | Mask::Partial(_) => {
            scalars(Some(leaf(mask, &text, "json", column)?), None)
        }
        Mask::Shuffle | Mask::Sql(_) => {
            Err(format!("{mask} is for whole columns: leave out the path, or use another mask"))
        }
    }
}

/// Fits a mask to a type without parts. The error says what to do.
fn leaf(mask: &Mask, shape: &Shape, data_type: &str, column: &str) -> Result<Leaf, String> {
    let unfit = |advice: &str| Err(format!("{mask} does not fit {data_type}: {advice}"));
    if shape.is_json() && !matches!(mask, Mask::Constant(_)) {
        return unfit("name a place with path, such as path = \"**\" for all values");
    }
    match mask {
        Mask::Keep | Mask::Shuffle | Mask::Sql(_) | Mask::Null => Ok(Leaf::Null),
        Mask::Constant(text) => {
            super::constant::check(text, shape, data_type)?;
            Ok(Leaf::Constant(text.clone()))
        }
        Mask::Template(text) => template_leaf(mask, text, shape, data_type),
        Mask::Hash(hash) => hash_leaf(mask, hash, shape, data_type),
        Mask::Fake(fake) => fake_leaf(mask, fake, shape, data_type),
        Mask::DateShift(shift) => match shape {
            Shape::Date => shift_leaf(shift, Years::DATE),
            Shape::Timestamp => shift_leaf(shift, Years::TIMESTAMP),
            _ => unfit("it is for date, timestamp and timestamptz"),
        },
        Mask::Noise(noise) => match number_of(shape) {
            Some(number) => noise_leaf(noise, number, column),
            None => unfit("it is for integers, numeric and floats"),
        },
        Mask::Partial(partial) => match shape {
            Shape::Text { limit, is_padded, .. } => {
                if partial.with.is_empty() {
                    return Err("with is empty: write what stands for the rest".to_owned());
                }
                Ok(Leaf::Partial { mask: partial.clone(), limit: *limit, is_padded: *is_padded })
            }
            _ => unfit("it is for texts"),
        },
    }
}

fn number_of(shape: &Shape) -> Option<Number> {
    match shape {
        Shape::Integer(2) => Some(Number::Integer(i16::MAX.into())),
        Shape::Integer(4) => Some(Number::Integer(i32::MAX.into())),
        Shape::Integer(_) => Some(Number::Integer(i64::MAX)),
        Shape::Numeric(limits) => Some(Number::Decimal(*limits)),
        Shape::Float(bytes) => Some(Number::Float(*bytes)),
        _ => None,
    }
}

fn template_leaf(mask: &Mask, text: &str, shape: &Shape, data_type: &str) -> Result<Leaf, String> {
    let template = Template::parse(text)?;
    let Shape::Text { limit, folds_case, .. } = shape else {
        return Err(format!(
            "{mask} does not fit {data_type}: a template makes a text; use constant, null or sql"
        ));
    };
    let length = template.longest().unwrap_or_else(|| template.shortest());
    if let Some(limit) = limit.filter(|limit| length > *limit) {
        return Err(too_long(mask, length, data_type, limit));
    }
    Ok(Leaf::Template { template, limit: *limit, ignore_case: *folds_case })
}

fn too_long(mask: &Mask, length: usize, data_type: &str, limit: usize) -> String {
    format!(
        "{mask} needs {length} characters, and {data_type} has {limit}: make the mask shorter or use another"
    )
}

fn hash_leaf(mask: &Mask, hash: &HashMask, shape: &Shape, data_type: &str) -> Result<Leaf, String> {
    if hash.length.is_some_and(|length| !(1..=64).contains(&length)) {
        return Err("length must be from 1 to 64 hexadecimal digits".to_owned());
    }
    let is_text = matches!(shape, Shape::Text { .. });
    let is_plain = hash.prefix.is_empty() && hash.suffix.is_empty();
    if !is_text && !is_plain {
        return Err(format!("prefix and suffix do not fit {data_type}: leave them out"));
    }
    match shape {
        Shape::Text { limit, folds_case, is_padded } => {
            let digits = hash_digits(hash, *limit)
                .map_err(|length| too_long(mask, length, data_type, limit.unwrap_or_default()))?;
            Ok(Leaf::HashText {
                digits,
                prefix: hash.prefix.clone(),
                suffix: hash.suffix.clone(),
                canonical: Canonical {
                    ignore_case: hash.ignore_case || *folds_case,
                    ignore_padding: *is_padded,
                },
            })
        }
        Shape::Uuid => Ok(Leaf::HashUuid),
        Shape::Integer(_) => Ok(Leaf::HashInteger),
        Shape::Bytea => {
            let digits = hash.length.unwrap_or(64);
            Ok(Leaf::HashBytes { digits: digits + digits % 2 })
        }
        _ => Err(format!(
            "hash does not fit {data_type}: it is for texts, uuid, integers and bytea; use null, constant or sql"
        )),
    }
}

/// Returns how many digits of a hash fit into a text, or the length that the mask needs.
fn hash_digits(hash: &HashMask, limit: Option<usize>) -> Result<usize, usize> {
    let around = hash.prefix.chars().count() + hash.suffix.chars().count();
    let room = limit.map_or(64, |limit| limit.saturating_sub(around));
    match hash.length.unwrap_or(HASH_DIGITS.min(room)) {
        0 => Err(1 + around),
        digits if digits > room => Err(digits + around),
        digits => Ok(digits),
    }
}

fn fake_leaf(mask: &Mask, fake: &FakeMask, shape: &Shape, data_type: &str) -> Result<Leaf, String> {
    let (limit, folds_case, is_padded) = match shape {
        Shape::Text { limit, folds_case, is_padded } => (*limit, *folds_case, *is_padded),
        Shape::Network if fake.kind == FakeKind::Ip => (None, false, false),
        _ => return Err(format!("{mask} does not fit {data_type}: fakes are texts")),
    };
    let room = invent::room(fake.kind, fake.unique);
    if let Some(limit) = limit.filter(|limit| room > *limit) {
        return Err(too_long(mask, room, data_type, limit));
    }
    let canonical =
        Canonical { ignore_case: fake.ignore_case || folds_case, ignore_padding: is_padded };
    Ok(Leaf::Fake { mask: fake.clone(), limit, canonical })
}

fn shift_leaf(shift: &DateShiftMask, years: Years) -> Result<Leaf, String> {
    if !(1..=MAX_DAYS).contains(&shift.max_days) {
        return Err(format!("max_days must be from 1 to {MAX_DAYS}"));
    }
    let per = match &*shift.per {
        "row" => Per::Row,
        name => Per::Column { name: name.to_owned(), at: None },
    };
    Ok(Leaf::Shift { max_days: shift.max_days, per, years })
}

fn noise_leaf(noise: &NoiseMask, number: Number, column: &str) -> Result<Leaf, String> {
    let reach = match (noise.percent, noise.amount) {
        (Some(percent), None) if percent > 0.0 && percent <= 100.0 => Reach::Share(percent / 100.0),
        (None, Some(amount)) if amount > 0.0 && amount.is_finite() => Reach::Amount(amount),
        _ => {
            return Err(
                "noise has either percent, more than 0 and at most 100, or amount, more than 0"
                    .to_owned(),
            );
        }
    };
    Ok(Leaf::Noise { reach, number, column: column.to_owned() })
}
