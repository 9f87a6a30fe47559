use http::{HeaderName, request::Parts};
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// Reads the tenant id from a header; `x-tenant-id` by default.
///
/// The header may be there twice if both say the same; if they do not, or if a proxy has joined them
/// with a comma, the request is malformed. So is an empty one.
///
/// # Examples
///
/// ```
/// use tenantry_tower::resolve::Header;
///
/// let default = Header::default();
/// let own = Header::from_static("x-org");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: HeaderName,
}

impl Header {
    /// Reads this header.
    #[must_use]
    pub fn new(name: HeaderName) -> Self {
        Self { name }
    }

    /// Reads the header of this name, which has to be in lower case.
    ///
    /// # Panics
    ///
    /// When it is no header name, as [`HeaderName::from_static`].
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        Self::new(HeaderName::from_static(name))
    }
}

impl Default for Header {
    fn default() -> Self {
        Self::from_static("x-tenant-id")
    }
}

impl Resolve for Header {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        let mut values = parts.headers.get_all(&self.name).iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        if values.any(|other| other != first) {
            return Err(ResolveError::Contradiction);
        }
        let text = str::from_utf8(first.as_bytes()).map_err(|_| ResolveError::NotText)?;
        Ok(Some(TenantId::parse(text)?))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use tenantry::ParseTenantIdError as Invalid;

    use super::*;

    fn resolve(values: &[&[u8]]) -> Result<Option<String>, ResolveError> {
        let (mut parts, ()) = Request::new(()).into_parts();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            parts.headers.append("x-tenant-id", value);
        }
        let id = Header::default().resolve(&parts)?;
        Ok(id.map(|id| id.to_string()))
    }

    #[test]
    fn reads_the_header() {
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(resolve(&[b"acme"]), Ok(Some("acme".to_owned())));
        assert_eq!(resolve(&[b"ACME"]), Ok(Some("ACME".to_owned())));
        assert_eq!(resolve(&[b"acme", b"acme"]), Ok(Some("acme".to_owned())));
    }

    #[test]
    fn refuses_what_is_no_id() {
        let long = [b'x'; 10_000];
        let character = |found, at| ResolveError::Invalid(Invalid::Character { found, at });
        let cases: [(&[&[u8]], ResolveError); 8] = [
            (&[b"acme", b"globex"], ResolveError::Contradiction),
            (&[b"acme", b"acme", b"globex"], ResolveError::Contradiction),
            (&[b"acme,globex"], character(',', 4)),
            (&[b"acme "], character(' ', 4)),
            (&[b""], Invalid::Empty.into()),
            (&[b"\xff\xfe"], ResolveError::NotText),
            (&["ä".as_bytes()], character('ä', 0)),
            (&[&long], Invalid::TooLong { bytes: 10_000 }.into()),
        ];
        for (values, error) in cases {
            assert!(error.to_string().len() < 100, "{error}");
            assert_eq!(resolve(values), Err(error));
        }
    }
}
