//! Hashes of values.

use std::borrow::Cow;

use super::{
    key::{Purpose, push_hex, word},
    outcome::{Outcome, Unfit},
    row::Row,
};

/// Which texts count as equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canonical {
    pub(super) ignore_case: bool,
    pub(super) ignore_padding: bool,
}

impl Canonical {
    pub(super) const EXACT: Self = Self { ignore_case: false, ignore_padding: false };

    fn of<'a>(self, value: &'a [u8]) -> Result<Cow<'a, [u8]>, Unfit> {
        let value = match self.ignore_padding {
            true => value.trim_ascii_end(),
            false => value,
        };
        if !self.ignore_case {
            return Ok(Cow::Borrowed(value));
        }
        if value.is_ascii() {
            return Ok(match value.iter().any(u8::is_ascii_uppercase) {
                true => Cow::Owned(value.to_ascii_lowercase()),
                false => Cow::Borrowed(value),
            });
        }
        Ok(Cow::Owned(text(value)?.to_lowercase().into_bytes()))
    }
}

/// Returns the hash of a value. Another attempt has another one; 0xff is in no text.
pub(super) fn digest(
    value: &[u8],
    canonical: Canonical,
    attempt: u8,
    row: &Row<'_>,
) -> Result<[u8; 32], Unfit> {
    let value = canonical.of(value)?;
    let key = &row.keyed.key;
    Ok(match attempt {
        0 => key.digest(Purpose::Value, &[&value]),
        _ => key.digest(Purpose::Value, &[&value, &[0xff, attempt]]),
    })
}

/// Appends a UUID of version 4 (RFC 9562).
pub(super) fn uuid(mut digest: [u8; 32], out: &mut Vec<u8>) {
    digest[6] = digest[6] & 0x0f | 0x40;
    digest[8] = digest[8] & 0x3f | 0x80;
    let mut hex = Vec::with_capacity(32);
    push_hex(&digest, 32, &mut hex);
    for (at, digit) in hex.into_iter().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(digit);
    }
}

/// Hashes an integer like a column of integers does.
pub(super) fn integer(value: &[u8], row: &Row<'_>, out: &mut Vec<u8>) -> Result<Outcome, Unfit> {
    let number: i64 = text(value)?.parse().map_err(|_| Unfit::NotANumber)?;
    out.extend_from_slice(row.keyed.integers.map(number).to_string().as_bytes());
    Ok(if number == 0 { Outcome::Neutral } else { Outcome::Masked })
}

/// Hashes an integer like a column of integers does, and any other number to 15 digits, which every JSON parser
/// preserves.
pub(super) fn number(
    value: &[u8],
    attempt: u8,
    row: &Row<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Unfit> {
    if text(value)?.parse::<i64>().is_ok() {
        return integer(value, row, out);
    }
    let digest = digest(value, Canonical::EXACT, attempt, row)?;
    out.extend_from_slice((word(&digest, 0) % 1_000_000_000_000_000).to_string().as_bytes());
    Ok(Outcome::Masked)
}

/// Returns a value as a text.
pub(super) fn text(value: &[u8]) -> Result<&str, Unfit> {
    std::str::from_utf8(value).map_err(|_| Unfit::NotUtf8)
}
