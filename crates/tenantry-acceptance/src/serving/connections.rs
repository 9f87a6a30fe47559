//! What becomes of connections when the server stops.

use tokio::time::timeout;

use super::{
    Serves,
    running::{AMPLE, Running, SHORT, SLACK},
    work::no_large_is_left,
};

/// One that has sent nothing, and one between two requests.
pub async fn idle_connections_end_at_once<S: Serves>() {
    let server = Running::start::<S>(AMPLE);
    let mut silent = server.connect().await;
    let mut idle = server.send("GET /quick HTTP/1.1").await;
    idle.wait_for("quick", 1).await;
    let stopping = server.stop();
    assert_eq!(silent.until_closed().await, "");
    assert!(idle.until_closed().await.ends_with("quick"));
    let report = stopping.drained().await;
    assert!(matches!(report.cut, None | Some(0)), "{report}");
}

/// In full, and then their connections are closed.
pub async fn requests_under_way_are_answered<S: Serves>() {
    let server = Running::start::<S>(AMPLE);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.send("GET /late HTTP/1.1").await;
        client.wait_for("begun", 1).await;
        clients.push(client);
    }
    let stopping = server.stop();
    for mut client in clients {
        let text = client.until_closed().await;
        assert!(text.contains("and ended") && text.ends_with("0\r\n\r\n"), "{text}");
    }
    stopping.drained().await;
}

/// Frameworks close such connections at once or at the deadline. On a new connection, and between two requests.
pub async fn half_sent_heads_hold_no_server<S: Serves>() {
    let server = Running::start::<S>(SHORT);
    let half = b"GET /quick HTTP/1.1\r\nx-half: ";
    let mut first = server.connect().await;
    first.write(half).await;
    let mut second = server.send("GET /quick HTTP/1.1").await;
    second.wait_for("quick", 1).await;
    second.write(half).await;
    // By the time that other requests are answered, the server has read the half heads.
    for _ in 0..3 {
        server.send("GET /quick HTTP/1.1").await.wait_for("quick", 1).await;
    }
    let report = server.stop().report().await;
    assert!(report.drain < SHORT + SLACK, "{report}");
    assert!(!first.until_closed().await.contains("200 OK"));
    assert_eq!(second.until_closed().await.matches("200 OK").count(), 1);
}

/// Their handlers wait for the rest.
pub async fn half_sent_bodies_are_cut<S: Serves>() {
    let server = Running::start::<S>(SHORT);
    let client = server.half_a_body().await;
    let text = server.stop().cut(client).await;
    assert!(!text.contains("200 OK"), "{text}");
}

/// Within the drain time.
pub async fn half_sent_bodies_can_be_completed<S: Serves>() {
    let server = Running::start::<S>(AMPLE);
    let mut client = server.half_a_body().await;
    let stopping = server.stop();
    client.write(b"seven b").await;
    let text = client.until_closed().await;
    assert!(text.contains("200 OK") && text.ends_with("10"), "{text}");
    stopping.drained().await;
}

/// The client reads nothing, and the response fits into no buffer.
pub async fn slow_readers_are_cut<S: Serves>() {
    let server = Running::start::<S>(SHORT);
    let mut client = server.send("GET /large HTTP/1.1").await;
    client.wait_for("200 OK", 1).await;
    server.stop().cut_report().await;
    // actix's workers end after the server has, so a client that reads before that may get more.
    timeout(SLACK, no_large_is_left()).await.expect("the server lets go of the response");
    let text = client.until_closed().await;
    assert!(!text.ends_with("0\r\n\r\n"), "all of it arrived");
}

/// A handler has not answered yet, and its client has sent more: another request, or what is none. hyper does not look
/// at such a connection, so the handler has to notice by itself that it is cut.
pub async fn requests_that_more_waits_behind_are_cut<S: Serves>() {
    let request = "GET /never HTTP/1.1\r\nhost: x\r\n\r\n";
    for more in [request, "\r\n"] {
        let server = Running::start::<S>(SHORT);
        let mut client = server.connect().await;
        client.write([request, more].concat().as_bytes()).await;
        server.wait_until_begun().await;
        server.stop().cut_report().await;
        let text = client.until_closed().await;
        assert!(!text.contains("200 OK"), "{more:?}: {text}");
    }
}

/// The response has begun, and is silent; its client has sent more: another request, stray bytes, or an unread body.
pub async fn silent_streams_that_more_waits_behind_are_cut<S: Serves>() {
    let body = "x".repeat(1 << 20);
    for (header, more) in [
        ("", "GET /quick HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("", "\r\n"),
        ("content-length: 1048576\r\n", &*body),
    ] {
        let server = Running::start::<S>(SHORT);
        let mut client = server.connect().await;
        let head = format!("GET /silent HTTP/1.1\r\nhost: x\r\n{header}\r\n");
        client.write([&*head, more].concat().as_bytes()).await;
        client.wait_for("begun", 1).await;
        let text = server.stop().cut(client).await;
        assert!(!text.ends_with("0\r\n\r\n") && !text.contains("quick"), "{header}: {text}");
    }
}

/// They say good-bye before the deadline.
pub async fn streams_that_watch_closing_end<S: Serves>() {
    says_good_bye::<S>("GET /events HTTP/1.1").await;
}

/// In the middle of the response.
pub async fn endless_streams_are_cut<S: Serves>() {
    is_cut_between_events::<S>("GET /endless HTTP/1.1").await;
}

/// As a websocket has it.
pub async fn upgrades_that_watch_closing_end<S: Serves>() {
    says_good_bye::<S>(&upgrade("/upgrade/events")).await;
}

/// The framework does not know of them any more.
pub async fn endless_upgrades_are_cut<S: Serves>() {
    is_cut_between_events::<S>(&upgrade("/upgrade/endless")).await;
}

fn upgrade(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nconnection: upgrade\r\nupgrade: events")
}

async fn says_good_bye<S: Serves>(request: &str) {
    let server = Running::start::<S>(AMPLE);
    let mut client = server.send(request).await;
    client.wait_for("data: tick", 3).await;
    let stopping = server.stop();
    let text = client.until_closed().await;
    assert!(text.contains("data: bye\n\n"), "{text}");
    stopping.drained().await;
}

async fn is_cut_between_events<S: Serves>(request: &str) {
    let server = Running::start::<S>(SHORT);
    let mut client = server.send(request).await;
    client.wait_for("data: tick", 3).await;
    let text = server.stop().cut(client).await;
    assert!(!text.ends_with("0\r\n\r\n"), "it ended in order: {text}");
}
