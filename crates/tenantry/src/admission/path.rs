use super::{RequestHead, ResolveError};
use crate::tenant::TenantId;

/// Reads the tenant id from the segment of the path after a prefix: `/t/acme/users`.
///
/// The segment is taken as it is written, nothing is decoded: an id never needs percent-encoding, and
/// a segment with a `%` in it, such as an encoded slash, is malformed. A path with another prefix, or
/// with nothing after it, has no tenant.
///
/// The path is read and left as it is, so the routes have to have the prefix too.
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
    /// Reads the segment after this prefix. Slashes at its ends make no difference.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => "/".to_owned(),
            inner => format!("/{inner}/"),
        };
        Self { prefix }
    }

    /// Reads the tenant id. `None` when the path has none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the segment is not a tenant id.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        let after = head.path().strip_prefix(&*self.prefix);
        match after.and_then(|rest| rest.split('/').next()) {
            None | Some("") => Ok(None),
            Some(segment) => Ok(Some(TenantId::parse(segment)?)),
        }
    }
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
            ("/t", "/t//users", None),
            ("/", "/", None),
        ];
        for (prefix, path, id) in cases {
            let expected = Ok(id.map(str::to_owned));
            assert_eq!(resolve(prefix, path), expected, "{prefix} {path}");
        }
        assert_eq!(resolve("/t", "*"), Ok(None));
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
