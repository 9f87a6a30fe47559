use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::lsn::{History, Lsn};

/// A position in the log of a server: a read at or after it sees everything that was committed
/// before.
///
/// Pass it from the request that writes to one that reads, or to the worker of a job, which may be
/// in other processes: [`TenantDb::consistency_token`](crate::TenantDb::consistency_token) returns
/// one, and [`ReadDb::at_least`](crate::ReadDb::at_least) takes it. Within a process, no token is
/// needed: [`TenantDb::read`](crate::TenantDb::read) sees the tenant's own writes.
///
/// As text, and with serde, it is `v1.<system>.<timeline>.<position>` in hexadecimal digits, at most 45
/// ASCII characters that need no quoting in a cookie or URL.
///
/// # Untrusted tokens
///
/// It holds no secret and needs no signature. A position that the primary has not reached is
/// ignored, and one of another server or timeline makes the read go to the primary. So a client that
/// makes up a token can at most choose between these two, for its own reads.
///
/// # Examples
///
/// ```
/// use tenantry::ConsistencyToken;
///
/// let token: ConsistencyToken = "v1.69a3f1c0d2b4e687.1.16b374d848".parse()?;
/// assert_eq!(token.to_string(), "v1.69a3f1c0d2b4e687.1.16b374d848");
/// assert!("v1.1.0.9".parse::<ConsistencyToken>().is_err());
/// # Ok::<(), tenantry::ParseTokenError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConsistencyToken {
    history: History,
    lsn: Lsn,
}

/// The text is not a [`ConsistencyToken`].
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a consistency token: it has the form v1.<system>.<timeline>.<position>, in hexadecimal digits"
)]
#[non_exhaustive]
pub struct ParseTokenError;

crate::error_report::readable_debug!(ParseTokenError);

const VERSION: &str = "v1";

impl ConsistencyToken {
    pub(crate) fn new(history: History, lsn: Lsn) -> Self {
        Self { history, lsn }
    }

    pub(crate) fn history(self) -> History {
        self.history
    }

    /// Returns `true` if it is at or before a position.
    pub(crate) fn is_within(self, history: History, lsn: Lsn) -> bool {
        self.history == history && self.lsn <= lsn
    }

    pub(crate) fn lsn(self) -> Lsn {
        self.lsn
    }
}

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history: History { system, timeline }, lsn } = self;
        write!(f, "{VERSION}.{system:x}.{timeline:x}.{:x}", lsn.get())
    }
}

impl FromStr for ConsistencyToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        let mut parts = text.split('.');
        if parts.next() != Some(VERSION) {
            return Err(ParseTokenError);
        }
        let mut number = || {
            let digits = parts.next().filter(|digits| is_canonical(digits));
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(ParseTokenError)
        };
        let (system, timeline, lsn) = (number()?, number()?, number()?);
        // Timelines begin with 1.
        let timeline = u32::try_from(timeline).ok().filter(|timeline| *timeline > 0);
        match (timeline, parts.next()) {
            (Some(timeline), None) => Ok(Self::new(History { system, timeline }, Lsn::new(lsn))),
            _ => Err(ParseTokenError),
        }
    }
}

/// Returns `true` if these are the digits that a number is printed with.
fn is_canonical(digits: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    !digits.is_empty()
        && digits.bytes().all(is_digit)
        && (digits == "0" || !digits.starts_with('0'))
}

impl Serialize for ConsistencyToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConsistencyToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_token_comes_back(system: u64, timeline in 1_u32.., lsn: u64) {
            let token = ConsistencyToken::new(History { system, timeline }, Lsn::new(lsn));
            let text = token.to_string();
            prop_assert!(text.len() <= 45, "{}", text);
            prop_assert_eq!(text.parse(), Ok(token));
            let json = serde_json::to_string(&token).unwrap();
            prop_assert_eq!(serde_json::from_str::<ConsistencyToken>(&json).unwrap(), token);
        }

        #[test]
        fn no_text_panics_and_each_token_has_one_text(text in "\\PC{0,50}|v1(\\.[0-9a-fA-F+]{0,18}){2,4}") {
            if let Ok(token) = text.parse::<ConsistencyToken>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "v1",
            "v1...",
            "v1.1.1",
            "v1.1.1.1.1",
            "v2.1.1.1",
            "v1.1.0.1",
            "v1.1.100000000.1",
            "v1.01.1.1",
            "v1.1.1.-1",
            "v1.1.1.+1",
            "v1.1.1.10000000000000000",
            "v1.A.1.1",
            " v1.1.1.1",
        ] {
            assert_eq!(text.parse::<ConsistencyToken>(), Err(ParseTokenError), "{text}");
        }
    }
}
