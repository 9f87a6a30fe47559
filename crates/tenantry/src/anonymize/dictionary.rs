//! The words that fakes are composed of.

use std::collections::HashSet;

use fake::locales::{Data, EN};

/// The words that fakes consist of. Finding one in a clone proves nothing.
#[derive(Debug)]
pub(crate) struct Dictionary {
    /// In lower case.
    words: HashSet<String>,
}

/// The maximum number of digits of a number that a fake contains next to words, such as a house number.
const MAX_DIGITS: usize = 5;

impl Dictionary {
    pub(crate) fn new() -> Self {
        let lists = [
            EN::NAME_FIRST_NAME,
            EN::NAME_LAST_NAME,
            EN::LOREM_WORD,
            EN::ADDRESS_CITY_PREFIX,
            EN::ADDRESS_STREET_SUFFIX,
            EN::ADDRESS_COUNTRY,
            EN::COMPANY_SUFFIX,
            &["example", "com", "net", "org", "https"],
        ];
        let words = lists.into_iter().flatten().flat_map(|phrase| words(phrase));
        let mut words: HashSet<_> = words.map(str::to_lowercase).collect();
        for name in EN::NAME_LAST_NAME {
            for suffix in EN::ADDRESS_CITY_SUFFIX {
                // The last word of a name with an apostrophe is joined with the suffix.
                let last = words_of(name).last().copied().unwrap_or(name);
                words.insert(format!("{}{suffix}", last.to_lowercase()));
            }
        }
        Self { words }
    }

    /// Returns `true` if a fake can contain the value: if each of its words is in the lists or is a short number.
    /// Numbers alone are not enough, because two of them are hardly ever the same.
    pub(crate) fn holds(&self, value: &str) -> bool {
        let mut has_word = false;
        words(value).all(|word| {
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            has_word |= !is_number;
            match is_number {
                true => word.len() <= MAX_DIGITS,
                false => self.words.contains(&word.to_lowercase()),
            }
        }) && has_word
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn words_of(text: &str) -> Vec<&str> {
    words(text).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{FakeKind, invent, key::Chooser},
        *,
    };

    #[test]
    fn it_holds_what_is_invented() {
        let dictionary = Dictionary::new();
        let mut chooser = Chooser::new(&[5; 32]);
        for kind in [
            FakeKind::Name,
            FakeKind::FirstName,
            FakeKind::LastName,
            FakeKind::Address,
            FakeKind::Street,
            FakeKind::City,
            FakeKind::Postcode,
            FakeKind::Country,
            FakeKind::Company,
            FakeKind::Text,
            FakeKind::Url,
        ] {
            for _ in 0..300 {
                let fake = invent::plain(kind, &mut chooser, 60);
                let is_number = !fake.contains(char::is_alphabetic);
                assert!(is_number || dictionary.holds(&fake), "{kind}: {fake}");
            }
        }
    }

    #[test]
    fn it_holds_nothing_else() {
        let dictionary = Dictionary::new();
        for value in
            ["ann.miller@gmail.com", "Zebediah Xylander", "+49 30 1234", "Ann 1234567", "", "--"]
        {
            assert!(!dictionary.holds(value), "{value}");
        }
        assert!(dictionary.holds("ANNA Miller"));
    }
}
