//! Values that look personal.

use std::net::IpAddr;

use super::{SuspicionReason, json_text};

/// How many samples match each pattern.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    samples: usize,
    emails: usize,
    phones: usize,
    ibans: usize,
    cards: usize,
    addresses: usize,
    keys: usize,
}

/// Returns what the samples of a column look like.
///
/// A value rarely looks like an e-mail address or an account number by accident, so one is enough. Telephone numbers
/// need a tenth of the samples, and patterns that random numbers can match need half.
pub(super) fn reasons<'a>(
    samples: impl IntoIterator<Item = &'a str>,
    is_personal_key: impl Fn(&str) -> bool,
) -> Vec<SuspicionReason> {
    let mut counts = Counts::default();
    for sample in samples {
        counts.samples += 1;
        counts.emails += usize::from(holds_email(sample));
        counts.phones += usize::from(is_phone(sample));
        counts.ibans += usize::from(holds_iban(sample));
        counts.cards += usize::from(is_card(sample));
        counts.addresses += usize::from(sample.parse::<IpAddr>().is_ok());
        counts.keys += usize::from(has_key(sample, &is_personal_key));
    }
    let Counts { samples, emails, phones, ibans, cards, addresses, keys } = counts;
    let checks = [
        (emails > 0, SuspicionReason::LooksLikeEmail),
        (phones > 0 && phones * 10 >= samples, SuspicionReason::LooksLikePhone),
        (ibans > 0, SuspicionReason::LooksLikeIban),
        (cards > 0 && cards * 2 >= samples, SuspicionReason::LooksLikeCard),
        (addresses > 0 && addresses * 2 >= samples, SuspicionReason::LooksLikeIp),
        (keys > 0, SuspicionReason::JsonKeys),
    ];
    checks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, reason)| reason).collect()
}

fn holds_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
        let local = text[..at].chars().next_back().is_some_and(is_part);
        let end = text[at + 1..].find(|c| !is_part(c)).map_or(text.len(), |end| at + 1 + end);
        let domain = text[at + 1..end].trim_end_matches('.');
        let top = domain.rsplit_once('.').map(|(_, top)| top);
        local && top.is_some_and(|top| top.len() >= 2 && top.chars().all(char::is_alphabetic))
    })
}

/// Returns `true` for a number with a country or an area code, and with blanks or signs between its groups unless it
/// starts with `+`.
fn is_phone(text: &str) -> bool {
    let text = text.trim();
    let rest = text.strip_prefix('+').unwrap_or(text);
    let is_number = rest.chars().all(|c| c.is_ascii_digit() || " -./()".contains(c));
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    let has_groups = rest.bytes().any(|byte| !byte.is_ascii_digit());
    let is_north_american = || {
        let groups: Vec<_> = rest.split(['-', '.', ' ']).map(str::len).collect();
        groups == [3, 3, 4]
    };
    is_number
        && (8..=15).contains(&digits)
        && text.parse::<IpAddr>().is_err()
        && (text.starts_with('+')
            || has_groups && (text.starts_with(['0', '(']) && digits >= 9 || is_north_american()))
}

fn holds_iban(text: &str) -> bool {
    // In groups of four or in one piece, possibly among other words.
    let compact: String = text.chars().filter(|c| *c != ' ').collect();
    is_iban(&compact) || text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_iban)
}

/// Checks the form and the checksum (ISO 13616).
fn is_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_form = (15..=34).contains(&bytes.len())
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !has_form {
        return false;
    }
    let digits = bytes[4..].iter().chain(&bytes[..4]);
    let remainder = digits.fold(0_u32, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    remainder == 1
}

/// Checks the form and the checksum (ISO/IEC 7812).
fn is_card(text: &str) -> bool {
    if !text.chars().all(|c| c.is_ascii_digit() || c == ' ' || c == '-') {
        return false;
    }
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    (13..=19).contains(&digits.len()) && digits.first() != Some(&0) && sum.is_multiple_of(10)
}

/// Returns `true` if a text is JSON with a key that looks personal.
fn has_key(text: &str, is_personal: &impl Fn(&str) -> bool) -> bool {
    if !text.trim_start().starts_with(['{', '[']) {
        return false;
    }
    let mut key = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('"') {
        let mut end = 0;
        let bytes = after.as_bytes();
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let (Some(inner), Some(next)) = (after.get(..end), after.get(end + 1..)) else {
            return false;
        };
        rest = next;
        if next.trim_start().starts_with(':')
            && json_text::decode(inner.as_bytes(), &mut key).is_some()
            && std::str::from_utf8(&key).is_ok_and(is_personal)
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_recognised() {
        for (check, yes, no) in [
            (
                holds_email as fn(&str) -> bool,
                &["ann@example.org", "Write to ann.b+c@mail.example.co.uk.", "é@exämple.de"][..],
                &["@ann", "ann@host", "a @ b.c", "1@2.3", "ann@example.1"][..],
            ),
            (
                is_phone,
                &[
                    "+49 30 1234567",
                    "+12025550100",
                    "(202) 555-0100",
                    "030-12345678",
                    "202-555-0100",
                ],
                &["2024-01-31", "123456789", "192.168.10.10", "3.14159265", "1 000 000 000", "+1"],
            ),
            (
                holds_iban,
                &[
                    "DE89370400440532013000",
                    "GB82 WEST 1234 5698 7654 32",
                    "to DE89370400440532013000!",
                ],
                &["DE88370400440532013000", "AB12", "ORDER12345678901234"],
            ),
            (
                is_card,
                &["4111111111111111", "4111 1111 1111 1111", "378282246310005"],
                &["4111111111111112", "0000000000000000", "411111111111", "x411111111111111"],
            ),
        ] {
            for text in yes {
                assert!(check(text), "{text}");
            }
            for text in no {
                assert!(!check(text), "{text}");
            }
        }
    }

    #[test]
    fn keys_of_json_are_looked_at() {
        let is_personal = |key: &str| key == "email";
        assert!(has_key(r#"{"a": [{"email": 1}]}"#, &is_personal));
        assert!(has_key(r#" {"em\u0061il" : null}"#, &is_personal));
        assert!(!has_key(r#"{"a": "email"}"#, &is_personal));
        assert!(!has_key(r#""email": 1"#, &is_personal));
        assert!(!has_key(r#"{"a\"#, &is_personal));
        assert!(!has_key(r#"{"é\"#, &is_personal));
    }

    #[test]
    fn numbers_need_more_than_one_hit() {
        let cards = ["4111111111111111", "1234567890123", "1234567890124", "1234567890125"];
        let found = |samples: &[&str]| reasons(samples.iter().copied(), |_| false);
        assert_eq!(found(&cards[..1]), [SuspicionReason::LooksLikeCard]);
        assert_eq!(found(&["4111111111111111", "1", "2", "3"]), []);
        assert_eq!(found(&["x", "y", "ann@example.org"]), [SuspicionReason::LooksLikeEmail]);
        assert_eq!(found(&[]), []);
    }
}
