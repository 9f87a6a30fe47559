//! Conversions into a [`TenantId`].

use std::borrow::Cow;

use super::{ParseTenantIdError, TenantId};

impl TryFrom<&str> for TenantId {
    type Error = ParseTenantIdError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl TryFrom<String> for TenantId {
    type Error = ParseTenantIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl TryFrom<&String> for TenantId {
    type Error = ParseTenantIdError;

    fn try_from(text: &String) -> Result<Self, Self::Error> {
        Self::parse(text)
    }
}

impl TryFrom<Cow<'_, str>> for TenantId {
    type Error = ParseTenantIdError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl TryFrom<&Self> for TenantId {
    type Error = ParseTenantIdError;

    fn try_from(id: &Self) -> Result<Self, Self::Error> {
        Ok(id.clone())
    }
}

/// Signed numbers can be negative, and no id starts with `-`.
macro_rules! from_signed {
    ($($number:ty),*) => {$(
        impl TryFrom<$number> for TenantId {
            type Error = ParseTenantIdError;

            fn try_from(number: $number) -> Result<Self, Self::Error> {
                Self::parse(&number.to_string())
            }
        }
    )*};
}

macro_rules! from_unsigned {
    ($($number:ty),*) => {$(
        impl From<$number> for TenantId {
            fn from(number: $number) -> Self {
                Self::known(&number.to_string())
            }
        }
    )*};
}

// A literal without a suffix is an `i32`.
from_signed!(i32, i64);
from_unsigned!(u32, u64);

#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for TenantId {
    fn from(uuid: uuid::Uuid) -> Self {
        Self::known(uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
    }
}

#[cfg(feature = "uuid")]
impl From<&uuid::Uuid> for TenantId {
    fn from(uuid: &uuid::Uuid) -> Self {
        Self::from(*uuid)
    }
}

impl From<std::convert::Infallible> for ParseTenantIdError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<I>(id: I) -> Result<String, ParseTenantIdError>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        id.try_into().map(|id| id.to_string()).map_err(Into::into)
    }

    #[test]
    fn whatever_names_a_tenant_converts_into_an_id() {
        let (id, owned) = (TenantId::parse("acme").unwrap(), "acme".to_owned());
        for found in [
            text("acme"),
            text(&owned),
            text(owned),
            text(Cow::Borrowed("acme")),
            text(&id),
            text(id.clone()),
        ] {
            assert_eq!(found, Ok("acme".to_owned()));
        }
    }

    #[test]
    fn numbers_are_their_digits_and_never_negative() {
        assert_eq!(text(42), Ok("42".to_owned()));
        assert_eq!(text(0_i64), Ok("0".to_owned()));
        assert_eq!(text(i64::MAX), Ok("9223372036854775807".to_owned()));
        assert_eq!(text(u64::MAX), Ok("18446744073709551615".to_owned()));
        assert_eq!(text(7_u32), Ok("7".to_owned()));
        for negative in [-1, i64::MIN] {
            assert_eq!(text(negative), Err(ParseTenantIdError::Start { found: '-' }));
        }
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn a_uuid_is_its_canonical_text() {
        let uuid = uuid::Uuid::parse_str("550E8400E29B41D4A716446655440000").unwrap();
        assert_eq!(text(uuid), Ok("550e8400-e29b-41d4-a716-446655440000".to_owned()));
        let by_reference = &uuid;
        assert_eq!(text(by_reference), text(uuid));
    }
}
