/// Escapes control characters except line breaks, so that a name or an error of the database cannot move the cursor,
/// color the terminal or forge the start of another line.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            c if c.is_control() || is_bidirectional(c) => {
                plain.push_str(&format!("\\u{{{:x}}}", u32::from(c)))
            }
            c => plain.push(c),
        }
    }
    plain
}

/// Returns `true` for characters that change the direction of the text around them.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\td\u{202e}"), "a\\u{1b}[2Jb\\u{d}\nc d\\u{202e}");
    }
}
