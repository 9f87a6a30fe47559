/// What a resolver may read of a request.
///
/// The body is not among it: it has not arrived when a tenant is looked for.
pub trait RequestHead {
    /// Returns every value of a header, in their order and as they came. The name is in lower case.
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]>;

    /// Returns the path, with nothing decoded and without the query.
    fn path(&self) -> &str;

    /// Returns the host in the request's URI, without user and port: of HTTP/2's `:authority`, or of
    /// HTTP/1's absolute form.
    fn uri_host(&self) -> Option<&str>;

    /// Says whether the URI has the host that counts, even if there is a header `host`.
    fn is_http2_or_newer(&self) -> bool;
}

/// A head that tests put together.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head<'a> {
    pub(super) headers: &'a [(&'a str, &'a [u8])],
    pub(super) path: &'a str,
    pub(super) uri_host: Option<&'a str>,
    pub(super) http2: bool,
}

#[cfg(test)]
impl RequestHead for Head<'_> {
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |header| header.0 == name).map(|header| header.1)
    }

    fn path(&self) -> &str {
        self.path
    }

    fn uri_host(&self) -> Option<&str> {
        self.uri_host
    }

    fn is_http2_or_newer(&self) -> bool {
        self.http2
    }
}
