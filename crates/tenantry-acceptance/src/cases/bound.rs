//! A session or token of one tenant opens no other.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry::{CatalogFn, TenantManager};

use crate::{
    adapter::{Adapter, App, Server},
    client::{Answer, get},
    resolver::Resolver,
    stage::{Stage, serve_offline},
};

/// Asks for a tenant, with the session or token of another, or with none.
async fn ask(server: &Server, path: &str, tenant: &str, caller: Option<&str>) -> Answer {
    let mut request = get(path).tenant(tenant).header("x-user", tenant);
    if let Some(caller) = caller {
        request = request.header("x-verified", caller);
    }
    request.send(server).await
}

fn assert_not_bound(answer: &Answer, tenant: &str) {
    assert_eq!((answer.status, answer.problem_type().as_str()), (403, "not-bound"), "{answer:?}");
    let detail = format!("the caller is not signed in to tenant {tenant}");
    assert_eq!(answer.problem()["detail"], detail);
    assert_eq!(answer.header("retry-after"), None);
}

/// The caller's own tenant is served. Any other is 403, whether it exists or not, and so is a caller of
/// no tenant. The answer does not contain the caller's own tenant.
pub async fn bound_to_one_tenant<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let path = "/bound/name";
    for tenant in ["acme", "globex"] {
        let answer = ask(&stage.server, path, tenant, Some(tenant)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, tenant));
    }
    strangers_are_refused(&stage.server, path).await;
    for (tenant, status) in [("nobody", 404), ("frozen", 403)] {
        let answer = ask(&stage.server, path, tenant, Some(tenant)).await;
        assert_eq!(answer.status, status, "{tenant}");
        assert_ne!(answer.problem_type(), "not-bound");
    }
    // A request without a valid tenant id cannot be compared with the caller's tenant.
    assert_eq!(ask(&stage.server, path, "a b", Some("acme")).await.status, 400);
    let missing = get(path).header("x-verified", "acme").send(&stage.server).await;
    assert_eq!((missing.status, missing.problem_type().as_str()), (400, "missing-tenant"));
    stage.end().await;
}

async fn strangers_are_refused(server: &Server, path: &str) {
    for (tenant, caller) in [
        ("globex", Some("acme")),
        ("acme", Some("globex")),
        ("acme", Some("ACME")),
        ("nobody", Some("acme")),
        ("frozen", Some("acme")),
        ("acme", Some("not an id")),
        ("acme", Some("")),
        ("acme", None),
        ("nobody", None),
        ("frozen", None),
    ] {
        let answer = ask(server, path, tenant, caller).await;
        assert_not_bound(&answer, tenant);
        if let Some(caller @ ("acme" | "globex")) = caller {
            assert!(!answer.body.contains(caller), "{}", answer.body);
        }
    }
}

/// Neither the catalog nor the authorize hook is asked about a tenant that is not the caller's.
pub async fn bound_before_anything_is_asked<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let stranger = |tenant| get("/bound/name").tenant(tenant).header("x-verified", "acme");
    let denied = stranger("acme").send(&stage.server).await;
    assert_eq!((denied.status, denied.problem_type().as_str()), (403, "denied-tenant"));
    assert_not_bound(&stranger("globex").send(&stage.server).await, "globex");
    stage.end().await;
    bound_before_the_catalog_is_asked::<A>().await;
}

async fn bound_before_the_catalog_is_asked<A: Adapter>() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let failing = CatalogFn::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(tenantry::Error::catalog("secret words")))
    });
    let manager = TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing").catalog(failing);
    let manager = manager.build().expect("the configuration is sound");
    let server = A::serve(App::new(manager, Resolver::Header)).await;
    for caller in [Some("globex"), None] {
        assert_not_bound(&ask(&server, "/bound/name", "acme", caller).await, "acme");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the catalog was asked");
    ask(&server, "/bound/name", "acme", Some("acme")).await.assert_unavailable();
    assert!(asked.load(Ordering::Relaxed) > 0);
}

/// The session store is asynchronous, and may be down: 503 without its words.
pub async fn bound_by_a_session_store<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let path = "/bound-by-store/tenant";
    let own = ask(&server, path, "acme", Some("acme")).await;
    assert_eq!((own.status, own.body.as_str()), (200, "acme"));
    for (tenant, caller) in [("acme", Some("globex")), ("acme", None), ("nobody", Some("acme"))] {
        assert_not_bound(&ask(&server, path, tenant, caller).await, tenant);
    }
    for tenant in ["acme", "nobody", "down"] {
        ask(&server, path, tenant, Some("down")).await.assert_unavailable();
    }
}

/// Where the session has not been read yet, nobody passes.
pub async fn bound_outside_of_the_session<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for tenant in ["acme", "globex", "nobody"] {
        for caller in [Some(tenant), Some("acme"), None] {
            let answer = ask(&server, "/bound-outside/tenant", tenant, caller).await;
            assert_not_bound(&answer, tenant);
        }
    }
}

/// Without a tenant id there is nothing to compare, and no handle; with one it is as everywhere.
pub async fn bound_and_optional<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let path = "/bound-optional/tenant";
    for request in [get(path), get(path).header("x-verified", "acme")] {
        assert_eq!(request.send(&server).await.body, "none");
    }
    assert_eq!(ask(&server, path, "acme", Some("acme")).await.body, "acme");
    for (tenant, caller) in [("globex", Some("acme")), ("acme", None), ("nobody", Some("acme"))] {
        assert_not_bound(&ask(&server, path, tenant, caller).await, tenant);
    }
}
