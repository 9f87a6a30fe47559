//! The value of a string constant, whatever its quoting.

use super::{
    script::{Kind, Script},
    tree::unescaped,
};

/// Returns the content of a constant: `'x'`, `E'x'`, `U&'x'`, `N'x'` or `$$x$$`, including its continuation on the
/// next line. `None` for anything else, such as a number.
pub(super) fn content(literal: &str) -> Option<String> {
    let script = Script::new(literal);
    let (first, rest) = script.tokens.split_first()?;
    if first.kind == Kind::Dollar {
        let tag = first.text.get(1..)?.find('$')? + 2;
        return Some(first.text.get(tag..first.text.len().checked_sub(tag)?)?.to_owned());
    }
    if first.kind != Kind::Text {
        return None;
    }
    let (prefix, quoted) = first.text.split_at(first.text.find('\'')?);
    let mut text = inner(quoted)?;
    let mut rest = rest.iter();
    let mut escape = '\\';
    while let Some(token) = rest.next() {
        match token.kind {
            Kind::Text => text += &inner(token.text)?,
            _ if token.is("uescape") => {
                escape = inner(rest.next()?.text)?.chars().next()?;
            }
            _ => break,
        }
    }
    match prefix {
        "" | "n" | "N" => Some(text),
        "e" | "E" => Some(without_backslashes(&text)),
        "u&" | "U&" => Some(unescaped(&text, escape)),
        _ => None,
    }
}

fn inner(quoted: &str) -> Option<String> {
    Some(quoted.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
}

/// Replaces escape sequences in a constant that starts with `E`.
fn without_backslashes(text: &str) -> String {
    let (mut result, mut chars) = (String::new(), text.chars());
    while let Some(character) = chars.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        let rest = chars.as_str();
        // The digits of a number: their start, their maximum count, and their base.
        let (begin, most, base) = match rest.chars().next() {
            Some('x') => (1, 2, 16),
            Some('u') => (1, 4, 16),
            Some('U') => (1, 8, 16),
            Some('0'..='7') => (0, 3, 8),
            Some('n' | 'r' | 't' | 'b' | 'f') => {
                chars.next();
                result.push(' ');
                continue;
            }
            _ => {
                result.extend(chars.next());
                continue;
            }
        };
        let digits = rest[begin..].chars().take(most).take_while(|c| c.is_digit(base)).count();
        let number = u32::from_str_radix(&rest[begin..begin + digits], base).ok();
        result.extend(number.and_then(char::from_u32));
        chars = rest[begin + digits..].chars();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::content;

    #[test]
    fn constants_are_read_in_all_their_quotes() {
        for (literal, expected) in [
            ("'a''b'", Some("a'b")),
            ("N'a'", Some("a")),
            (r"'a\b'", Some(r"a\b")),
            (r"E'a\'\x62\143\u0064\\'", Some(r"a'bcd\")),
            (r"U&'a\0062\+000063'", Some("abc")),
            ("U&'a!0062' uescape '!'", Some("ab")),
            ("$$a'b$$", Some("a'b")),
            ("$x$a$$b$x$", Some("a$$b")),
            ("'a'\n'b'", Some("ab")),
            ("B'01'", None),
            ("1", None),
            ("E'\\", None),
            ("E'\\x'", Some("")),
            ("''", Some("")),
        ] {
            assert_eq!(content(literal).as_deref(), expected, "{literal}");
        }
    }
}
