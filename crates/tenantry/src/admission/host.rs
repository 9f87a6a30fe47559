use std::{borrow::Cow, fmt, net::Ipv6Addr};

use super::{RequestHead, ResolveError};
use crate::tenant::TenantId;

/// Maps the whole host of the request to a tenant id, for tenants with their own domains.
///
/// The closure receives the host in lower case, without port and trailing dot; an IPv6 address
/// keeps its brackets. It returns `None` for a host that belongs to no tenant.
///
/// The host is that of the request's URI (HTTP/2's `:authority`, HTTP/1's absolute form) or of the
/// header `Host`; if both are present, they must be equal. `X-Forwarded-Host` is not read, because
/// any client can send it. See [`check_head`](super::check_head) for malformed requests.
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
    /// Maps the host with a closure, which must not do I/O.
    pub fn new(find: F) -> Self {
        Self { find }
    }

    /// Resolves the tenant id. `None` if the host belongs to no tenant or is missing.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the host is invalid, or when there are two that differ.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        Ok(host_of(head)?.and_then(|host| (self.find)(&host)))
    }
}

impl<F> fmt::Debug for Host<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Returns the normalized host of a request.
///
/// According to [RFC 9112, 3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2), the URI
/// takes precedence over a different `Host`, and clients must send the same in both. A client that
/// sends two hosts may be relying on a proxy to use one and the service the other, so the request
/// is refused.
pub(super) fn host_of(head: &impl RequestHead) -> Result<Option<Cow<'_, str>>, ResolveError> {
    let in_uri = head.authority().map(normalize).transpose()?.flatten();
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

/// The maximum length of a DNS name in text form.
const LONGEST: usize = 253;

/// Strips port and trailing dot and converts to lower case. `None` if it is empty, which is allowed
/// for the header.
pub(super) fn normalize(authority: &str) -> Result<Option<Cow<'_, str>>, ResolveError> {
    if authority.is_empty() {
        return Ok(None);
    }
    let host = without_port(authority)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.len() <= LONGEST && host.split('.').all(is_label),
    };
    match is_host {
        false => Err(ResolveError::Host),
        true if host.bytes().any(|b| b.is_ascii_uppercase()) => {
            Ok(Some(Cow::Owned(host.to_ascii_lowercase())))
        }
        true => Ok(Some(Cow::Borrowed(host))),
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !label.is_empty() && label.bytes().all(allowed)
}

fn without_port(authority: &str) -> Result<&str, ResolveError> {
    let name_end = match authority.strip_prefix('[') {
        Some(address) => address.find(']').ok_or(ResolveError::Host)? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(name_end);
    match port.strip_prefix(':') {
        Some(port) if is_port(port) => Ok(host),
        None if port.is_empty() => Ok(host),
        _ => Err(ResolveError::Host),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
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
            "..",
            "a..",
            "a..b",
            ".a",
            "[]",
            "[::1].",
            "[1.2.3.4]",
            "a:65536",
            "a:+80",
            ":80",
            "user@a",
            "user:pass@a:80",
            "a\\b",
            &long,
        ];
        for text in cases {
            assert_eq!(normalize(text), Err(ResolveError::Host), "{text}");
        }
    }

    fn host(authority: Option<&str>, values: &[&[u8]]) -> Result<Option<String>, ResolveError> {
        let headers: Vec<_> = values.iter().map(|value| ("host", *value)).collect();
        let head = Head { headers: &headers, authority, path: "/" };
        Ok(host_of(&head)?.map(Cow::into_owned))
    }

    #[test]
    fn reads_the_uri_and_the_header() {
        let found = |host: &str| Ok(Some(host.to_owned()));
        assert_eq!(host(None, &[]), Ok(None));
        assert_eq!(host(None, &[b""]), Ok(None));
        assert_eq!(host(None, &[b"a.test:80"]), found("a.test"));
        assert_eq!(host(Some("b.test"), &[]), found("b.test"));
        assert_eq!(host(Some("b.test:80"), &[b""]), found("b.test"));
        assert_eq!(host(Some("b.test"), &[b"B.test.:443"]), found("b.test"));
    }

    #[test]
    fn refuses_hosts_that_contradict_each_other() {
        let contradiction = Err(ResolveError::Contradiction);
        assert_eq!(host(None, &[b"a.test", b"b.test"]), contradiction);
        assert_eq!(host(None, &[b"a.test", b"a.test"]), contradiction);
        assert_eq!(host(Some("b.test"), &[b"a.test"]), contradiction);
        assert_eq!(host(Some("b.test"), &[b"b.test", b"b.test"]), contradiction);
    }

    #[test]
    fn refuses_a_user_in_the_authority() {
        assert_eq!(host(Some("user@b.test"), &[]), Err(ResolveError::Host));
        assert_eq!(host(Some("@b.test"), &[b"b.test"]), Err(ResolveError::Host));
    }

    #[test]
    fn refuses_hosts_that_are_not_ascii() {
        for value in [&b"\xff"[..], "b\u{fc}cher.test".as_bytes()] {
            assert_eq!(host(None, &[value]), Err(ResolveError::Host));
        }
    }
}
