use http::request::Parts;
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// Reads the tenant id from the segment of the path after a prefix: `/t/acme/users`.
///
/// The segment is taken as it is written, nothing is decoded: an id never needs percent-encoding, and
/// a segment with a `%` in it, such as an encoded slash, is malformed. A path with another prefix, or
/// with nothing after it, has no tenant.
///
/// # With a router
///
/// The path is read and left as it is, so the routes have to have the prefix too. In axum, nest them
/// and put the layer around that: outside it sees the whole path, inside the routes do not.
///
/// ```text
/// Router::new().nest("/t/{tenant}", routes).layer(TenantLayer::new(manager).resolver(PathPrefix::new("/t")))
/// ```
///
/// The tenant is then one of the parameters of axum's `Path` beside the route's own; take those by
/// name, with a struct.
///
/// # Examples
///
/// ```
/// use tenantry_tower::resolve::PathPrefix;
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

    fn tenant_of(&self, path: &str) -> Result<Option<TenantId>, ResolveError> {
        let segment = path.strip_prefix(&*self.prefix).and_then(|rest| rest.split('/').next());
        match segment {
            None | Some("") => Ok(None),
            Some(segment) => Ok(Some(TenantId::parse(segment)?)),
        }
    }
}

impl Resolve for PathPrefix {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        self.tenant_of(parts.uri.path())
    }
}

#[cfg(test)]
mod tests {
    use tenantry::ParseTenantIdError as Invalid;

    use super::*;

    fn resolve(prefix: &str, path: &str) -> Result<Option<String>, ResolveError> {
        let request = http::Request::builder().uri(path).body(()).unwrap();
        let id = PathPrefix::new(prefix).resolve(&request.into_parts().0)?;
        Ok(id.map(|id| id.to_string()))
    }

    #[test]
    fn reads_the_segment_after_the_prefix() {
        let cases = [
            ("/t", "/t/acme/users", Some("acme")),
            ("/t/", "/t/acme", Some("acme")),
            ("t", "/t/acme/?x=/t/globex", Some("acme")),
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
