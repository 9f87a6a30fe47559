//! Transliteration of text into ASCII.

/// Converts Latin text to lower-case words with one hyphen between them, and stops after about
/// `max` bytes.
///
/// German umlauts become two letters, other accents are dropped, and so are letters of other
/// scripts.
pub(super) fn words(text: &str, max: usize) -> String {
    let mut slug = String::new();
    let mut is_between = false;
    for character in text.chars().flat_map(char::to_lowercase) {
        if slug.len() > max {
            break;
        }
        if is_silent(character) {
            continue;
        }
        let letters = letters(character);
        let plain = character.is_ascii_alphanumeric();
        if letters.is_empty() && !plain {
            is_between = true;
            continue;
        }
        if std::mem::take(&mut is_between) && !slug.is_empty() {
            slug.push('-');
        }
        match plain {
            true => slug.push(character),
            false => slug.push_str(letters),
        }
    }
    slug
}

/// Apostrophes, as in `Joe's`, and combining accents.
fn is_silent(character: char) -> bool {
    matches!(character, '\'' | '’' | '‘' | '`' | '´' | '\u{300}'..='\u{36f}')
}

/// Returns the ASCII replacement of a Latin letter.
fn letters(character: char) -> &'static str {
    match character {
        'ä' | 'æ' => "ae",
        'ö' | 'ø' | 'œ' => "oe",
        'ü' => "ue",
        'ß' => "ss",
        'þ' => "th",
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ŏ' | 'ő' => "o",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_text_becomes_words() {
        for (text, expected) in [
            ("Müller & Söhne GmbH", "mueller-soehne-gmbh"),
            ("  Joe's Café — Zürich ", "joes-cafe-zuerich"),
            ("Łódź İstanbul", "lodz-istanbul"),
            ("O\u{301}scar", "oscar"),
            ("STRAẞE", "strasse"),
            ("a__b--c", "a-b-c"),
            ("日本", ""),
            ("", ""),
            ("-", ""),
        ] {
            assert_eq!(words(text, 63), expected, "{text:?}");
        }
        assert!(words(&"word ".repeat(1_000_000), 40).len() < 50);
    }
}
