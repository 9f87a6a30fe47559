//! Constants that replace every value of a column.

use std::net::IpAddr;

use super::{
    date::{self, Years},
    shape::Shape,
};

/// Checks that a text is a value of a type, as far as this is possible without a server. The error says what to do.
pub(super) fn check(text: &str, shape: &Shape, data_type: &str) -> Result<(), String> {
    match is_value(text, shape) {
        true => Ok(()),
        false => Err(format!(
            "the constant is not a valid {data_type}: use, for example, {}",
            example(shape)
        )),
    }
}

fn is_value(text: &str, shape: &Shape) -> bool {
    match shape {
        Shape::Text { limit, .. } => {
            !text.contains('\0') && limit.is_none_or(|limit| text.chars().count() <= limit)
        }
        Shape::Uuid => is_uuid(text),
        Shape::Integer(bytes) => fits_integer(text, *bytes),
        Shape::Numeric(limits) => fits_numeric(text, *limits),
        Shape::Float(_) => text.parse::<f64>().is_ok(),
        Shape::Bytea => is_bytea(text),
        Shape::Date => is_date(text, Years::DATE),
        Shape::Timestamp => is_date(text, Years::TIMESTAMP),
        Shape::Json => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
        Shape::Boolean => matches!(text, "true" | "false" | "t" | "f"),
        Shape::Network => is_network(text),
        Shape::Enum(labels) => labels.iter().any(|label| label == text),
        Shape::Composite(_) => text.starts_with('(') && text.ends_with(')'),
        Shape::Array(_) | Shape::Other => true,
    }
}

fn example(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text { .. } => "a shorter text",
        Shape::Uuid => "00000000-0000-0000-0000-000000000000",
        Shape::Integer(_) | Shape::Numeric(_) | Shape::Float(_) => "0",
        Shape::Bytea => "\\x00",
        Shape::Date => "1970-01-01",
        Shape::Timestamp => "1970-01-01 00:00:00+00",
        Shape::Json => "{}",
        Shape::Boolean => "false",
        Shape::Network => "192.0.2.1",
        Shape::Enum(_) => "one of the labels of the type",
        Shape::Composite(_) => "(a,b)",
        Shape::Array(_) | Shape::Other => "",
    }
}

fn is_date(text: &str, years: Years) -> bool {
    matches!(text, "infinity" | "-infinity")
        || date::shift(text, 1, years, &mut Vec::new()).is_some()
}

fn fits_integer(text: &str, bytes: u32) -> bool {
    let bits = 8 * bytes - 1;
    let number = text.parse::<i64>().ok();
    number.is_some_and(|number| (number ^ (number >> 63)).unsigned_abs() >> bits == 0)
}

fn is_bytea(text: &str) -> bool {
    let digits = text.strip_prefix("\\x").unwrap_or("?");
    digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
    address.parse::<IpAddr>().is_ok() && bits.parse::<u8>().is_ok()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn fits_numeric(text: &str, limits: Option<(u32, i32)>) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number = !whole.is_empty()
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let whole = i64::try_from(whole.trim_start_matches('0').len()).unwrap_or(i64::MAX);
    is_number
        && limits.is_none_or(|(precision, scale)| whole <= i64::from(precision) - i64::from(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_a_value_of_the_type() {
        let text = Shape::Text { limit: Some(3), folds_case: false, is_padded: false };
        let labels = Shape::Enum(vec!["open".to_owned()]);
        for (constant, shape, expected) in [
            ("abc", &text, true),
            ("äöü", &text, true),
            ("abcd", &text, false),
            ("32767", &Shape::Integer(2), true),
            ("-32768", &Shape::Integer(2), true),
            ("32768", &Shape::Integer(2), false),
            ("-9223372036854775808", &Shape::Integer(8), true),
            ("x", &Shape::Integer(8), false),
            ("99.999", &Shape::Numeric(Some((4, 2))), true),
            ("100", &Shape::Numeric(Some((4, 2))), false),
            ("1e3", &Shape::Numeric(None), false),
            ("NaN", &Shape::Float(8), true),
            ("2024-02-29", &Shape::Date, true),
            ("2023-02-29 x", &Shape::Timestamp, false),
            ("{\"a\": 1}", &Shape::Json, true),
            ("a", &Shape::Json, false),
            ("\\xc0ff", &Shape::Bytea, true),
            ("\\xc0f", &Shape::Bytea, false),
            ("c0ff", &Shape::Bytea, false),
            ("t", &Shape::Boolean, true),
            ("yes", &Shape::Boolean, false),
            ("2001:db8::1/64", &Shape::Network, true),
            ("1.2.3", &Shape::Network, false),
            ("open", &labels, true),
            ("closed", &labels, false),
            ("00000000-0000-0000-0000-000000000000", &Shape::Uuid, true),
            ("0", &Shape::Uuid, false),
        ] {
            assert_eq!(check(constant, shape, "x").is_ok(), expected, "{constant} {shape:?}");
        }
    }
}
