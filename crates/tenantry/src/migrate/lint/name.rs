//! Names as the server stores them.

/// Returns a name as the server stores it: folded, unless it is in quotes.
pub(super) fn name_of(text: &str) -> String {
    if let Some(quoted) = text.strip_prefix(['U', 'u']).and_then(|rest| rest.strip_prefix('&')) {
        return unescaped(&name_of(quoted), '\\');
    }
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_ascii_lowercase(),
    }
}

/// Replaces numeric escapes of characters: `\0061`, `\+000061`, and `\\` for the backslash itself, with any other
/// escape character instead of the backslash.
pub(crate) fn unescaped(text: &str, escape: char) -> String {
    let mut name = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(escape) {
        name.push_str(before);
        let (digits, length) = match after.strip_prefix('+') {
            Some(digits) => (digits, 6),
            None => (after, 4),
        };
        let number = digits.get(..length).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match number.and_then(char::from_u32) {
            Some(character) => {
                name.push(character);
                rest = &digits[length..];
            }
            None => {
                name.push(escape);
                rest = after.strip_prefix(escape).unwrap_or(after);
            }
        }
    }
    name + rest
}
