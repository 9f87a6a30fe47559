use super::{RequestHead, ResolveError, host::host_of, path::check_encoding};

/// Validates a request regardless of where its tenant is read from. An adapter calls it first.
///
/// Proxies, frameworks and routers interpret such requests differently, so one of them could admit
/// a request that another has refused:
///
/// | malformed | why |
/// |---|---|
/// | two `Host` headers, even if identical; an invalid `Host` | [RFC 9112, 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2) |
/// | a host in the URI (HTTP/2's `:authority`, HTTP/1's absolute form) that differs from `Host` | [RFC 9113, 8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1); [RFC 9112, 3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2) ignores the `Host`, but a proxy may not have |
/// | user information in the URI | RFC 9113, 8.3.1, and [RFC 9110, 4.2.4](https://www.rfc-editor.org/rfc/rfc9110#section-4.2.4) |
/// | a host with an empty label, such as one with two trailing dots; a port above 65535 | [RFC 1035, 2.3.1](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.1) |
/// | a path in which a letter, a digit, `-`, `.` or `_` is percent-encoded | [RFC 3986, 6.2.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.2): actix decodes before it routes, axum does not |
///
/// A request without any host passes: HTTP/1.0 and tests send such requests.
///
/// # Errors
///
/// [`ResolveError`], whose message may be sent to the client.
pub fn check_head(head: &impl RequestHead) -> Result<(), ResolveError> {
    host_of(head)?;
    check_encoding(head.path())
}

#[cfg(test)]
mod tests {
    use super::{super::head::Head, *};

    #[test]
    fn looks_at_host_and_path() {
        let check = |path, values: &[&'static str]| {
            let headers: Vec<_> = values.iter().map(|value| ("host", value.as_bytes())).collect();
            check_head(&Head { headers: &headers, path, ..Head::default() })
        };
        assert_eq!(check("/a%20b", &["acme.test"]), Ok(()));
        assert_eq!(check("/", &[]), Ok(()));
        assert_eq!(check("/", &["acme.test", "acme.test"]), Err(ResolveError::Contradiction));
        assert_eq!(check("/", &["acme.test.."]), Err(ResolveError::Host));
        assert_eq!(check("/%77ho", &["acme.test"]), Err(ResolveError::Path));
    }
}
