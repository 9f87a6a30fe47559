//! Every resolver finds its tenant: what the framework makes of a request is what counts.

use crate::{
    adapter::{Adapter, Server},
    client::{Answer, Request, get},
    resolver::Resolver,
    stage::serve_offline,
};

/// Checks what an app answers: a tenant, or the kind of a problem.
async fn check(server: &Server, cases: impl IntoIterator<Item = (Request, Expected)>) {
    for (request, expected) in cases {
        let shown = format!("{request:?}");
        let answer = request.send(server).await;
        assert_eq!(found(&answer), expected, "{shown}: {answer:?}");
    }
}

/// A body, or the type of a problem with its status.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Body(String),
    Problem(u16, String),
}

fn found(answer: &Answer) -> Expected {
    match answer.status {
        200 => Expected::Body(answer.body.clone()),
        status => Expected::Problem(status, answer.problem_type()),
    }
}

fn body(text: &str) -> Expected {
    Expected::Body(text.to_owned())
}

fn malformed() -> Expected {
    Expected::Problem(400, "malformed-tenant".to_owned())
}

fn missing() -> Expected {
    Expected::Problem(400, "missing-tenant".to_owned())
}

fn unknown() -> Expected {
    Expected::Problem(404, "unknown-tenant".to_owned())
}

/// Once, twice alike, twice unlike, empty, of other bytes than UTF-8, of 10 kB.
pub async fn by_header<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let ask = || get("/tenant");
    check(
        &server,
        [
            (ask().tenant("acme"), body("acme")),
            (ask().header("X-TENANT-ID", "   globex  "), body("globex")),
            (ask().tenant("acme").tenant("acme"), body("acme")),
            (ask().tenant("acme").tenant("globex"), malformed()),
            (ask().tenant("acme").header("X-Tenant-Id", "globex"), malformed()),
            (ask().tenant("acme,globex"), malformed()),
            (ask().tenant("acm\u{e9}"), malformed()),
            (ask().header("x-tenant-id", b"acm\xff"), malformed()),
            (ask().tenant(&"x".repeat(10_000)), malformed()),
            (ask().tenant(""), malformed()),
            (ask(), missing()),
            (ask().header("host", "acme.example.com"), missing()),
        ],
    )
    .await;
}

/// With port, trailing dot and upper case; international; from an absolute target.
pub async fn by_subdomain<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Subdomain).await;
    let ask = |host: &str| get("/tenant").header("host", host);
    let absolute = |target: &str| get(target).header("host", "globex.example.com");
    check(
        &server,
        [
            (ask("acme.example.com"), body("acme")),
            (ask("acme.example.com:3000"), body("acme")),
            (ask("acme.example.com."), body("acme")),
            (ask("ACME.Example.COM.:3000"), body("acme")),
            (absolute("http://globex.example.com/tenant"), body("globex")),
            (absolute("http://globex.example.com:80/tenant"), body("globex")),
            (ask("nobody.example.com"), unknown()),
            // An international name in its ASCII form is a label like any other.
            (ask("xn--bcher-kva.example.com"), unknown()),
            (ask("b\u{fc}cher.example.com"), malformed()),
            (ask("a.acme.example.com"), malformed()),
            (ask("acme.example.com:80x"), malformed()),
            (ask("example.com"), missing()),
            (ask("example.com").header("x-forwarded-host", "acme.example.com"), missing()),
            (ask("acme.example.org"), missing()),
            (ask("acme.example.com.evil.test"), missing()),
        ],
    )
    .await;
}

/// A domain of the tenant's own.
pub async fn by_host<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Host).await;
    let ask = |host: &str| get("/tenant").header("host", host);
    check(
        &server,
        [
            (ask("shop.acme.test"), body("acme")),
            (ask("SHOP.acme.test.:80"), body("acme")),
            (ask("acme.test"), missing()),
            (ask("x.shop.acme.test"), missing()),
            (ask("shop.acme.test:x"), malformed()),
        ],
    )
    .await;
}

/// With the route's own parameter beside it, and with encoded characters.
pub async fn by_path<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Path).await;
    check(
        &server,
        [
            (get("/t/acme/users/7?t=/t/globex"), body("acme 7")),
            (get("/t/globex/users/7"), body("globex 7")),
            (get("/t/nobody/users/7"), unknown()),
            (get("/t/acme%2Fglobex/users/7"), malformed()),
            (get("/t/acme%2fusers/users/7"), malformed()),
            (get("/t/%61cme/users/7"), malformed()),
            (get("/tenant").tenant("acme"), missing()),
        ],
    )
    .await;
}

/// What a middleware outside has verified; a header changes nothing.
pub async fn by_claim<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Claim).await;
    let ask = || get("/tenant").tenant("globex");
    check(
        &server,
        [
            (ask().header("x-verified", "acme"), body("acme")),
            (ask().header("x-verified", "nobody"), unknown()),
            (ask().header("x-verified", "a b"), malformed()),
            (ask(), missing()),
        ],
    )
    .await;
}

/// A closure of the application's, with an error of its own.
pub async fn by_query<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Query).await;
    check(
        &server,
        [
            (get("/tenant?acme"), body("acme")),
            (get("/tenant?a=b"), malformed()),
            (get("/tenant"), missing()),
        ],
    )
    .await;
    let bad = get("/tenant?bad").send(&server).await;
    assert_eq!((bad.status, &bad.problem()["detail"]), (400, &"the query is bad".into()));
}
