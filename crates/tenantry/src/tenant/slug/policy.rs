use std::{collections::BTreeSet, ops::RangeInclusive};

use super::{SlugError, fold, reserved::RESERVED};
use crate::tenant::TenantId;

/// Rules for the names that customers may choose at sign-up, for tenants that are reached by a
/// subdomain.
///
/// A [`TenantId`] can be anything that is safe in a schema name and a log line. A slug is stricter:
/// a lower-case [DNS label](https://www.rfc-editor.org/rfc/rfc1123#section-2.1) of `a–z`, `0–9` and
/// single hyphens that starts and ends with a letter or a digit, so that it means the same tenant
/// in a host name, a path and a schema. Two hyphens in a row are refused because `xn--` begins an
/// [internationalized name](https://www.rfc-editor.org/rfc/rfc5891#section-4.2.3.1).
///
/// By default a slug has 3 to 40 characters, which leaves room for a prefix in the 63 bytes of a schema name. About 120
/// names are reserved:
///
/// - the site and its environments: `www`, `app`, `web`, `dev`, `staging`, `demo`, `localhost`, …
/// - interfaces and assets: `api`, `cdn`, `static`, `assets`, `docs`, `status`, `webhooks`, …
/// - accounts and sign-in, which are attractive to impersonate: `admin`, `login`, `auth`,
///   `billing`, `security`, …
/// - mail, with the mailboxes that certificate authorities write to: `mail`, `smtp`, `postmaster`,
///   `webmaster`, …
/// - infrastructure and the company: `ftp`, `ns`, `metrics`, `support`, `help`, `blog`, …
/// - names of PostgreSQL and of this library, and words for no value: `public`, `tenantry`,
///   `shared`, `null`, …
///
/// It does not check whether the name is still free:
/// [`Provisioner::create`](crate::provision::Provisioner::create) does.
///
/// # Examples
///
/// ```
/// use tenantry::{SlugError, SlugPolicy};
///
/// let policy = SlugPolicy::default().reserve(["careers"]).length(3..=30);
/// assert_eq!(policy.check("acme")?.as_str(), "acme");
/// assert_eq!(policy.check("admin"), Err(SlugError::Reserved));
/// assert_eq!(policy.suggest("Müller & Söhne GmbH").as_deref(), Some("mueller-soehne-gmbh"));
/// # Ok::<(), SlugError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SlugPolicy {
    min: usize,
    max: usize,
    reserved: BTreeSet<String>,
}

/// The longest label that DNS allows, and the longest id.
const LONGEST: usize = 63;

/// Suffix that makes another name from one that is too short or reserved.
const SUFFIX: &str = "-1";

impl SlugPolicy {
    /// Returns the default policy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves additional names, in any case: labels used elsewhere, product names, brands.
    pub fn reserve<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.reserved.extend(names.into_iter().map(|name| name.into().to_ascii_lowercase()));
        self
    }

    /// Allows names that are reserved by default. PostgreSQL's `public` stays reserved.
    pub fn allow<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self.reserved.remove(&name.as_ref().to_ascii_lowercase());
        }
        self
    }

    /// Sets the number of characters of a slug. Default: 3 to 40. Clamped to 1–63.
    pub fn length(mut self, characters: RangeInclusive<usize>) -> Self {
        self.min = (*characters.start()).clamp(1, LONGEST);
        self.max = (*characters.end()).clamp(self.min, LONGEST);
        self
    }

    /// Checks a name and returns it as an id. Nothing is normalized: `Acme` is refused and not
    /// folded, so that the tenant has exactly the name that the customer typed. Show
    /// [`suggest`](Self::suggest) beside the error.
    ///
    /// # Errors
    ///
    /// [`SlugError`] names the rule that the name breaks.
    pub fn check(&self, name: &str) -> Result<TenantId, SlugError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some(found) = name.chars().find(|&c| !allowed(c)) {
            return Err(SlugError::Character { found });
        }
        if name.len() < self.min {
            return Err(SlugError::TooShort { min: self.min });
        }
        if name.len() > self.max {
            return Err(SlugError::TooLong { max: self.max });
        }
        if name.starts_with('-') || name.ends_with('-') {
            return Err(SlugError::Edge);
        }
        if name.contains("--") {
            return Err(SlugError::DoubleHyphen);
        }
        match self.reserved.contains(name) {
            true => Err(SlugError::Reserved),
            false => TenantId::parse(name).map_err(|_| SlugError::Reserved),
        }
    }

    /// Suggests a slug for a customer's name, such as `mueller-soehne-gmbh` for
    /// `Müller & Söhne GmbH`. It passes [`check`](Self::check), but may already be taken.
    ///
    /// Latin letters lose their accents, German umlauts become two letters, and a name that is too
    /// short or reserved gets the suffix `-1`. `None` when nothing is left, such as for a name in
    /// another script.
    #[must_use]
    pub fn suggest(&self, name: &str) -> Option<String> {
        let words = fold::words(name, self.max);
        let slug = cut(&words, self.max);
        if self.check(slug).is_ok() {
            return Some(slug.to_owned());
        }
        if slug.is_empty() {
            return None;
        }
        let other = format!("{}{SUFFIX}", cut(slug, self.max.saturating_sub(SUFFIX.len())));
        self.check(&other).is_ok().then_some(other)
    }
}

impl Default for SlugPolicy {
    fn default() -> Self {
        let reserved = RESERVED.iter().map(|&name| name.to_owned()).collect();
        Self { min: 3, max: 40, reserved }
    }
}

/// Shortens words to a length: at a word boundary if that keeps at least half of it, otherwise
/// within a word.
fn cut(words: &str, max: usize) -> &str {
    if words.len() <= max {
        return words;
    }
    let cut = &words[..max];
    match cut.rfind('-') {
        _ if words.as_bytes()[max] == b'-' => cut,
        Some(at) if at >= max / 2 => &cut[..at],
        _ => cut.trim_end_matches('-'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_sentence() {
        let policy = SlugPolicy::default().reserve(["Careers"]).length(3..=10);
        for (name, error) in [
            ("ab", SlugError::TooShort { min: 3 }),
            ("", SlugError::TooShort { min: 3 }),
            ("eleven-char", SlugError::TooLong { max: 10 }),
            ("Acme", SlugError::Character { found: 'A' }),
            ("a_b", SlugError::Character { found: '_' }),
            ("müller", SlugError::Character { found: 'ü' }),
            ("a.b", SlugError::Character { found: '.' }),
            ("-ab", SlugError::Edge),
            ("ab-", SlugError::Edge),
            ("xn--abc", SlugError::DoubleHyphen),
            ("www", SlugError::Reserved),
            ("careers", SlugError::Reserved),
            ("public", SlugError::Reserved),
        ] {
            assert_eq!(policy.check(name), Err(error), "{name:?}");
        }
        for name in ["acme", "a-1", "123", "exactly-10"] {
            assert_eq!(policy.check(name).map(|id| id.to_string()), Ok(name.to_owned()));
        }
        assert!(policy.allow(["WWW"]).check("www").is_ok());
        assert_eq!(
            SlugPolicy::default().allow(["public"]).check("public"),
            Err(SlugError::Reserved)
        );
    }

    #[test]
    fn every_reserved_name_is_a_slug_but_for_that() {
        let free = SlugPolicy { reserved: BTreeSet::new(), ..SlugPolicy::default().length(1..=63) };
        for name in RESERVED.iter().filter(|name| **name != "public") {
            assert!(free.check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_suggested_passes_the_check() {
        let policy = SlugPolicy::default().length(3..=20);
        for (name, slug) in [
            ("Müller & Söhne GmbH", Some("mueller-soehne-gmbh")),
            ("Acme", Some("acme")),
            ("WWW", Some("www-1")),
            ("AB", Some("ab-1")),
            ("Public", Some("public-1")),
            ("International Business Machines", Some("international")),
            ("Donaudampfschifffahrtsgesellschaft", Some("donaudampfschifffahr")),
            ("日本", None),
            ("-", None),
            ("", None),
        ] {
            let suggested = policy.suggest(name);
            assert_eq!(suggested.as_deref(), slug, "{name:?}");
            assert!(suggested.is_none_or(|slug| policy.check(&slug).is_ok()));
        }
        assert_eq!(SlugPolicy::default().length(1..=2).suggest("www").as_deref(), Some("ww"));
    }

    #[test]
    fn any_length_can_be_asked_for() {
        let reversed = RangeInclusive::new(5, 2);
        for (asked, min, max) in [(0..=0, 1, 1), (reversed, 5, 5), (70..=usize::MAX, 63, 63)] {
            let policy = SlugPolicy::default().length(asked);
            assert_eq!((policy.min, policy.max), (min, max));
            let _ = policy.suggest("Acme and Sons");
        }
    }
}
