//! What a client is told when its request is refused.

use crate::{
    adapter::Adapter,
    client::{Request, get},
    resolver::Resolver,
    stage::{Stage, serve_offline},
};

/// 400, 403 and 404, as problem documents. No handler runs and no connection is taken.
pub async fn names_what_is_wrong_with_the_tenant<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let reserved = "tenant id is a name that PostgreSQL reserves";
    for (tenant, status, problem, detail) in [
        ("nobody", 404, "unknown-tenant", "tenant nobody does not exist"),
        ("ACME", 404, "unknown-tenant", "tenant ACME does not exist"),
        ("frozen", 403, "suspended-tenant", "tenant frozen is suspended"),
        ("", 400, "malformed-tenant", "tenant id is empty"),
        ("public", 400, "malformed-tenant", reserved),
        ("pg_temp", 400, "malformed-tenant", reserved),
    ] {
        for path in ["/name", "/own-name"] {
            let answer = stage.get(path, tenant).await;
            assert_eq!(answer.status, status, "{path} {tenant}");
            assert_eq!(answer.problem_type(), problem);
            assert_eq!(answer.problem()["detail"], detail);
            assert_eq!(answer.header("retry-after"), None);
        }
    }
    let missing = get("/name").send(&stage.server).await;
    assert_eq!((missing.status, missing.problem_type().as_str()), (400, "missing-tenant"));
    assert_eq!(stage.manager.snapshot().total, 0, "a connection was taken");
    stage.end().await;
}

/// What was sent is not in the answer.
pub async fn repeats_nothing_hostile<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let script = b"<script>alert(1)</script>";
    let quote = b"acme\"; drop schema public; --";
    let bytes = b"\xff\xfe\xfd";
    let long = [b'x'; 10_000];
    for hostile in [&script[..], quote, bytes, &long] {
        let answer = get("/tenant").header("x-tenant-id", hostile).send(&server).await;
        assert_eq!((answer.status, answer.problem_type().as_str()), (400, "malformed-tenant"));
        assert!(answer.body.len() < 300, "{}", answer.body);
        for echo in ["script", "drop", "xxx"] {
            assert!(!answer.body.contains(echo), "{}", answer.body);
        }
    }
}

/// A hook that asks the tenant's own table.
pub async fn lets_members_in<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    for (tenant, user, status) in [
        ("acme", Some("acme"), 200),
        ("globex", Some("globex"), 200),
        ("globex", Some("acme"), 403),
        ("acme", Some("globex"), 403),
        ("acme", None, 403),
        // Nobody is asked about who is not there.
        ("nobody", Some("acme"), 404),
        ("frozen", Some("frozen"), 403),
    ] {
        let request = get("/members/name").tenant(tenant);
        let request =
            user.into_iter().fold(request, |request, user| request.header("x-user", user));
        let answer = request.send(&stage.server).await;
        assert_eq!(answer.status, status, "{tenant} {user:?}");
        match status {
            200 => assert_eq!(answer.body, tenant),
            403 if tenant != "frozen" => assert_eq!(answer.problem_type(), "denied-tenant"),
            _ => drop(answer.problem()),
        }
    }
    stage.end().await;
}

/// Who may not use a tenant hears the same of it whether it is suspended or not; who may, hears that it
/// is.
pub async fn suspension_is_no_strangers_business<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let ask = async |path: &str, tenant: &str, user: &str| {
        let request = get(path).tenant(tenant).header("x-user", user);
        let answer = request.header("x-verified", tenant).send(&stage.server).await;
        let problem = if answer.status == 200 { String::new() } else { answer.problem_type() };
        (answer.status, problem, answer.body.replace(tenant, "?"))
    };
    for path in ["/guests/tenant", "/bound/name"] {
        let active = ask(path, "globex", "acme").await;
        assert_eq!((active.0, active.1.as_str()), (403, "denied-tenant"), "{path}");
        assert_eq!(ask(path, "frozen", "acme").await, active, "{path}");
        assert_eq!(ask(path, "globex", "globex").await.0, 200, "{path}");
        assert_eq!(ask(path, "nobody", "nobody").await.0, 404, "{path}");
    }
    let own = ask("/guests/tenant", "frozen", "frozen").await;
    assert_eq!((own.0, own.1.as_str()), (403, "suspended-tenant"));
    // A hook that asks the tenant's own database lets nobody in: nothing runs on that of a suspended one.
    let own = ask("/bound/name", "frozen", "frozen").await;
    assert_eq!((own.0, own.1.as_str()), (403, "denied-tenant"));
    stage.end().await;
}

/// The middleware is the same for every method, and an answer to `HEAD` has no body.
pub async fn head_and_options<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for (tenant, status) in [("acme", 200), ("nobody", 404), ("frozen", 403), ("a b", 400)] {
        let head = Request::new("HEAD", "/tenant").tenant(tenant).send(&server).await;
        let got = get("/tenant").tenant(tenant).send(&server).await;
        assert_eq!((head.status, got.status), (status, status), "{tenant}");
        for name in ["content-length", "content-type"] {
            assert!(head.header(name).is_some(), "{name}: {head:?}");
            assert_eq!(head.header(name), got.header(name));
        }
    }
    // A preflight has no tenant, so what answers it has to be outside.
    let preflight = Request::new("OPTIONS", "/tenant").send(&server).await;
    assert_eq!((preflight.status, preflight.problem_type().as_str()), (400, "missing-tenant"));
    for (tenant, status) in [("nobody", 404), ("frozen", 403)] {
        let refused = Request::new("OPTIONS", "/tenant").tenant(tenant).send(&server).await;
        assert_eq!(refused.status, status, "{tenant}");
    }
}

/// Where a tenant is optional, none is fine and a wrong one is not.
pub async fn optional_tenant<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    assert_eq!(get("/optional/name").send(&stage.server).await.body, "none");
    assert_eq!(stage.get("/optional/name", "acme").await.body, "acme");
    for (tenant, status) in [("x,y", 400), ("", 400), ("nobody", 404), ("frozen", 403)] {
        assert_eq!(stage.get("/optional/name", tenant).await.status, status, "{tenant}");
    }
    stage.end().await;
}
