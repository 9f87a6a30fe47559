//! The value of a string constant, whatever its quoting.

use super::{
    name::unescaped,
    script::{Kind, Script, Token},
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
    let (text, escape) = continued(inner(quoted)?, rest)?;
    match prefix {
        "" | "n" | "N" => Some(text),
        "e" | "E" => Some(without_backslashes(&text)),
        "u&" | "U&" => Some(unescaped(&text, escape)),
        _ => None,
    }
}

/// Adds the continuations of a constant. Returns it with the escape character that follows.
fn continued(mut text: String, rest: &[Token<'_>]) -> Option<(String, char)> {
    let (mut rest, mut escape) = (rest.iter(), '\\');
    while let Some(token) = rest.next() {
        match token.kind {
            Kind::Text => text += &inner(token.text)?,
            _ if token.is("uescape") => {
                escape = inner(rest.next()?.text)?.chars().next()?;
            }
            _ => break,
        }
    }
    Some((text, escape))
}

fn inner(quoted: &str) -> Option<String> {
    Some(quoted.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
}

/// Replaces escape sequences in a constant that starts with `E`.
fn without_backslashes(text: &str) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some((before, escaped)) = rest.split_once('\\') {
        result.push_str(before);
        let (character, length) = escape_sequence(escaped);
        result.extend(character);
        rest = &escaped[length..];
    }
    result + rest
}

/// Reads what follows a backslash. Returns the character that it stands for, and its length.
fn escape_sequence(rest: &str) -> (Option<char>, usize) {
    // The digits of a number: their start, their maximum count, and their base.
    let (begin, most, base) = match rest.chars().next() {
        Some('x') => (1, 2, 16),
        Some('u') => (1, 4, 16),
        Some('U') => (1, 8, 16),
        Some('0'..='7') => (0, 3, 8),
        Some('n' | 'r' | 't' | 'b' | 'f') => return (Some(' '), 1),
        other => return (other, other.map_or(0, char::len_utf8)),
    };
    let digits = rest[begin..].chars().take(most).take_while(|c| c.is_digit(base)).count();
    let end = begin + digits;
    let number = u32::from_str_radix(&rest[begin..end], base).ok();
    (number.and_then(char::from_u32), end)
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
