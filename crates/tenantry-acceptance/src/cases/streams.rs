//! A response that outlives its handler still reads from its own tenant.

use crate::{adapter::Adapter, client::get, stage::Stage, work::ROWS};

/// Two at once, each of its own tenant from end to end.
pub async fn streaming_body<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let [acme, globex] = ["acme", "globex"].map(|tenant| stage.get("/rows", tenant));
    let (acme, globex) = futures_util::future::join(acme, globex).await;
    for (answer, tenant) in [(acme, "acme"), (globex, "globex")] {
        assert_eq!(answer.status, 200);
        let mut lines = answer.body.lines();
        for n in 1..=ROWS {
            assert_eq!(lines.next(), Some(format!("{tenant} {n}").as_str()));
        }
        assert_eq!(lines.next(), None);
    }
    stage.end().await;
}

/// The connection, which is in the middle of its rows, comes back.
pub async fn client_that_leaves_a_stream<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    let mut client = get("/rows").tenant("acme").open(&stage.server).await;
    client.wait_for("acme 1\n", 1).await;
    drop(client);
    stage.wait_until_all_are_back().await;
    assert_eq!(stage.get("/name", "globex").await.body, "globex");
    stage.end().await;
}

/// Several streams of events take turns on one connection, each event of its own tenant; other
/// requests come in between.
pub async fn events_outlive_their_handler<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    let mut acme = get("/events").tenant("acme").open(&stage.server).await;
    let mut globex = get("/events").tenant("globex").open(&stage.server).await;
    for events in [5, 10] {
        let told = acme.wait_for("data: acme\n\n", events).await;
        assert!(told.contains("content-type: text/event-stream"), "{told}");
        assert!(!told.contains("globex"), "{told}");
        assert!(!globex.wait_for("data: globex\n\n", events).await.contains("acme"));
        assert_eq!(stage.get("/name", "t1").await.body, "t1");
    }
    drop(acme);
    globex.wait_for("data: globex\n\n", 15).await;
    drop(globex);
    stage.end().await;
}

/// The handler, and what is read after it has returned; requests side by side keep apart.
pub async fn streams_have_their_tenant_in_scope<A: Adapter>() {
    let stage = Stage::new::<A>(2).await;
    let asked =
        (0..8).map(|n| stage.get("/context/names", if n % 2 == 0 { "acme" } else { "globex" }));
    for (n, answer) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        let name = if n % 2 == 0 { "acme" } else { "globex" };
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, format!("{name} {name} {name} {name}"));
    }
    // Without a tenant there is no scope, and nothing of the requests before.
    assert_eq!(get("/context-optional/open").send(&stage.server).await.body, "open");
    assert_eq!(stage.get("/context-optional/open", "acme").await.body, "");
    // A refusal goes through the inner middleware's body type.
    assert_eq!(stage.get("/context/names", "nobody").await.status, 404);
    stage.end().await;
}
