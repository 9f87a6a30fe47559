//! What a client is told when something goes wrong: never in the database's words.

use std::time::Duration;

use tenantry::{CatalogFn, TenantManager};

use crate::{
    adapter::{Adapter, App},
    client::{get, post},
    resolver::Resolver,
    stage::{Stage, offline, serve_offline},
};

/// All of them are the same 500.
pub async fn failing_statements_are_opaque<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let opaque = r#"{"detail":"the request could not be served","status":500,"title":"Internal Server Error","type":"about:blank"}"#;
    for how in ["no-table", "duplicate", "raised", "wrong-type"] {
        let answer = stage.get(&format!("/fail/{how}"), "acme").await;
        assert_eq!(answer.status, 500, "{how}");
        answer.problem();
        assert_eq!(answer.body, opaque);
    }
    assert_eq!(stage.get("/fail/not", "acme").await.status, 200);
    stage.end().await;
}

/// An application that has opted in answers with a status for each reason, and still without the words of
/// the database.
pub async fn refused_statements_can_be_mapped<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    for (how, status, name) in [
        ("no-row", 404, "row-not-found"),
        ("duplicate", 409, "conflict"),
        ("check", 422, "invalid-data"),
        ("foreign-key", 422, "invalid-data"),
        ("serialization", 503, "unavailable"),
        ("deadlock", 503, "unavailable"),
    ] {
        let answer = stage.get(&format!("/mapped/{how}"), "acme").await;
        assert_eq!((answer.status, answer.problem_type()), (status, name.to_owned()), "{how}");
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"), "{how}");
        for word in ["secret", "users", "acme"] {
            assert!(!answer.body.contains(word), "{}", answer.body);
        }
        // Without opting in, it is a 500.
        assert_eq!(stage.get(&format!("/fail/{how}"), "acme").await.status, 500, "{how}");
    }
    assert_eq!(stage.get("/mapped/no-table", "acme").await.status, 500);
    stage.end().await;
}

/// An error of the application around one of the library keeps its response.
pub async fn keep_their_status_under_an_error_of_the_application<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        builder.max_connections(1).acquire_timeout(Duration::from_millis(300))
    })
    .await;
    let answer = stage.get("/wrapped/duplicate", "acme").await;
    assert_eq!(answer.status, 500);
    answer.problem();
    assert!(!answer.body.contains("users"), "{}", answer.body);
    let lease = stage.manager.tenant("acme").await.expect("there is such a tenant");
    let lease = lease.acquire().await.expect("the database is running");
    stage.get("/wrapped/raised", "globex").await.assert_unavailable();
    drop(lease);
    stage.end().await;
}

/// An application's own status is a problem document as well.
pub async fn a_status_is_a_problem<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    let answer = get("/status/402").tenant("acme").send(&server).await;
    assert_eq!(answer.status, 402);
    let document = r#"{"status":402,"title":"Payment Required","type":"about:blank"}"#;
    assert_eq!(answer.body, document);
}

/// 503 while others have all connections, for statements and for transactions.
pub async fn no_connection_in_time<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        builder.max_connections(1).acquire_timeout(Duration::from_millis(300))
    })
    .await;
    let lease = stage.manager.tenant("acme").await.expect("there is such a tenant");
    let lease = lease.acquire().await.expect("the database is running");
    for path in ["/name", "/own-name", "/members/name"] {
        stage.get(path, "globex").await.assert_unavailable();
    }
    // Without a statement there is nothing to wait for.
    assert_eq!(stage.get("/tenant", "globex").await.body, "globex");
    drop(lease);
    assert_eq!(stage.get("/name", "globex").await.body, "globex");
    stage.end().await;
}

/// 503 without the address that could not be reached.
pub async fn no_server<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for path in ["/name", "/own-name"] {
        get(path).tenant("acme").send(&server).await.assert_unavailable();
    }
    post("/users").tenant("acme").json("\"x\"").send(&server).await.assert_unavailable();
}

/// 503 for every request.
pub async fn closed_manager<A: Adapter>() {
    let manager = offline();
    let server = A::serve(App::new(manager.clone(), Resolver::Header)).await;
    assert_eq!(get("/tenant").tenant("acme").send(&server).await.status, 200);
    manager.close().await;
    for path in ["/tenant", "/name", "/own-name"] {
        get(path).tenant("acme").send(&server).await.assert_unavailable();
    }
}

/// 503 without the words of the catalog.
pub async fn failing_catalog<A: Adapter>() {
    let manager = TenantManager::builder("postgres://nobody@127.0.0.1:1/nothing")
        .catalog(CatalogFn::new(async |_| Err(tenantry::Error::catalog("secret words"))))
        .build()
        .expect("the configuration is sound");
    let server = A::serve(App::new(manager, Resolver::Header)).await;
    get("/tenant").tenant("acme").send(&server).await.assert_unavailable();
}

/// A plain 500 that says nothing to the client; what the log says is for each adapter's own tests.
pub async fn missing_middleware<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for path in ["/outside/db", "/outside/tx", "/outside/tenant"] {
        let answer = get(path).tenant("acme").send(&server).await;
        assert_eq!(answer.status, 500, "{path}");
        answer.problem();
        for word in ["layer", "middleware", "tenant"] {
            assert!(!answer.body.to_lowercase().contains(word), "{}", answer.body);
        }
    }
    for tenant in ["acme", "nobody"] {
        let open = get("/outside/open").tenant(tenant).send(&server).await;
        assert_eq!((open.status, open.body.as_str()), (200, "open"));
    }
}
