//! What a handler does in a transaction lasts when it commits, and only then.

use crate::{
    adapter::Adapter,
    client::{Connection, post},
    stage::Stage,
    world::eventually,
};

/// A handler that ends without a commit has changed nothing.
pub async fn commit_alone_lasts<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    let forgotten = post("/forget").tenant("acme").send(&stage.server).await;
    assert_eq!(forgotten.status, 200);
    for (name, status) in [("kept", 201), ("kept", 500)] {
        let name = format!("\"{name}\"");
        let added = post("/users").tenant("acme").json(&name).send(&stage.server).await;
        assert_eq!(added.status, status);
    }
    assert_eq!(stage.users("acme").await, ["acme", "kept"]);
    assert_eq!(stage.users("globex").await, ["globex"]);
    stage.end().await;
}

/// The server goes on, and so does its only connection.
pub async fn panicking_handler<A: Adapter>() {
    let stage = Stage::new::<A>(1).await;
    for _ in 0..3 {
        // The frameworks close the connection without an answer.
        let answer = post("/panic").tenant("acme").open(&stage.server).await.read_to_end().await;
        assert_eq!(answer, "");
        stage.wait_until_all_are_back().await;
        assert_eq!(stage.users("acme").await, ["acme"]);
        assert_eq!(stage.get("/name", "globex").await.body, "globex");
    }
    stage.end().await;
}

/// Sends a request and returns the connection when its statement runs.
async fn begin(stage: &Stage, path: &str) -> Connection {
    let client = post(path).tenant("acme").open(&stage.server).await;
    wait_for_sleepers(stage, 1).await;
    client
}

async fn wait_for_sleepers(stage: &Stage, expected: i64) {
    let mut admin = stage.admin().await;
    eventually(&format!("{expected} statements run"), async || {
        let count = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where (datname = current_database() \
               or starts_with(datname::text, current_database() || '_')) \
             and state = 'active' and pid <> pg_backend_pid() and query like '%pg_sleep%'",
        );
        count.fetch_one(&mut admin).await.is_ok_and(|count: i64| count == expected)
    })
    .await;
}

/// Sends a request, closes its connection in the middle, and waits until nothing is left of it.
///
/// The pool has two connections, so that there is one to cancel what runs on the other.
async fn leave<A: Adapter>(path: &str) {
    let stage = Stage::new::<A>(2).await;
    drop(begin(&stage, path).await);
    wait_for_sleepers(&stage, 0).await;
    stage.wait_until_all_are_back().await;
    assert_eq!(stage.users("acme").await, ["acme"]);
    assert_eq!(stage.get("/name", "globex").await.body, "globex");
    stage.end().await;
}

/// It is rolled back, and its statement given up.
pub async fn client_that_leaves_a_transaction<A: Adapter>() {
    leave::<A>("/slow-tx").await;
}

/// It is given up, and its connection comes back.
pub async fn client_that_leaves_a_statement<A: Adapter>() {
    leave::<A>("/slow").await;
}
