//! The tokens of SQL and PL/pgSQL that can contain a name.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::migrate::unescaped;

/// A token of a routine's body, or of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword, as the server stores it, and where it begins.
    Name(String, usize),
    /// The content of a string, regardless of its quotes.
    Text(String),
    Comment(String),
    Mark(char),
}

/// Reads tokens. It never fails: an unterminated token ends with the text.
pub(super) fn scan(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { text, chars: text.char_indices().peekable() };
    let mut tokens = Vec::new();
    while let Some((at, character)) = scanner.chars.next() {
        tokens.extend(scanner.token(at, character));
    }
    tokens
}

struct Scanner<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl Scanner<'_> {
    fn token(&mut self, at: usize, character: char) -> Option<Token> {
        let rest = &self.text[at..];
        Some(match character {
            space if space.is_whitespace() => return None,
            '-' if rest.starts_with("--") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                self.skip_to(at + end);
                Token::Comment(rest[..end].to_owned())
            }
            '/' if rest.starts_with("/*") => {
                let end = comment_end(rest);
                self.skip_to(at + end);
                Token::Comment(rest[..end].to_owned())
            }
            '\'' => Token::Text(self.quoted('\'', false)),
            'e' | 'E' if rest[1..].starts_with('\'') => {
                self.chars.next();
                Token::Text(self.quoted('\'', true))
            }
            'u' | 'U' if rest[1..].starts_with("&'") => Token::Text(self.unicode('\'')),
            'u' | 'U' if rest[1..].starts_with("&\"") => Token::Name(self.unicode('"'), at),
            '"' => Token::Name(self.quoted('"', false), at),
            '$' => match dollar(rest) {
                Some((content, end)) => {
                    self.skip_to(at + end);
                    Token::Text(content.to_owned())
                }
                None => Token::Mark('$'),
            },
            first if is_start(first) => {
                let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
                self.skip_to(at + end);
                Token::Name(rest[..end].to_ascii_lowercase(), at)
            }
            digit if digit.is_ascii_digit() => {
                let in_number = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
                let end = rest.find(|c: char| !in_number(c)).unwrap_or(rest.len());
                self.skip_to(at + end);
                return None;
            }
            other => Token::Mark(other),
        })
    }

    fn skip_to(&mut self, end: usize) {
        while self.chars.next_if(|(at, _)| *at < end).is_some() {}
    }

    /// Reads a string that starts with `U&`, which can contain characters as numeric escapes.
    fn unicode(&mut self, quote: char) -> String {
        self.chars.next();
        self.chars.next();
        let content = self.quoted(quote, false);
        let end = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        let (escape, length) = uescape(&self.text[end..]).unwrap_or(('\\', 0));
        self.skip_to(end + length);
        unescaped(&content, escape)
    }

    /// Reads the part after a backslash: see chapter 4.1.2.2, "String Constants With C-Style Escapes".
    fn escaped(&mut self) -> Option<char> {
        let (_, character) = self.chars.next()?;
        let (most, radix, known) = match character {
            'b' => return Some('\u{8}'),
            'f' => return Some('\u{c}'),
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'x' => (2, 16, 0),
            'u' => (4, 16, 0),
            'U' => (8, 16, 0),
            digit @ '0'..='7' => (2, 8, digit as u32 - '0' as u32),
            other => return Some(other),
        };
        let (mut number, mut digits) = (known, 0);
        while digits < most
            && let Some((_, next)) = self.chars.next_if(|(_, next)| next.is_digit(radix))
        {
            number = number.wrapping_mul(radix) + next.to_digit(radix).unwrap_or_default();
            digits += 1;
        }
        let is_number = digits > 0 || radix == 8;
        if is_number { char::from_u32(number) } else { Some(character) }
    }

    /// Reads up to the closing quote; a doubled quote stands for one.
    fn quoted(&mut self, quote: char, escapes: bool) -> String {
        let mut content = String::new();
        while let Some((_, character)) = self.chars.next() {
            match character {
                '\\' if escapes => content.extend(self.escaped()),
                c if c == quote => match self.chars.next_if(|(_, next)| *next == quote) {
                    Some(_) => content.push(quote),
                    None => break,
                },
                other => content.push(other),
            }
        }
        content
    }
}

fn comment_end(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(offset) = rest[at..].find(['/', '*']) {
        at += offset;
        match rest.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") if depth == 1 => return at + 2,
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// Reads `uescape '!'`, and returns its length.
fn uescape(rest: &str) -> Option<(char, usize)> {
    let words = rest.trim_start();
    let (word, after) = words.split_at_checked("uescape".len())?;
    let mut quoted = after.trim_start().strip_prefix('\'')?.chars();
    let escape = quoted.next().filter(|_| word.eq_ignore_ascii_case("uescape"))?;
    let after = quoted.as_str().strip_prefix('\'')?;
    Some((escape, rest.len() - after.len()))
}

/// Returns the text between dollar quotes, and its end.
fn dollar(rest: &str) -> Option<(&str, usize)> {
    let tag_end = rest[1..].find('$')? + 2;
    let tag = &rest[..tag_end];
    let name = &tag[1..tag_end - 1];
    let is_tag = name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag || name.contains('$') {
        return None;
    }
    let length = rest[tag_end..].find(tag).unwrap_or(rest.len() - tag_end);
    let end = (tag_end + length + tag.len()).min(rest.len());
    Some((&rest[tag_end..tag_end + length], end))
}

pub(super) fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

pub(super) fn is_part(c: char) -> bool {
    is_start(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_texts_and_comments() {
        let name = |text: &str, at| Token::Name(text.to_owned(), at);
        let text = |text: &str| Token::Text(text.to_owned());
        let comment = |text: &str| Token::Comment(text.to_owned());
        for (sql, tokens) in [
            ("Acme.t", vec![name("acme", 0), Token::Mark('.'), name("t", 5)]),
            (r#""A""b".t"#, vec![name("A\"b", 0), Token::Mark('.'), name("t", 7)]),
            ("'it''s' E'a\\'b' $$x'y$$", vec![text("it's"), text("a'b"), text("x'y")]),
            ("$q$ $$ $q$ $1", vec![text(" $$ "), Token::Mark('$')]),
            (
                "-- acme.t\n/* a /* b */ c */ x",
                vec![comment("-- acme.t"), comment("/* a /* b */ c */"), name("x", 28)],
            ),
            (
                r#"U&"a\005fb".u&'\0061' U&"a!005fb" uescape '!'.t"#,
                vec![
                    name("a_b", 0),
                    Token::Mark('.'),
                    text("a"),
                    name("a_b", 22),
                    Token::Mark('.'),
                    name("t", 46),
                ],
            ),
            ("u & u", vec![name("u", 0), Token::Mark('&'), name("u", 4)]),
            ("u&'a", vec![text("a")]),
            (r"e'a\nb\tc\x64\145\u0066\q\''", vec![text("a\nb\tcdefq'")]),
            (r"e'\x' e'\", vec![text("x"), text("")]),
            ("1.5 e'", vec![text("")]),
            ("/* open", vec![comment("/* open")]),
            ("$q$ open", vec![text(" open")]),
        ] {
            assert_eq!(scan(sql), tokens, "{sql}");
        }
    }
}
