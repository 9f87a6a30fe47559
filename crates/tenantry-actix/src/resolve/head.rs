//! The head of an actix request, as the core reads it.

use actix_web::dev::ServiceRequest;
use tenantry::admission::RequestHead;

pub(crate) struct Head<'a>(pub(crate) &'a ServiceRequest);

impl RequestHead for Head<'_> {
    fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.0.headers().get_all(name).map(|value| value.as_bytes())
    }

    fn path(&self) -> &str {
        self.0.head().uri.path()
    }

    fn authority(&self) -> Option<&str> {
        self.0.head().uri.authority().map(|authority| authority.as_str())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        http::{Version, header::HeaderValue},
        test::TestRequest,
    };

    use super::*;

    #[test]
    fn shows_what_is_there_as_it_is() {
        let mut request =
            TestRequest::get().uri("http://user@Acme.test:1/t/a%2Fb?t=/x").version(Version::HTTP_2);
        for value in [&b"a"[..], b"\xff"] {
            let value = HeaderValue::from_bytes(value).unwrap();
            request = request.append_header(("X-Tenant-Id", value));
        }
        let request = request.to_srv_request();
        let head = Head(&request);
        assert_eq!(head.header_values("x-tenant-id").collect::<Vec<_>>(), [&b"a"[..], b"\xff"]);
        assert_eq!(head.header_values("x-other").count(), 0);
        assert_eq!((head.path(), head.authority()), ("/t/a%2Fb", Some("user@Acme.test:1")));
    }

    #[test]
    fn http_1_has_its_host_in_the_header() {
        for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11] {
            let request = TestRequest::get().version(version).insert_header(("host", "acme.test"));
            let request = request.to_srv_request();
            let head = Head(&request);
            assert_eq!(head.authority(), None);
            assert_eq!(head.header_values("host").collect::<Vec<_>>(), [b"acme.test"]);
        }
    }
}
