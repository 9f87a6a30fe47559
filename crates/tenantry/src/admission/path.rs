use std::borrow::Cow;

use super::{RequestHead, ResolveError};
use crate::tenant::TenantId;

/// Reads the tenant id from the path segment after a prefix: `/t/acme/users`.
///
/// The segment is not decoded: an id never needs percent-encoding, and a segment that contains a
/// `%`, such as an encoded slash, is malformed. A path with another prefix, or with nothing after
/// it, has no tenant.
///
/// A path that has the prefix only after decoding, or after merging slashes, is malformed rather
/// than without a tenant: some routers do that, and would serve `/%74/acme` or `//t/acme` for the
/// tenant that a later resolver has found.
///
/// The path is not rewritten, so the routes must include the prefix.
///
/// # Examples
///
/// ```
/// use tenantry::admission::PathPrefix;
///
/// let after_t = PathPrefix::new("/t");
/// let first_segment = PathPrefix::new("/");
/// ```
#[derive(Debug, Clone)]
pub struct PathPrefix {
    /// Starts and ends with a slash.
    prefix: String,
}

impl PathPrefix {
    /// Reads the segment after this prefix. Leading and trailing slashes are ignored.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => "/".to_owned(),
            inner => format!("/{inner}/"),
        };
        Self { prefix }
    }

    /// Reads the tenant id. `None` if the path has none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the segment is not a tenant id, or when a router could find a tenant
    /// in the path after normalization.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        let path = head.path();
        let Some(rest) = path.strip_prefix(&*self.prefix) else {
            return match normal_form(path).starts_with(self.prefix.as_bytes()) {
                true => Err(ResolveError::Path),
                false => Ok(None),
            };
        };
        match rest.split_once('/').unwrap_or((rest, "")) {
            ("", "") => Ok(None),
            ("", _) => Err(ResolveError::Path),
            (segment, _) => Ok(Some(TenantId::parse(segment)?)),
        }
    }
}

/// Refuses a path that encodes characters without need. Some routers decode them first and others
/// do not, so the path would have two meanings.
///
/// These are the unreserved characters of
/// [RFC 3986, 6.2.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.2), except `~`, which
/// older clients encode legitimately.
pub(super) fn check_encoding(path: &str) -> Result<(), ResolveError> {
    let needless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    match path.split('%').skip(1).filter_map(|rest| octet(rest.as_bytes())).any(needless) {
        true => Err(ResolveError::Path),
        false => Ok(()),
    }
}

/// Returns a path with everything decoded and slashes merged.
fn normal_form(path: &str) -> Cow<'_, [u8]> {
    if !path.contains('%') && !path.contains("//") {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut normal = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let decoded = if *first == b'%' { octet(after) } else { None };
        let byte = decoded.unwrap_or(*first);
        rest = if decoded.is_some() { &after[2..] } else { after };
        if byte != b'/' || normal.last() != Some(&b'/') {
            normal.push(byte);
        }
    }
    Cow::Owned(normal)
}

/// Reads the two digits after a `%`.
fn octet(after: &[u8]) -> Option<u8> {
    let [high, low, ..] = after else { return None };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{super::head::Head, *};
    use crate::tenant::ParseTenantIdError as Invalid;

    fn resolve(prefix: &str, path: &str) -> Result<Option<String>, ResolveError> {
        let id = PathPrefix::new(prefix).read(&Head { path, ..Head::default() })?;
        Ok(id.map(|id| id.to_string()))
    }

    #[test]
    fn reads_the_segment_after_the_prefix() {
        let cases = [
            ("/t", "/t/acme/users", Some("acme")),
            ("/t/", "/t/acme", Some("acme")),
            ("t", "/t/acme/t/globex", Some("acme")),
            ("/api/t", "/api/t/acme/users", Some("acme")),
            ("/", "/acme/users", Some("acme")),
            ("", "/acme", Some("acme")),
            ("/t", "/tt/acme", None),
            ("/t", "/T/acme", None),
            ("/t", "/x/t/acme", None),
            ("/t", "/t", None),
            ("/t", "/t/", None),
            ("/t", "/t//", None),
            ("/t", "/x/%2e", None),
            ("/t", "/%7", None),
            ("/", "/", None),
        ];
        for (prefix, path, id) in cases {
            let expected = Ok(id.map(str::to_owned));
            assert_eq!(resolve(prefix, path), expected, "{prefix} {path}");
        }
        assert_eq!(resolve("/t", "*"), Ok(None));
    }

    #[test]
    fn refuses_a_path_that_a_router_may_read_otherwise() {
        for (prefix, path) in [
            ("/t", "/%74/acme"),
            ("/t", "//t/acme"),
            ("/t", "/t%2facme"),
            ("/t", "%2Ft/acme"),
            ("/t", "/t//acme"),
            ("/api/t", "/api//t/acme"),
            ("/api/t", "/api%2ft/acme"),
            ("/@", "/%40/acme"),
            ("/", "//acme"),
        ] {
            assert_eq!(resolve(prefix, path), Err(ResolveError::Path), "{prefix} {path}");
        }
    }

    #[test]
    fn what_needs_no_encoding_has_none() {
        for path in ["/%77ho", "/a/%2E%2e/b", "/%5f", "/x%2dy", "/%39", "/100%/%41"] {
            assert_eq!(check_encoding(path), Err(ResolveError::Path), "{path}");
        }
        for path in
            ["/", "/who", "/a%20b", "/a%2Fb", "/%C3%A4", "/%7Euser", "/%", "/%4", "/%zz", "*"]
        {
            assert_eq!(check_encoding(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn decodes_nothing() {
        let cases = [
            ("/t/acme%2Fglobex", '%', 4),
            ("/t/%61cme/users", '%', 0),
            ("/t/../users", '.', 0),
            ("/t/a;b/users", ';', 1),
        ];
        for (path, found, at) in cases {
            let error = Invalid::Character { found, at }.into();
            assert_eq!(resolve("/t", path), Err(error), "{path}");
        }
    }
}
