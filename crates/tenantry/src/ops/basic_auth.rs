//! HTTP Basic authentication according to RFC 7617.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The challenge of a 401.
pub(super) const CHALLENGE: &str = r#"Basic realm="metrics", charset="UTF-8""#;

/// The accepted pair of user and password.
///
/// Only hashes are stored and compared. They have a fixed length, so the duration of a comparison
/// reveals neither how much of a guess was right nor how long the password is.
#[derive(Clone)]
pub(super) struct BasicAuth {
    expected: [u8; 32],
}

impl BasicAuth {
    pub(super) fn new(user: &str, password: &str) -> Self {
        Self { expected: hash(format!("{user}:{password}").as_bytes()) }
    }

    /// Returns `true` if a request with these values of `authorization` is admitted.
    pub(super) fn admits<'a>(&self, values: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut values = values.into_iter();
        // Of two headers, a proxy may have checked the other one.
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        credentials(value).is_some_and(|given| hash(&given).ct_eq(&self.expected).into())
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth").finish_non_exhaustive()
    }
}

/// Decodes `user:password` from the header value.
fn credentials(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = header.split_at_checked("basic".len())?;
    let encoded = rest.strip_prefix(b" ")?.trim_ascii();
    match scheme.eq_ignore_ascii_case(b"basic") {
        true => STANDARD.decode(encoded).ok(),
        false => None,
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        STANDARD.encode(text)
    }

    fn admits(auth: &BasicAuth, values: &[&str]) -> bool {
        auth.admits(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn admits_the_right_pair_in_every_spelling_of_the_rfc() {
        // The examples of RFC 7617, sections 2 and 2.1.
        for (user, password, header) in [
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("Aladdin", "open sesame", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("Aladdin", "open sesame", "BASIC   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123£", "Basic dGVzdDoxMjPCow=="),
            ("user", "a:b", &format!("Basic {}", encoded("user:a:b"))),
            ("", "", &format!("Basic {}", encoded(":"))),
        ] {
            let auth = BasicAuth::new(user, password);
            assert!(admits(&auth, &[header]), "{header}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let auth = BasicAuth::new("user", "secret");
        let right = format!("Basic {}", encoded("user:secret"));
        assert!(admits(&auth, &[&right]));
        let pairs = [
            "user:secre",
            "user:secrets",
            "user:Secret",
            "use:secret",
            "user:",
            ":secret",
            "user",
            "",
            "user:secret\0",
            "user:secret\n",
            " user:secret",
            "secret:user",
        ];
        for pair in pairs {
            let header = format!("Basic {}", encoded(pair));
            assert!(!admits(&auth, &[&header]), "{pair:?}");
        }
        let right = encoded("user:secret");
        for header in [
            "",
            "B",
            "Basic",
            "Basic ",
            "Basic  ",
            "Bäsic x",
            "Basic =",
            "Basic a",
            "Basic %%%%",
            "user:secret",
            "Basic user:secret",
            "Digest username=\"user\"",
            &right,
            &format!("Basic{right}"),
            &format!("Basic\t{right}"),
            &format!("Bearer {right}"),
            &format!("Basic {right}="),
            &format!("Basic {}", right.trim_end_matches('=')),
            &format!("Basic {right} {right}"),
            &format!("Basic {right}, Basic {right}"),
        ] {
            assert!(!admits(&auth, &[header]), "{header:?}");
        }
    }

    #[test]
    fn refuses_none_and_two() {
        let auth = BasicAuth::new("user", "secret");
        let right = format!("Basic {}", encoded("user:secret"));
        assert!(!admits(&auth, &[]));
        assert!(!admits(&auth, &[&right, &right]));
        assert!(!admits(&auth, &[&right, "Basic x"]));
    }

    #[test]
    fn shows_nothing() {
        let shown = format!("{:?}", BasicAuth::new("user", "secret"));
        assert_eq!(shown, "BasicAuth { .. }");
    }
}
