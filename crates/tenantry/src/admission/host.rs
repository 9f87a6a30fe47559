use std::{borrow::Cow, fmt};

use super::{RequestHead, ResolveError};
use crate::tenant::TenantId;

/// Finds the tenant id by the whole host of the request, for domains that are the tenants' own.
///
/// The closure gets the host in lower case, without port and trailing dot; an IPv6 address keeps its
/// brackets. `None` means that the host is nobody's.
///
/// The host is that of the request's URI if there is one (HTTP/2's `:authority`, HTTP/1's absolute
/// form), else that of the header `Host`. `X-Forwarded-Host` is not read: anybody can send it. Two
/// `Host` headers are malformed
/// ([RFC 9112, 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)), and so is one that differs
/// from HTTP/2's `:authority` ([RFC 9113, 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
///
/// use tenantry::TenantId;
/// use tenantry::admission::Host;
///
/// let domains = HashMap::from([("shop.acme.test", TenantId::parse("acme")?)]);
/// let resolver = Host::new(move |host: &str| domains.get(host).cloned());
/// # Ok::<(), tenantry::ParseTenantIdError>(())
/// ```
#[derive(Clone)]
pub struct Host<F> {
    find: F,
}

impl<F> Host<F>
where
    F: Fn(&str) -> Option<TenantId> + Send + Sync + 'static,
{
    /// Finds the id with a closure, which does no I/O.
    pub fn new(find: F) -> Self {
        Self { find }
    }

    /// Finds the tenant id. `None` when the host is nobody's, or when there is none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the host is none, or when there are two that differ.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        Ok(host_of(head)?.and_then(|host| (self.find)(&host)))
    }
}

impl<F> fmt::Debug for Host<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Returns the host that a request is for, normalized.
pub(super) fn host_of(head: &impl RequestHead) -> Result<Option<Cow<'_, str>>, ResolveError> {
    let in_uri = head.uri_host().map(normalize).transpose()?.flatten();
    if in_uri.is_some() && !head.is_http2_or_newer() {
        // RFC 9112, 3.2.2: the header is to be ignored.
        return Ok(in_uri);
    }
    let in_header = header(head)?.map(normalize).transpose()?.flatten();
    match (in_uri, in_header) {
        (Some(uri), Some(header)) if uri != header => Err(ResolveError::Contradiction),
        (uri, header) => Ok(uri.or(header)),
    }
}

fn header(head: &impl RequestHead) -> Result<Option<&str>, ResolveError> {
    let mut values = head.header_values("host");
    let first = values.next();
    if values.next().is_some() {
        return Err(ResolveError::Contradiction);
    }
    first.map(|value| str::from_utf8(value).map_err(|_| ResolveError::Host)).transpose()
}

/// The longest name that DNS allows, in text.
const LONGEST: usize = 253;

/// Takes port and trailing dot away and makes it lower case. `None` when it is empty, which the
/// header may be.
pub(super) fn normalize(authority: &str) -> Result<Option<Cow<'_, str>>, ResolveError> {
    let host = without_port(authority)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |b: u8| match host.starts_with('[') {
        true => b.is_ascii_hexdigit() || matches!(b, b'[' | b']' | b':' | b'.'),
        false => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
    };
    if host.len() > LONGEST || !host.bytes().all(allowed) {
        return Err(ResolveError::Host);
    }
    Ok(match host {
        "" if authority.is_empty() => None,
        "" => return Err(ResolveError::Host),
        lower if !lower.bytes().any(|b| b.is_ascii_uppercase()) => Some(Cow::Borrowed(lower)),
        mixed => Some(Cow::Owned(mixed.to_ascii_lowercase())),
    })
}

fn without_port(authority: &str) -> Result<&str, ResolveError> {
    let name_end = match authority.strip_prefix('[') {
        Some(address) => address.find(']').ok_or(ResolveError::Host)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(name_end);
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    match port.strip_prefix(':') {
        Some(port) if is_port(port) => Ok(host),
        None if port.is_empty() => Ok(host),
        _ => Err(ResolveError::Host),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::head::Head, *};

    #[test]
    fn normalizes_hosts() {
        let cases = [
            ("acme.example.com", Some("acme.example.com")),
            ("acme.example.com:8080", Some("acme.example.com")),
            ("acme.example.com:", Some("acme.example.com")),
            ("acme.example.com.", Some("acme.example.com")),
            ("ACME.Example.COM.:443", Some("acme.example.com")),
            ("127.0.0.1:3000", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("[2001:DB8::1]:3000", Some("[2001:db8::1]")),
            ("localhost", Some("localhost")),
            ("", None),
        ];
        for (text, host) in cases {
            assert_eq!(normalize(text).map(|h| h.map(Cow::into_owned)).unwrap().as_deref(), host);
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        let long = "x".repeat(254);
        let cases = [
            "a@b",
            "a/b",
            "a b",
            "a,b",
            "a%2eb",
            "a:b",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[<b>]",
            "[::1%25lo]",
            ".",
            ":80",
            "a\\b",
            &long,
        ];
        for text in cases {
            assert_eq!(normalize(text), Err(ResolveError::Host), "{text}");
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Version {
        Http1,
        Http2,
    }

    fn host(
        version: Version,
        uri_host: Option<&str>,
        values: &[&[u8]],
    ) -> Result<Option<String>, ResolveError> {
        let headers: Vec<_> = values.iter().map(|value| ("host", *value)).collect();
        let http2 = version == Version::Http2;
        let head = Head { headers: &headers, uri_host, http2, path: "/" };
        Ok(host_of(&head)?.map(Cow::into_owned))
    }

    #[test]
    fn reads_the_uri_before_the_header() {
        use Version::{Http1, Http2};
        let found = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(host(Http1, None, &[]), Ok(None));
        assert_eq!(host(Http1, None, &[b""]), Ok(None));
        assert_eq!(host(Http1, None, &[b"a.test:80"]), found("a.test"));
        assert_eq!(host(Http1, Some("b.test"), &[b"a.test"]), found("b.test"));
        assert_eq!(host(Http2, Some("b.test"), &[]), found("b.test"));
        assert_eq!(host(Http2, Some("b.test"), &[b"B.test:443"]), found("b.test"));
    }

    #[test]
    fn refuses_hosts_that_contradict_each_other() {
        use Version::{Http1, Http2};
        let contradiction = Err(ResolveError::Contradiction);
        assert_eq!(host(Http1, None, &[b"a.test", b"b.test"]), contradiction);
        assert_eq!(host(Http1, None, &[b"a.test", b"a.test"]), contradiction);
        assert_eq!(host(Http2, Some("b.test"), &[b"a.test"]), contradiction);
    }

    #[test]
    fn refuses_hosts_that_are_not_ascii() {
        for value in [&b"\xff"[..], "b\u{fc}cher.test".as_bytes()] {
            assert_eq!(host(Version::Http1, None, &[value]), Err(ResolveError::Host));
        }
    }
}
