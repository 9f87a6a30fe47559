//! The text format of `COPY`.

use std::borrow::Cow;

/// The representation of null.
pub(super) const NULL: &[u8] = b"\\N";

/// Returns the value of a field that is not null.
///
/// See [the format](https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS): PostgreSQL writes a
/// backslash before a letter, and also reads octal and hexadecimal digits after it.
pub(crate) fn decode(field: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = field.iter().position(|byte| *byte == b'\\') else {
        return Cow::Borrowed(field);
    };
    let mut value = Vec::with_capacity(field.len());
    value.extend_from_slice(&field[..first]);
    let mut rest = &field[first..];
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        let Some((escaped, after)) = rest.split_first() else {
            value.push(b'\\');
            break;
        };
        let (byte, after) = unescape(*escaped, after);
        value.push(byte);
        rest = after;
    }
    Cow::Owned(value)
}

/// Returns the byte that a character after a backslash stands for, and the text after it.
fn unescape(escaped: u8, rest: &[u8]) -> (u8, &[u8]) {
    match escaped {
        b'b' => (8, rest),
        b't' => (b'\t', rest),
        b'n' => (b'\n', rest),
        b'v' => (11, rest),
        b'f' => (12, rest),
        b'r' => (b'\r', rest),
        b'0'..=b'7' => {
            let ((number, count), rest) = digits(rest, 8, 2);
            ((u32::from(escaped - b'0') << (3 * count) | number) as u8, rest)
        }
        b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            let ((number, _), rest) = digits(rest, 16, 2);
            (number as u8, rest)
        }
        other => (other, rest),
    }
}

/// Reads digits up to a maximum; returns their value, their count, and the rest.
fn digits(text: &[u8], radix: u32, most: usize) -> ((u32, u32), &[u8]) {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let count = text.iter().take(most).take_while(|byte| digit(byte).is_some()).count();
    let (digits, rest) = text.split_at(count);
    let number = digits.iter().filter_map(digit).fold(0, |number, digit| number * radix + digit);
    ((number, count as u32), rest)
}

/// Appends a non-null value as a field.
pub(super) fn encode(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| escape(*byte).is_some()) {
        out.extend_from_slice(&rest[..at]);
        if let Some(letter) = escape(rest[at]) {
            out.extend_from_slice(&[b'\\', letter]);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn escape(byte: u8) -> Option<u8> {
    Some(match byte {
        8 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        11 => b'v',
        12 => b'f',
        b'\r' => b'r',
        b'\\' => b'\\',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read() {
        for (field, value) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"", b""),
            (b"a\\tb\\nc\\\\d", b"a\tb\nc\\d"),
            (b"\\b\\f\\r\\v", b"\x08\x0c\r\x0b"),
            (b"\\101\\7x\\x41\\x4g", b"A\x07xA\x04g"),
            (b"\\1011", b"A1"),
            (b"\\xg", b"xg"),
            (b"\\q", b"q"),
            (b"end\\", b"end\\"),
            (b"\\\\N", b"\\N"),
        ] {
            assert_eq!(decode(field), value, "{}", field.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: Vec<u8>) {
            let mut field = Vec::new();
            encode(&value, &mut field);
            prop_assert!(!field.contains(&b'\t') && !field.contains(&b'\n'));
            prop_assert_ne!(&field[..], NULL);
            prop_assert_eq!(decode(&field), &value[..]);
        }

        #[test]
        fn anything_can_be_read(field: Vec<u8>) {
            prop_assert!(decode(&field).len() <= field.len());
        }
    }
}
