//! An operator acts for other tenants where a hook allows it, and only there.

use crate::{
    adapter::{Adapter, Server},
    client::{Answer, get},
    resolver::Resolver,
    stage::serve_offline,
};

/// Asks with the headers `x-tenant-id`, `x-verified`, `x-act-as-tenant` and `x-user`; empty ones are left out.
async fn act(server: &Server, headers: [&str; 4]) -> Answer {
    let names = ["x-tenant-id", "x-verified", "x-act-as-tenant", "x-user"];
    let mut request = get("/acting/tenant");
    for (name, value) in names.into_iter().zip(headers).filter(|header| !header.1.is_empty()) {
        request = request.header(name, value);
    }
    request.send(server).await
}

/// Also without a tenant of their own; handlers and the response know.
pub async fn operators_switch<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for (headers, body, served) in [
        (["acme", "acme", "globex", "operator"], "globex from acme", "globex"),
        (["", "", "globex", "operator"], "globex from none", "globex"),
        // No switch at all: the hook for members decides.
        (["acme", "acme", "acme", "member"], "acme", "acme"),
        (["acme", "acme", "", "member"], "acme", "acme"),
    ] {
        let answer = act(&server, headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{headers:?}");
        assert_eq!(answer.header("x-served-tenant"), Some(served), "{headers:?}");
    }
}

/// A refusal does not reveal which tenants exist, and an own id has to be the caller's.
pub async fn switches_are_asked_for_first<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for (headers, status, problem) in [
        (["acme", "acme", "globex", "member"], 403, "denied-tenant"),
        (["acme", "acme", "globex", ""], 403, "denied-tenant"),
        (["acme", "acme", "nobody", "member"], 403, "denied-tenant"),
        (["acme", "acme", "frozen", "member"], 403, "denied-tenant"),
        (["acme", "acme", "globex", "down"], 503, "unavailable"),
        // The own tenant is another one than the session's.
        (["globex", "acme", "t1", "operator"], 403, "not-bound"),
        (["globex", "", "t1", "operator"], 403, "not-bound"),
        // What an operator is told.
        (["acme", "acme", "nobody", "operator"], 404, "unknown-tenant"),
        (["acme", "acme", "frozen", "operator"], 403, "suspended-tenant"),
        (["acme", "acme", "a b", "operator"], 400, "malformed-tenant"),
        (["acme", "acme", "acme,globex", "operator"], 400, "malformed-tenant"),
        (["a b", "acme", "globex", "operator"], 400, "malformed-tenant"),
        // The own tenant is required, and the caller is no member of it.
        (["", "acme", "", "operator"], 400, "missing-tenant"),
        (["acme", "acme", "acme", "operator"], 403, "denied-tenant"),
    ] {
        let answer = act(&server, headers).await;
        let told = (answer.status, answer.problem_type());
        assert_eq!(told, (status, problem.to_owned()), "{headers:?}");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
    let two = get("/acting/tenant").tenant("acme").header("x-verified", "acme");
    let two = two.header("x-user", "operator").header("x-act-as-tenant", "globex");
    assert_eq!(two.header("x-act-as-tenant", "t1").send(&server).await.status, 400);
}

/// A middleware without a switch serves the request's own tenant, whatever else the request says.
pub async fn switches_are_off_by_default<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let act = |path| get(path).header("x-act-as-tenant", "globex").header("x-user", "operator");
    assert_eq!(act("/tenant").tenant("acme").send(&server).await.body, "acme");
    assert_eq!(act("/tenant").send(&server).await.status, 400);
}
