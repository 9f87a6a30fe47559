//! Object names in human-readable text.

/// Returns `false` for characters that affect a terminal or the surrounding text instead of being
/// visible.
pub(crate) fn is_plain(character: char) -> bool {
    let is_hidden = matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    );
    !is_hidden && !character.is_control()
}

/// Writes a name so that it stays on its line: escapes control characters and those that change the
/// direction of text.
pub(crate) fn plain(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match is_plain(character) {
            true => text.push(character),
            false => text.extend(character.escape_unicode()),
        }
    }
    text
}

/// Lists at most `most` names, and how many more there are.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    let shown: Vec<_> = names.iter().take(most).map(|name| plain(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_on_its_line() {
        for (name, text) in [
            ("orders", "orders"),
            ("a\nb", "a\\u{a}b"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("größe \"x\" 100 %", "größe \"x\" 100 %"),
        ] {
            assert_eq!(plain(name), text);
        }
    }

    #[test]
    fn a_list_is_bounded() {
        let names: Vec<_> = ["a", "b\n", "c"].map(str::to_owned).into();
        assert_eq!(listed(&names, 2), "a, b\\u{a} and 1 more");
        assert_eq!(listed(&names, 3), "a, b\\u{a}, c");
    }
}
