//! Names, other texts and numbers as people read them.

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

/// Writes a name from outside, such as a file, in at most this many characters, so that it stays on its line.
pub(crate) fn clipped(name: &str, most: usize) -> String {
    let shown: String = name.chars().take(most).collect();
    let is_whole = shown.len() == name.len();
    plain(&shown) + if is_whole { "" } else { "…" }
}

/// Lists at most `most` names, and how many more there are.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    let shown: Vec<_> = names.iter().take(most).map(|name| plain(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Makes a text printable in one line: names in the database can contain line breaks, terminal
/// escape sequences and characters that change the text direction.
pub(crate) fn printable(text: String) -> String {
    if text.chars().all(is_plain) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => safe.push(' '),
            other if !is_plain(other) => safe.extend(other.escape_unicode()),
            other => safe.push(other),
        }
    }
    safe
}

/// Writes a number with a comma between thousands.
pub(crate) fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or_default().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(clipped("orders", 6), "orders");
        assert_eq!(clipped("orders", 5), "order…");
        assert_eq!(clipped("öä\nü", 3), "öä\\u{a}…");
    }

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

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        for (text, safe) in [
            ("plain ä 日本", "plain ä 日本"),
            ("two\nlines", "two lines"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("left\u{202e}right", "left\\u{202e}right"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(printable(text.to_owned()), safe);
        }
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
