//! Invented values, from the word lists of the crate `fake`.
//!
//! Only the lists come from that crate. The choice from them is made here, so that a mask does not change with the
//! version of a random number generator.

use std::fmt::Write;

use fake::locales::{Data, EN};

use super::{
    FakeKind,
    key::{Chooser, word},
};

/// The number of hexadecimal digits in a unique fake.
const TAG_DIGITS: usize = 12;

/// The longest text that is invented, in characters.
const MAX_TEXT: usize = 1_000;

/// The number of attempts if a fake is too long.
const ATTEMPTS: usize = 8;

/// Returns the fewest characters that a column must have room for.
pub(super) fn room(kind: FakeKind, unique: bool) -> usize {
    match (kind, unique) {
        (FakeKind::Email, false) => "ab@example.com".len(),
        (FakeKind::Email, true) => TAG_DIGITS + "@example.com".len(),
        (FakeKind::Phone, false) => "+12025550100".len(),
        (FakeKind::Phone, true) => "+999123456789012".len(),
        (FakeKind::Url, false) => "https://example.com/ab".len(),
        (FakeKind::Url, true) => "https://example.com/".len() + TAG_DIGITS,
        (FakeKind::Ip, false) => "198.51.100.255".len(),
        (FakeKind::Ip, true) => "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".len(),
        (FakeKind::Postcode, false) => 5,
        (FakeKind::Postcode, true) => 6 + TAG_DIGITS,
        (_, false) => 2,
        (_, true) => TAG_DIGITS,
    }
}

/// Returns a fake that fits into `limit` characters.
pub(super) fn fitting(
    kind: FakeKind,
    unique: Option<&[u8; 32]>,
    chooser: &mut Chooser,
    limit: Option<usize>,
    length: usize,
) -> String {
    let limit = limit.unwrap_or(usize::MAX);
    if let Some(digest) = unique {
        return tagged(kind, digest, chooser, limit, length);
    }
    let mut fake = plain(kind, chooser, length);
    for _ in 0..ATTEMPTS {
        if fake.len() <= limit {
            return fake;
        }
        fake = plain(kind, chooser, length.min(limit));
    }
    match kind {
        FakeKind::Email => {
            let mut local: String = lower(chooser.one_of(EN::NAME_FIRST_NAME));
            local.truncate(limit.saturating_sub("@example.com".len()));
            local + "@example.com"
        }
        FakeKind::Url => {
            let mut url = format!("https://example.com/{}", chooser.one_of(EN::LOREM_WORD));
            url.truncate(limit);
            url
        }
        _ => cut(fake, limit),
    }
}

/// Returns a fake of any length. `length` is the length of the value, which only affects a text.
pub(super) fn plain(kind: FakeKind, chooser: &mut Chooser, length: usize) -> String {
    let first = |chooser: &mut Chooser| chooser.one_of(EN::NAME_FIRST_NAME);
    let last = |chooser: &mut Chooser| chooser.one_of(EN::NAME_LAST_NAME);
    match kind {
        FakeKind::Name => format!("{} {}", first(chooser), last(chooser)),
        FakeKind::FirstName => first(chooser).to_owned(),
        FakeKind::LastName => last(chooser).to_owned(),
        FakeKind::Email => {
            let (first, last) = (lower(first(chooser)), lower(last(chooser)));
            let number = chooser.below(1_000);
            let domain = chooser.one_of(&["com", "net", "org"]);
            format!("{first}.{last}{number}@example.{domain}")
        }
        FakeKind::Phone => {
            // Numbers 555-0100 to 555-0199 are reserved for fiction in each area.
            let (area, line) = (200 + chooser.below(800), chooser.below(100));
            format!("+1{area}55501{line:02}")
        }
        FakeKind::Address => {
            let (street, postcode) = (street(chooser), postcode(chooser));
            format!("{street}, {postcode} {}", city(chooser))
        }
        FakeKind::Street => street(chooser),
        FakeKind::City => city(chooser),
        FakeKind::Postcode => postcode(chooser),
        FakeKind::Country => chooser.one_of(EN::ADDRESS_COUNTRY).to_owned(),
        FakeKind::Company => {
            let suffix = chooser.one_of(EN::COMPANY_SUFFIX);
            match chooser.below(2) {
                0 => format!("{} {suffix}", last(chooser)),
                _ => format!("{} and {} {suffix}", last(chooser), last(chooser)),
            }
        }
        FakeKind::Text => text(chooser, length),
        FakeKind::Username => {
            let first = lower(first(chooser));
            format!("{first}_{}{}", chooser.one_of(EN::LOREM_WORD), chooser.below(100))
        }
        FakeKind::Url => {
            let words = EN::LOREM_WORD;
            format!("https://example.com/{}/{}", chooser.one_of(words), chooser.one_of(words))
        }
        FakeKind::Ip => {
            let network = chooser.one_of(&["192.0.2", "198.51.100", "203.0.113"]);
            format!("{network}.{}", chooser.below(256))
        }
    }
}

/// Returns a fake that holds a part of the value's hash.
fn tagged(
    kind: FakeKind,
    digest: &[u8; 32],
    chooser: &mut Chooser,
    limit: usize,
    length: usize,
) -> String {
    // The first eight bytes choose the words; these are others.
    let number = word(digest, 1);
    let tag = format!("{:012x}", number >> 16);
    match kind {
        FakeKind::Email => {
            let name = format!(
                "{}.{}",
                lower(chooser.one_of(EN::NAME_FIRST_NAME)),
                lower(chooser.one_of(EN::NAME_LAST_NAME))
            );
            let room = limit.saturating_sub("@example.com".len() + TAG_DIGITS + 1);
            match cut(name, room) {
                name if name.is_empty() => format!("{tag}@example.com"),
                name => format!("{name}.{tag}@example.com"),
            }
        }
        FakeKind::Phone => format!("+999{:012}", number % 1_000_000_000_000),
        FakeKind::Postcode => format!("{}-{tag}", postcode(chooser)),
        FakeKind::Url => format!("https://example.com/{tag}"),
        FakeKind::Ip => {
            let mut address = "2001:db8".to_owned();
            let groups = [number >> 48, number >> 32, number >> 16, number];
            for group in groups.into_iter().chain([word(digest, 2), word(digest, 2) >> 16]) {
                // PostgreSQL shortens zeros, which would change the text.
                let _ = write!(address, ":{:x}", group as u16 | 0x1000);
            }
            address
        }
        FakeKind::Username => {
            let name = lower(chooser.one_of(EN::NAME_FIRST_NAME));
            joined(name, '_', &tag, limit)
        }
        _ => joined(plain(kind, chooser, length), ' ', &tag, limit),
    }
}

fn joined(name: String, between: char, tag: &str, limit: usize) -> String {
    match cut(name, limit.saturating_sub(TAG_DIGITS + 1)) {
        name if name.is_empty() => tag.to_owned(),
        name => format!("{name}{between}{tag}"),
    }
}

fn street(chooser: &mut Chooser) -> String {
    let number = 1 + chooser.below(9_999);
    let (name, suffix) =
        (chooser.one_of(EN::NAME_LAST_NAME), chooser.one_of(EN::ADDRESS_STREET_SUFFIX));
    format!("{number} {name} {suffix}")
}

fn city(chooser: &mut Chooser) -> String {
    let (name, suffix) =
        (chooser.one_of(EN::NAME_LAST_NAME), chooser.one_of(EN::ADDRESS_CITY_SUFFIX));
    match chooser.below(4) {
        0 => format!("{} {name}{suffix}", chooser.one_of(EN::ADDRESS_CITY_PREFIX)),
        _ => format!("{name}{suffix}"),
    }
}

fn postcode(chooser: &mut Chooser) -> String {
    format!("{:05}", chooser.below(100_000))
}

fn text(chooser: &mut Chooser, length: usize) -> String {
    let length = length.min(MAX_TEXT);
    let mut text = String::with_capacity(length + 16);
    let mut first = chooser.one_of(EN::LOREM_WORD).chars();
    text.extend(first.next().map(|letter| letter.to_ascii_uppercase()));
    text.push_str(first.as_str());
    while text.len() + 1 < length {
        text.push(' ');
        text.push_str(chooser.one_of(EN::LOREM_WORD));
    }
    text.push('.');
    text
}

/// Returns the letters of a name, in lower case.
fn lower(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Truncates a text to a number of characters, and drops a trailing blank or dot.
fn cut(text: String, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text;
    }
    let cut: String = text.chars().take(limit).collect();
    cut.trim_end_matches([' ', '.', ',', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{
        super::{Key, key::Purpose},
        *,
    };

    fn digest(number: u64) -> [u8; 32] {
        let key = Key::from_bytes([1; 32]).unwrap();
        key.digest(Purpose::Value, &[&number.to_be_bytes()])
    }

    #[test]
    fn every_kind_fits_the_column() {
        for kind in FakeKind::ALL {
            for unique in [false, true] {
                let room = room(*kind, unique);
                for limit in [room, room + 1, room + 7, 60, 255] {
                    for number in 0..200 {
                        let digest = digest(number);
                        let unique = unique.then_some(&digest);
                        let mut chooser = Chooser::new(&digest);
                        let fake = fitting(*kind, unique, &mut chooser, Some(limit.max(room)), 30);
                        let fits = (1..=limit.max(room)).contains(&fake.chars().count());
                        assert!(fits, "{kind} {limit}: {fake}");
                        assert_eq!(fake, fake.trim());
                    }
                }
            }
        }
    }

    #[test]
    fn equal_digests_give_equal_fakes_and_tags_keep_them_apart() {
        for kind in FakeKind::ALL {
            let invent = |number| {
                let digest = digest(number);
                fitting(*kind, Some(&digest), &mut Chooser::new(&digest), None, 30)
            };
            assert_eq!(invent(1), invent(1));
            let all: HashSet<_> = (0..5_000).map(invent).collect();
            assert_eq!(all.len(), 5_000, "{kind}");
        }
    }

    #[test]
    fn addresses_are_addresses() {
        for number in 0..500 {
            let digest = digest(number);
            for unique in [None, Some(&digest)] {
                let mut chooser = Chooser::new(&digest);
                let mut invent = |kind| fitting(kind, unique, &mut chooser, Some(40), 20);
                let ip = invent(FakeKind::Ip);
                assert_eq!(ip.parse::<std::net::IpAddr>().unwrap().to_string(), ip);
                let email = invent(FakeKind::Email);
                let (local, domain) = email.split_once('@').unwrap();
                assert!(domain.starts_with("example."), "{email}");
                assert!(!local.is_empty() && !local.ends_with('.'), "{email}");
                let phone = invent(FakeKind::Phone);
                assert!(phone.starts_with('+') && phone[1..].chars().all(|c| c.is_ascii_digit()));
            }
        }
    }

    #[test]
    fn a_text_is_about_as_long_as_the_value() {
        let mut chooser = Chooser::new(&digest(1));
        for length in [20, 100, 900] {
            let text = plain(FakeKind::Text, &mut chooser, length);
            assert!((length..length + 20).contains(&text.len()), "{length}: {text}");
        }
        assert!(plain(FakeKind::Text, &mut chooser, 1_000_000).len() < MAX_TEXT + 20);
    }
}
