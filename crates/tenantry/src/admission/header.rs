use std::borrow::Cow;

use super::{RequestHead, ResolveError};
use crate::tenant::TenantId;

/// Reads the tenant id from a header; `x-tenant-id` by default.
///
/// The header may occur twice with the same value. Different values, values that a proxy has joined
/// with a comma, and an empty value make the request malformed.
///
/// # Examples
///
/// ```
/// use tenantry::admission::Header;
///
/// let default = Header::default();
/// let own = Header::new("x-org");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: Cow<'static, str>,
}

impl Header {
    /// Reads the header of this name, which must be in lower case; otherwise it is never found.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }

    /// Reads the tenant id. `None` if the header is missing.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the value is not a tenant id.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        let mut values = head.header_values(&self.name);
        let Some(first) = values.next() else {
            return Ok(None);
        };
        if values.any(|other| other != first) {
            return Err(ResolveError::Contradiction);
        }
        let text = str::from_utf8(first).map_err(|_| ResolveError::NotText)?;
        Ok(Some(TenantId::parse(text)?))
    }
}

impl Default for Header {
    fn default() -> Self {
        Self::new("x-tenant-id")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::head::Head, *};
    use crate::tenant::ParseTenantIdError as Invalid;

    fn resolve(values: &[&[u8]]) -> Result<Option<String>, ResolveError> {
        let headers: Vec<_> = values.iter().map(|value| ("x-tenant-id", *value)).collect();
        let id = Header::default().read(&Head { headers: &headers, ..Head::default() })?;
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
