//! The secret behind the masks.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The shortest key, in bytes. A shorter one can be guessed.
const MIN_BYTES: usize = 16;

/// The secret that hashes, fakes and shifts are derived from.
///
/// With one key, equal values get equal masks in every table and every clone. Anyone with the key can test guesses
/// against the masks, so keep it as confidential as the source. It is never serialised, and its `Debug` output is
/// redacted.
///
/// # Examples
///
/// ```
/// use tenantry::anonymize::Key;
///
/// let key = Key::from_bytes(b"0123456789abcdef0123456789abcdef")?;
/// assert_eq!(format!("{key:?}"), "Key(redacted)");
/// assert!(Key::from_bytes("too short").is_err());
/// # Ok::<(), tenantry::anonymize::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Key {
    /// HMAC-SHA256 with both pads absorbed, so that a short value costs two compressions.
    mac: Hmac<Sha256>,
}

/// Why a key cannot be used.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key has fewer than 16 bytes.
    #[error("the key has {bytes} bytes: use at least 16 random ones")]
    TooShort {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The environment variable named by `key_env` is not set.
    #[error("the environment variable {name} is not set: it must hold the key")]
    Missing {
        /// The name of the variable.
        name: String,
    },
}

crate::error_report::readable_debug!(KeyError);

/// The purpose of a digest; digests for different purposes are independent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The mask of a value.
    Value = 1,
    /// The randomness of a row.
    Row = 2,
    /// The shift of a person's dates.
    Shift = 3,
    /// A key for another algorithm.
    Subkey = 4,
}

impl Key {
    /// Creates a key from at least 16 bytes. Use 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooShort`].
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let bytes = bytes.as_ref();
        let too_short = KeyError::TooShort { bytes: bytes.len() };
        if bytes.len() < MIN_BYTES {
            return Err(too_short);
        }
        match Hmac::new_from_slice(bytes) {
            Ok(mac) => Ok(Self { mac }),
            Err(_) => Err(too_short),
        }
    }

    /// Returns the HMAC of a text that is handed over in parts.
    pub(super) fn digest(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(&[purpose as u8]);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// A random number generator (SplitMix64) seeded by a digest.
///
/// It is implemented here so that masks do not change with the version of a crate.
#[derive(Debug, Clone)]
pub(super) struct Chooser(u64);

impl Chooser {
    pub(super) fn new(digest: &[u8; 32]) -> Self {
        Self(word(digest, 0))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end.max(1));
        (wide >> 64) as u64
    }

    /// Returns a number from -1 to 1.
    pub(super) fn signed_unit(&mut self) -> f64 {
        let fraction = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        fraction * 2.0 - 1.0
    }

    /// Returns one of some words.
    pub(super) fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        let at = self.below(words.len() as u64) as usize;
        words.get(at).copied().unwrap_or_default()
    }
}

/// Returns eight bytes of a digest as a number; `at` is 0 to 3.
pub(super) fn word(digest: &[u8; 32], at: usize) -> u64 {
    let bytes = digest.iter().skip(at * 8).take(8);
    bytes.fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

/// Appends `digits` lowercase hexadecimal digits of a digest, at most 64.
pub(super) fn push_hex(digest: &[u8; 32], digits: usize, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    out.extend(nibbles.take(digits).map(|nibble| HEX[usize::from(nibble)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes([7; 32]).unwrap()
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(Key::from_bytes([1; 15]).unwrap_err(), KeyError::TooShort { bytes: 15 });
        assert!(Key::from_bytes([1; 16]).is_ok());
        assert!(Key::from_bytes([1; 200]).is_ok());
    }

    #[test]
    fn a_digest_depends_on_the_key_the_purpose_and_the_text() {
        let one = key().digest(Purpose::Value, &[b"ann"]);
        assert_eq!(one, key().digest(Purpose::Value, &[b"a", b"nn"]));
        assert_ne!(one, key().digest(Purpose::Row, &[b"ann"]));
        assert_ne!(one, key().digest(Purpose::Value, &[b"bob"]));
        let other = Key::from_bytes([8; 32]).unwrap();
        assert_ne!(one, other.digest(Purpose::Value, &[b"ann"]));
    }

    #[test]
    fn it_is_hmac_sha256() {
        // RFC 4231, test case 1 has a key of 20 bytes 0x0b; here with the byte of the purpose before the text.
        let key = Key::from_bytes([0x0b; 20]).unwrap();
        let mut expected = <Hmac<Sha256> as KeyInit>::new_from_slice(&[0x0b; 20]).unwrap();
        expected.update(b"\x01Hi There");
        let expected: [u8; 32] = expected.finalize().into_bytes().into();
        assert_eq!(key.digest(Purpose::Value, &[b"Hi There"]), expected);
    }

    #[test]
    fn hexadecimal_digits_are_cut() {
        let mut out = Vec::new();
        push_hex(&[0xab; 32], 5, &mut out);
        assert_eq!(out, b"ababa");
        out.clear();
        push_hex(&[0x01; 32], 100, &mut out);
        assert_eq!(out.len(), 64);
    }

    #[test]
    fn choices_are_even() {
        let mut chooser = Chooser::new(&[3; 32]);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[chooser.below(10) as usize] += 1;
            let unit = chooser.signed_unit();
            assert!((-1.0..=1.0).contains(&unit));
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }
}
