//! Strings and values in the text of JSON.

/// Returns the length of a string with its quotes.
pub(super) fn string_length(text: &[u8]) -> Option<usize> {
    if text.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Returns the length of any value.
pub(super) fn value_length(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at) {
            Some(b'"') => at += string_length(&text[at..])?,
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
                continue;
            }
            Some(b'}' | b']') => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') if depth > 0 => {
                at += 1;
                continue;
            }
            Some(_) => {
                let is_end = |byte: &u8| b",:]} \t\n\r".contains(byte);
                let length = text[at..].iter().position(is_end).unwrap_or(text.len() - at);
                if length == 0 {
                    return None;
                }
                at += length;
            }
            None => return None,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Decodes the text between the quotes of a string.
pub(super) fn decode(inner: &[u8], value: &mut Vec<u8>) -> Option<()> {
    value.clear();
    let mut rest = inner;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        value.extend_from_slice(&rest[..at]);
        let escaped = *rest.get(at + 1)?;
        rest = &rest[at + 2..];
        match escaped {
            b'"' | b'\\' | b'/' => value.push(escaped),
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'n' => value.push(b'\n'),
            b'r' => value.push(b'\r'),
            b't' => value.push(b'\t'),
            b'u' => {
                let first = unit(rest)?;
                rest = &rest[4..];
                let low = rest.strip_prefix(b"\\u").and_then(unit);
                let character = match (first, low) {
                    (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                        rest = &rest[6..];
                        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))?
                    }
                    // `json` can contain half of a surrogate pair, which is not a character.
                    _ => char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
                };
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    value.extend_from_slice(rest);
    Some(())
}

/// Reads four hexadecimal digits.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
}

/// Appends a value as a string.
pub(super) fn encode(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_decoded() {
        for (inner, expected) in [
            (r"a\n\t\\\/", Some("a\n\t\\/")),
            (r"\u00e9\ud83d\ude00", Some("é😀")),
            (r"\ud83d", Some("\u{fffd}")),
            (r"\ud83dx", Some("\u{fffd}x")),
            (r"\u00", None),
            (r"\", None),
        ] {
            let mut value = Vec::new();
            let decoded = decode(inner.as_bytes(), &mut value);
            assert_eq!(decoded.map(|()| &*value), expected.map(str::as_bytes), "{inner}");
        }
    }

    #[test]
    fn values_have_lengths() {
        for (text, expected) in [
            ("1,", Some(1)),
            (r#""a\"b","#, Some(6)),
            (r#"{"a": [1, "}"]} "#, Some(15)),
            ("[]", Some(2)),
            ("null", Some(4)),
            ("[", None),
            ("", None),
            ("]", None),
        ] {
            assert_eq!(value_length(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(string_length(br#""a\"b"x"#), Some(6));
        assert_eq!(string_length(b"a"), None);
    }
}
