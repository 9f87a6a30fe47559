//! No connection waits for a body: whatever a client does with its own, others are served.

use std::time::Duration;

use crate::{
    adapter::Adapter,
    client::{Connection, Http2, post},
    stage::Stage,
};

/// The routes that read a body and change something: by an extractor, and in the handler.
const ROUTES: [&str; 2] = ["/users", "/raw"];

const HALF: &str = "\"ne";
const OTHER_HALF: &str = "w\"";

/// Sends the first half of a body when the server has begun to ask for it.
async fn send_half(stage: &Stage, path: &str, tenant: &str) -> Connection {
    let length = (HALF.len() + OTHER_HALF.len()).to_string();
    let request = post(path).tenant(tenant).header("expect", "100-continue");
    let mut client = request.json_of_length(&length, "").open(&stage.server).await;
    client.wait_for("100 Continue", 1).await;
    client.write(HALF.as_bytes()).await;
    client
}

/// Starts nine clients of one tenant, and one of each of nine others.
async fn send_halves(stage: &Stage, path: &str) -> Vec<Connection> {
    let mut clients = Vec::new();
    for n in 1..=9 {
        clients.push(send_half(stage, path, &format!("t{n}")).await);
        clients.push(send_half(stage, path, "acme").await);
    }
    clients
}

/// Sends the other halves, and returns how many names were created.
async fn complete(clients: Vec<Connection>) -> usize {
    let mut created = 0;
    for mut client in clients {
        client.write(OTHER_HALF.as_bytes()).await;
        created += client.read_to_end().await.matches("HTTP/1.1 201").count();
    }
    created
}

/// Nine clients of one tenant, and of each way to send, keep theirs back for as long as they like. The
/// tenant itself and others are served by two connections meanwhile, and the nine when they go on.
pub async fn half_sent_bodies_hold_no_connection<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        builder.max_connections(2).acquire_timeout(Duration::from_secs(2))
    })
    .await;
    for path in ROUTES {
        let slow = send_halves(&stage, path).await;
        for _ in 0..10 {
            for tenant in ["acme", "globex", "t1", "t20"] {
                let answer = stage.get("/own-name", tenant).await;
                assert_eq!(answer.status, 200, "{path} {tenant}: {answer:?}");
            }
        }
        stage.wait_until_all_are_back().await;
        assert_eq!(complete(slow).await, 10, "one for each tenant: names are unique");
        let name = if path == "/users" { "new" } else { "half done" };
        for tenant in ["acme", "t1", "t9"] {
            assert!(stage.users(tenant).await.iter().any(|user| user == name), "{path} {tenant}");
        }
    }
    stage.end().await;
}

/// The same over HTTP/2, where a request without a length may have a body and mostly has none.
pub async fn half_sent_bodies_over_http2<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        builder.max_connections(2).acquire_timeout(Duration::from_secs(2))
    })
    .await;
    let client = Http2::connect(&stage.server).await;
    for path in ROUTES {
        let mut slow = Vec::new();
        for n in 1..=9 {
            slow.push(client.post_half(path, &format!("t{n}"), HALF).await);
        }
        for _ in 0..10 {
            assert_eq!(client.get("x", "/own-name", None).await, (200, "acme:acme".to_owned()));
        }
        stage.wait_until_all_are_back().await;
        for half in slow {
            assert_eq!(half.send_rest(OTHER_HALF).await.0, 201, "{path}");
        }
    }
    stage.end().await;
}

/// The client is gone before its body is: nothing has begun.
pub async fn body_that_ends_too_early<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    for path in ROUTES {
        let client = send_half(&stage, path, "acme").await;
        drop(client);
        assert_eq!(stage.get("/own-name", "globex").await.body, "globex:globex");
        stage.wait_until_all_are_back().await;
        assert_eq!(stage.users("acme").await, ["acme"], "{path}");
    }
    stage.end().await;
}

/// 413, whether the length is known before or not, and whether an extractor or the handler reads.
pub async fn body_too_large<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    let body = format!("\"{}\"", "x".repeat(5_000));
    for path in ROUTES {
        let request = post(path).tenant("acme");
        for request in [request.clone().json(&body), request.chunked_json(&body)] {
            assert_eq!(request.send(&stage.server).await.status, 413, "{path}");
            assert_eq!(stage.users("acme").await, ["acme"], "{path}");
        }
    }
    let fits = post("/raw").tenant("acme").json("\"x\"").send(&stage.server).await;
    assert_eq!(fits.status, 201);
    assert_eq!(stage.users("acme").await, ["acme", "half done"]);
    stage.end().await;
}
