//! Requests that proxies, frameworks and routers take in different ways are refused alike.

use crate::{
    adapter::{Adapter, Server},
    client::{Http2, Request, get},
    resolver::Resolver,
    stage::serve_offline,
};

/// Every way to find a tenant whose request is otherwise that of `acme`.
const RESOLVERS: [(Resolver, &str, &str); 4] = [
    (Resolver::Header, "x", "/tenant"),
    (Resolver::Subdomain, "acme.example.com", "/tenant"),
    (Resolver::Host, "shop.acme.test", "/tenant"),
    (Resolver::Path, "x", "/t/acme/users/7"),
];

async fn status(server: &Server, request: Request) -> u16 {
    let shown = format!("{request:?}");
    let answer = request.tenant("acme").send(server).await;
    assert!(answer.status == 400 || answer.body.starts_with("acme"), "{shown}: {answer:?}");
    answer.status
}

/// Two `Host` headers, be they alike; and an absolute target beside another `Host`: whichever a proxy
/// went by, the service must not go by the other.
pub async fn one_host<A: Adapter>() {
    for (resolver, host, path) in RESOLVERS {
        let server = serve_offline::<A>(resolver).await;
        let absolute = format!("http://{host}{path}");
        let ask = |target: &str, hosts: &[&str]| {
            hosts.iter().fold(get(target), |request, host| request.header("host", *host))
        };
        for (request, expected) in [
            (ask(path, &[host]), 200),
            (ask(&absolute, &[host]), 200),
            (ask(&absolute, &[&format!("{}.:80", host.to_uppercase())]), 200),
            (ask(path, &[host, host]), 400),
            (ask(path, &[host, "globex.example.com"]), 400),
            (ask(&absolute, &[host, host]), 400),
            (ask(&absolute, &["globex.example.com"]), 400),
            (ask(&format!("http://globex.example.com{path}"), &[host]), 400),
        ] {
            let shown = format!("{resolver:?} {request:?}");
            assert_eq!(status(&server, request).await, expected, "{shown}");
        }
    }
}

/// A target with a user, as in `http://acme@globex.example.com/`.
pub async fn no_user_in_the_target<A: Adapter>() {
    for (resolver, host, path) in RESOLVERS {
        let server = serve_offline::<A>(resolver).await;
        for user in ["user", "user:password", "acme.example.com", ""] {
            let request = get(&format!("http://{user}@{host}{path}")).header("host", host);
            assert_eq!(status(&server, request).await, 400, "{resolver:?} {user}");
        }
    }
}

/// A second trailing dot, and what else is no host.
pub async fn no_empty_label<A: Adapter>() {
    let not_hosts =
        ["acme.example.com..", "acme..example.com", ".acme.example.com", ".", "[]", "a,b"];
    let not_ports = ["acme.example.com:x", "acme.example.com:80:80", "acme.example.com:65536"];
    for (resolver, _, path) in RESOLVERS {
        let server = serve_offline::<A>(resolver).await;
        for host in not_hosts.iter().chain(&not_ports) {
            let request = get(path).header("host", host);
            assert_eq!(status(&server, request).await, 400, "{resolver:?} {host}");
        }
    }
    // What is a host and nobody's is no tenant.
    let server = serve_offline::<A>(Resolver::Subdomain).await;
    for host in ["", "[::1]:80", "127.0.0.1", "acme.example.org"] {
        let answer = get("/tenant").header("host", host).send(&server).await;
        assert_eq!(
            (answer.status, answer.problem_type().as_str()),
            (400, "missing-tenant"),
            "{host}"
        );
    }
}

/// A user in `:authority`, and another `host` beside it.
pub async fn http2_authority<A: Adapter>() {
    for (resolver, host, path) in RESOLVERS {
        let server = serve_offline::<A>(resolver).await;
        let client = Http2::connect(&server).await;
        for (authority, header, expected) in [
            (host.to_owned(), None, 200),
            (format!("{}.:443", host.to_uppercase()), None, 200),
            (host.to_owned(), Some(host), 200),
            (format!("user@{host}"), None, 400),
            (format!("user:password@{host}"), Some(host), 400),
            (host.to_owned(), Some("globex.example.com"), 400),
            ("globex.example.com".to_owned(), Some(host), 400),
            (format!("{host}.."), None, 400),
        ] {
            let (status, body) = client.get(&authority, path, header).await;
            assert_eq!(status, expected, "{resolver:?} {authority} {header:?}: {body}");
            assert!(status == 400 || body.starts_with("acme"), "{body}");
        }
    }
}

/// A path that a router may decode, or whose slashes it may merge, before it looks for a route: where
/// one does and another does not, the same request would mean two things. A router that does not may
/// have said 404 before the middleware is asked.
pub async fn path_in_normal_form<A: Adapter>() {
    let refused = async |server: &Server, request: Request| {
        let shown = format!("{request:?}");
        let answer = request.send(server).await;
        match answer.status {
            400 => assert_eq!(answer.problem_type(), "malformed-tenant", "{shown}"),
            status => assert_eq!(status, 404, "{shown}: {answer:?}"),
        }
    };
    let server = serve_offline::<A>(Resolver::Header).await;
    for path in ["/%74enant", "/ten%61nt", "/%2e%2e/tenant", "/%2E/tenant", "/fail/%6eot"] {
        refused(&server, get(path).tenant("acme")).await;
    }
    let server = serve_offline::<A>(Resolver::Path).await;
    for path in [
        "/%74/acme/users/7",
        "/t/%61cme/users/7",
        "/t/acme%2Fusers/7",
        "/t%2Facme/users/7",
        "//t/acme/users/7",
        "/t//acme/users/7",
        "/t/./acme/users/7",
        "/t/../t/acme/users/7",
        "/t/acme;x/users/7",
    ] {
        refused(&server, get(path)).await;
    }
}
