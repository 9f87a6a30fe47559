//! Timestamps as text: RFC 3339, in UTC, to the millisecond.

use std::time::SystemTime;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::Error};

/// Serialises as `2026-01-15T10:30:00.000Z`.
pub(crate) fn serialize<S: Serializer>(
    time: &SystemTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let time = Timestamp::try_from(*time).and_then(|time| time.round(Unit::Millisecond));
    format!("{:.3}", time.map_err(S::Error::custom)?).serialize(serializer)
}

/// Serialises like [`serialize`], or as null.
#[expect(clippy::ref_option, reason = "serde hands out a reference to the field")]
pub(crate) fn serialize_optional<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads what [`serialize`] writes.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: Timestamp = text.parse().map_err(de::Error::custom)?;
    time.try_into().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn has_milliseconds_always() {
        for (millis, expected) in [
            (1_768_473_000_000, "2026-01-15T10:30:00.000Z"),
            (1_768_473_000_120, "2026-01-15T10:30:00.120Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let text = serialize(&time, serde_json::value::Serializer).unwrap();
            assert_eq!(text, expected);
            assert_eq!(deserialize(text).unwrap(), time);
        }
    }
}
