//! The shared schema needs no tenant.

use crate::{
    adapter::{Adapter, Server},
    client::{Answer, get},
    stage::Stage,
};

async fn ask(server: &Server, path: &str, tenant: Option<&str>) -> Answer {
    let request = get(path);
    match tenant {
        Some(tenant) => request.tenant(tenant).send(server).await,
        None => request.send(server).await,
    }
}

/// It is there with a tenant, without one, and outside of every middleware; a middleware refuses a request
/// without a tenant all the same.
pub async fn shared_schema<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    for (path, tenant) in [
        ("/plan", Some("acme")),
        ("/optional/plan", Some("acme")),
        ("/optional/plan", None),
        ("/managed/plan", None),
        ("/managed/plan", Some("nobody")),
    ] {
        let answer = ask(&stage.server, path, tenant).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "free"), "{path}, {tenant:?}");
    }
    assert_eq!(ask(&stage.server, "/plan", None).await.status, 400);
    assert_eq!(ask(&stage.server, "/optional/plan", Some("nobody")).await.status, 404);
    // What is missing is told to the log alone.
    let outside = ask(&stage.server, "/outside/plan", Some("acme")).await;
    assert_eq!(outside.status, 500);
    outside.problem();
    for word in ["shared", "manager", "layer"] {
        assert!(!outside.body.to_lowercase().contains(word), "{}", outside.body);
    }
    stage.end().await;
}
