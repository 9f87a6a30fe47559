/// The parts of a request that a resolver can read.
///
/// The body is not included: it has not arrived when the tenant is resolved.
pub trait RequestHead {
    /// Returns every value of a header, in order and verbatim. The name is in lower case.
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]>;

    /// Returns the path, not decoded and without the query.
    fn path(&self) -> &str;

    /// Returns the authority in the request's URI verbatim, including user and port: HTTP/2's
    /// `:authority`, or that of HTTP/1's absolute form.
    fn authority(&self) -> Option<&str>;
}

/// A request head for tests.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head<'a> {
    pub(super) headers: &'a [(&'a str, &'a [u8])],
    pub(super) path: &'a str,
    pub(super) authority: Option<&'a str>,
}

#[cfg(test)]
impl RequestHead for Head<'_> {
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |header| header.0 == name).map(|header| header.1)
    }

    fn path(&self) -> &str {
        self.path
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }
}
