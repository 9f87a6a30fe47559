//! Of two middlewares, the inner one decides.

use crate::{
    adapter::{Adapter, Server},
    client::get,
    resolver::Resolver,
    stage::serve_offline,
};

async fn ask(server: &Server, path: &str, inner: Option<&str>) -> (u16, String) {
    let mut request = get(path).tenant("acme");
    if let Some(inner) = inner {
        request = request.header("x-inner", inner);
    }
    let answer = request.send(server).await;
    (answer.status, answer.body)
}

/// Its tenant is the one that the handler gets, and where it finds none there is none.
pub async fn inner_middleware_wins<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let path = "/nested/tenant";
    assert_eq!(ask(&server, path, Some("globex")).await, (200, "globex".to_owned()));
    assert_eq!(ask(&server, path, None).await.0, 400);
    assert_eq!(ask(&server, path, Some("nobody")).await.0, 404);
    assert_eq!(ask(&server, path, Some("frozen")).await.0, 403);
    // The outer one refuses first.
    let outer = get(path).tenant("nobody").header("x-inner", "globex").send(&server).await;
    assert_eq!(outer.status, 404);
    assert_eq!(get(path).header("x-inner", "globex").send(&server).await.status, 400);
}

/// Nobody gets around the inner middleware by leaving its id out.
pub async fn optional_inner_middleware_takes_the_tenant_away<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let path = "/nested-optional/tenant";
    assert_eq!(ask(&server, path, None).await, (200, "none".to_owned()));
    assert_eq!(ask(&server, path, Some("globex")).await, (200, "globex".to_owned()));
    assert_eq!(ask(&server, path, Some("nobody")).await.0, 404);
}
