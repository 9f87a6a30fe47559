//! Runs the program with many streams at once.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use example_support::testing::{Program, Server, wait_until, works_as_shown};
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client, client::IntoClientRequest as _, http::HeaderValue,
};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_streams"))
}

/// A stream of server-sent events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(server: &Server, tenant: &str, more: &str) -> Self {
        let mut stream = connect(server);
        let request =
            format!("GET /messages HTTP/1.0\r\nhost: x\r\nx-tenant-id: {tenant}\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut events = Self(BufReader::new(stream));
        assert!(events.line().contains("200 OK"));
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the server goes on or ends the stream");
        line
    }

    /// Returns the next message, or nothing at the end.
    fn next(&mut self) -> Option<String> {
        loop {
            let line = self.line();
            match line.strip_prefix("data: ") {
                Some(message) => return Some(message.trim_end().to_owned()),
                None if line.is_empty() => return None,
                None => {}
            }
        }
    }
}

/// A websocket.
struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(server: &Server, tenant: &str, query: &str) -> Self {
        let url = format!("ws://{}/socket{query}", server.address());
        let mut request = url.into_client_request().expect("it is a URL");
        let tenant = HeaderValue::from_str(tenant).expect("a tenant id is a header value");
        request.headers_mut().insert("x-tenant-id", tenant);
        Self(client(request, connect(server)).expect("the server upgrades").0)
    }

    fn say(&mut self, message: Message) {
        self.0.send(message).expect("the server reads");
    }

    /// Returns the next message, or the code and the reason of the close.
    fn next(&mut self) -> Result<String, (u16, String)> {
        loop {
            match self.0.read().expect("the server goes on or closes") {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(frame) => {
                    let frame = frame.expect("the server says why");
                    // Answers the close, as a client does.
                    while !matches!(self.0.read(), Err(tungstenite::Error::ConnectionClosed)) {}
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                _ => {}
            }
        }
    }
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("the time is not zero");
    stream
}

fn post(server: &Server, tenant: &str, text: &str) -> u16 {
    let json = serde_json::json!({ "text": text });
    server.send("POST", "/messages", Some(tenant), Some(&json)).status
}

fn message(id: i64, text: &str) -> String {
    serde_json::json!({ "id": id, "text": text }).to_string()
}

/// The program's sessions, and those of them in a transaction.
async fn sessions(admin: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let query = "select count(*), count(*) filter (where xact_start is not null)
        from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and pid <> pg_backend_pid()";
    sqlx::query_as(query).fetch_one(admin).await
}

#[tokio::test]
async fn a_hundred_streams_wait_on_a_pool_of_two_connections() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let of = |number: usize| ["acme", "globex"][number % 2];
    let mut events: Vec<_> = (0..60).map(|number| Events::open(&server, of(number), "")).collect();
    let mut sockets: Vec<_> = (0..40).map(|number| Socket::open(&server, of(number), "")).collect();
    // All of them have read once when they get the first message; they wait for the next one then.
    for (round, text) in (1..).zip(["first", "second"]) {
        for tenant in ["acme", "globex"] {
            assert_eq!(post(&server, tenant, &format!("{text} of {tenant}")), 201);
        }
        let expected = |number| message(round, &format!("{text} of {}", of(number)));
        for (number, stream) in events.iter_mut().enumerate() {
            assert_eq!(stream.next(), Some(expected(number)));
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(socket.next(), Ok(expected(number)));
        }
    }
    let mut admin = PgConnection::connect(database.url()).await?;
    let (open, busy) = sessions(&mut admin).await?;
    assert!(open <= 3 && busy == 0, "two of the pool, and one that listens: {open}, busy {busy}");

    sockets[0].say(Message::text("from a socket"));
    assert_eq!(sockets[2].next(), Ok(message(3, "from a socket")));
    assert_eq!(events[0].next(), Some(message(3, "from a socket")));

    let stopping = Instant::now();
    server.stop();
    let took = stopping.elapsed();
    assert!(took < Duration::from_secs(5), "it has waited for streams: {took:?}");
    assert_eq!(events[1].next(), None);
    assert_eq!(sockets[1].next(), Err((1012, "the service is stopping".to_owned())));
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_missed() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let mut admin = PgConnection::connect(database.url()).await?;
    sqlx::query(
        "insert into tenant_acme.messages (text) select 'old' from generate_series(1, 250)",
    )
    .execute(&mut admin)
    .await?;
    let mut events = Events::open(&server, "acme", "last-event-id: 20\r\n");
    let mut socket = Socket::open(&server, "acme", "?after=248");
    for id in 21..=250 {
        assert_eq!(events.next(), Some(message(id, "old")));
    }
    for id in 249..=250 {
        assert_eq!(socket.next(), Ok(message(id, "old")));
    }
    for wrong in ["", "x", "1.5", "99999999999999999999"] {
        let headers = [("x-tenant-id", "acme"), ("last-event-id", wrong)];
        assert_eq!(server.get("/messages", &headers).status, 400, "{wrong:?}");
    }

    // The connection that listens is lost, and a message comes before there is another one.
    let lose = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and query = 'LISTEN \"messages\"'";
    let lost: i64 = sqlx::query_scalar(lose).fetch_one(&mut admin).await?;
    assert_eq!(lost, 1);
    assert_eq!(post(&server, "acme", "meanwhile"), 201);
    assert_eq!(events.next(), Some(message(251, "meanwhile")));
    assert_eq!(socket.next(), Ok(message(251, "meanwhile")));
    server.wait_for_line(&["lost the connection that listens for new messages"]);

    // Announcements that anybody can make say nothing.
    for payload in ["", "a b", "globex", "nobody"] {
        let announce = sqlx::query("select pg_notify('messages', $1)").bind(payload);
        announce.execute(&mut admin).await?;
    }
    assert_eq!(post(&server, "acme", "last"), 201);
    assert_eq!(socket.next(), Ok(message(252, "last")));
    server.stop();
    admin.close().await?;
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn bad_clients_are_cut_off_alone() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = program().database(database.url()).start();
    let mut good = Socket::open(&server, "acme", "");
    for (bad, code) in [
        (Message::text(""), 1008),
        (Message::text("x".repeat(1001)), 1008),
        (Message::text("a\0b"), 1008),
        (Message::binary(vec![1]), 1003),
    ] {
        let mut socket = Socket::open(&server, "acme", "");
        socket.say(bad.clone());
        let (closed, reason) = socket.next().expect_err("it is closed");
        assert_eq!(closed, code, "{bad:?}");
        assert!(!reason.contains("messages"), "{reason}");
    }
    let mut socket = Socket::open(&server, "acme", "");
    socket.say(Message::text("x".repeat(100_000)));
    wait_until("the connection is closed", || socket.0.read().is_err().then_some(()));
    for (tenant, status) in [("nobody", 404), ("a b", 400)] {
        for path in ["/messages", "/socket"] {
            assert_eq!(server.get(path, &[("x-tenant-id", tenant)]).status, status);
        }
    }
    for text in ["", &"x".repeat(1001)] {
        assert_eq!(post(&server, "acme", text), 422, "{text}");
    }
    good.say(Message::text("it goes on"));
    let id = serde_json::from_str::<serde_json::Value>(&good.next().expect("it is open"))?;
    assert_eq!(id["text"], "it goes on");
    server.stop();
    database.close().await?;
    Ok(())
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
