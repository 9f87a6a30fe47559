//! The head of a request of the crate `http`, as the core reads it.

use http::request::Parts;
use tenantry::admission::RequestHead;

pub(crate) struct Head<'a>(pub(crate) &'a Parts);

impl RequestHead for Head<'_> {
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.headers.get_all(name).iter().map(|value| value.as_bytes())
    }

    fn path(&self) -> &str {
        self.0.uri.path()
    }

    fn authority(&self) -> Option<&str> {
        self.0.uri.authority().map(|authority| authority.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request, Version};

    use super::*;

    #[test]
    fn shows_what_is_there_as_it_is() {
        let request = Request::get("http://user@Acme.test:1/t/a%2Fb?t=/x").version(Version::HTTP_2);
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        for value in [&b"a"[..], b"\xff"] {
            parts.headers.append("X-Tenant-Id", HeaderValue::from_bytes(value).unwrap());
        }
        let head = Head(&parts);
        assert_eq!(head.header_values("x-tenant-id").collect::<Vec<_>>(), [&b"a"[..], b"\xff"]);
        assert_eq!(head.header_values("x-other").count(), 0);
        assert_eq!((head.path(), head.authority()), ("/t/a%2Fb", Some("user@Acme.test:1")));
    }

    #[test]
    fn http_1_has_its_host_in_the_header() {
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11] {
            let request = Request::get("/").version(version).header("host", "acme.test");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let head = Head(&parts);
            assert_eq!(head.authority(), None);
            assert_eq!(head.header_values("host").collect::<Vec<_>>(), [b"acme.test"]);
        }
    }
}
