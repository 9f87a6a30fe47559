use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::ident::{self, MAX_BYTES};

/// The id of a tenant, as used by requests, catalogs and metrics.
///
/// An id is 1 to 63 bytes of `A–Z`, `a–z`, `0–9`, `_` and `-`, starts with a letter or a digit, and
/// is not one of PostgreSQL's own schema names (`public`, `information_schema`, `pg_…`), in any
/// case. The character set is deliberately small: ids appear in schema names, headers, host names,
/// log lines and metric labels, and none of these characters is special there.
///
/// Ids are case-sensitive: two ids that differ only in case are two tenants.
///
/// Cloning is cheap; the text is shared.
///
/// Functions that take an id accept any type that converts into one: `&str`, `String`, a `TenantId`
/// or a reference to it, an integer, and with the feature `uuid` a `Uuid`. An integer becomes its
/// decimal digits, and a negative one is refused because an id starts with a letter or a digit. A
/// UUID becomes its 36 lower-case characters with hyphens.
///
/// # Examples
///
/// ```
/// use tenantry::TenantId;
///
/// let id: TenantId = "acme".parse()?;
/// assert_eq!(id.as_str(), "acme");
/// assert!("x,tenant_b".parse::<TenantId>().is_err());
/// assert_ne!("ACME".parse::<TenantId>()?, id);
/// assert_eq!(TenantId::try_from(42)?.as_str(), "42");
/// # Ok::<(), tenantry::ParseTenantIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schemars", schemars(description = "The id of a tenant."))]
#[cfg_attr(feature = "schemars", schemars(extend("pattern" = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")))]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Parses `text` as an id.
    ///
    /// # Errors
    ///
    /// [`ParseTenantIdError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, ParseTenantIdError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// Creates an id from text that is known to be valid.
    pub(super) fn known(text: &str) -> Self {
        debug_assert!(check(text).is_ok(), "{text:?} is an id");
        Self(text.into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), ParseTenantIdError> {
    let first = text.chars().next().ok_or(ParseTenantIdError::Empty)?;
    if text.len() > MAX_BYTES {
        return Err(ParseTenantIdError::TooLong { bytes: text.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if let Some((at, found)) = text.char_indices().find(|&(_, c)| !allowed(c)) {
        return Err(ParseTenantIdError::Character { found, at });
    }
    if !first.is_ascii_alphanumeric() {
        return Err(ParseTenantIdError::Start { found: first });
    }
    if ident::is_reserved_schema(text) {
        return Err(ParseTenantIdError::Reserved);
    }
    Ok(())
}

impl FromStr for TenantId {
    type Err = ParseTenantIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The reason why a text is not a [`TenantId`].
///
/// The messages never repeat the whole text, which is untrusted input and may be long or hostile.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseTenantIdError {
    /// The text is empty.
    #[error("tenant id is empty")]
    Empty,
    /// The text is longer than 63 bytes, the length of a PostgreSQL identifier.
    #[error("tenant id has {bytes} bytes; at most {MAX_BYTES} are allowed")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// The text contains something other than `A–Z`, `a–z`, `0–9`, `_` and `-`.
    #[error("tenant id contains {found:?} at byte {at}; only A-Z, a-z, 0-9, _ and - are allowed")]
    Character {
        /// The first character that is not allowed.
        found: char,
        /// Its position, in bytes from the start.
        at: usize,
    },
    /// The text starts with `_` or `-`.
    #[error("tenant id starts with {found:?}; a letter or a digit is required")]
    Start {
        /// The first character.
        found: char,
    },
    /// The text is a name that PostgreSQL reserves.
    #[error("tenant id is a name that PostgreSQL reserves")]
    Reserved,
}

crate::error_report::readable_debug!(ParseTenantIdError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_checked_when_it_is_read() {
        let read = |json| serde_json::from_str::<TenantId>(json);
        assert_eq!(read("\"acme\"").unwrap().as_str(), "acme");
        assert!(read("\"a b\"").unwrap_err().to_string().contains("' '"));
    }

    #[test]
    fn accepts_what_the_docs_allow() {
        let longest = "x".repeat(63);
        for text in ["a", "acme", "ACME", "0", "tenant-1", "a_b", "550e8400-e29b-41d4", &longest] {
            assert_eq!(TenantId::parse(text).map(|id| id.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn refuses_each_bad_id_with_its_reason() {
        use ParseTenantIdError as E;
        let cases = [
            ("", E::Empty),
            ("x,tenant_b", E::Character { found: ',', at: 1 }),
            ("a\"b", E::Character { found: '"', at: 1 }),
            ("a;drop", E::Character { found: ';', at: 1 }),
            ("a b", E::Character { found: ' ', at: 1 }),
            ("a\0", E::Character { found: '\0', at: 1 }),
            ("aä", E::Character { found: 'ä', at: 1 }),
            ("a.b", E::Character { found: '.', at: 1 }),
            ("-a", E::Start { found: '-' }),
            ("_a", E::Start { found: '_' }),
            ("public", E::Reserved),
            ("PUBLIC", E::Reserved),
            ("pg_temp", E::Reserved),
            ("information_schema", E::Reserved),
        ];
        for (text, error) in cases {
            assert_eq!(TenantId::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(TenantId::parse(&"x".repeat(64)), Err(E::TooLong { bytes: 64 }));
    }
}
