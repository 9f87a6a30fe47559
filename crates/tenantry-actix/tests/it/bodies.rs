//! A transaction beside a body that may arrive slowly: refused before it begins, whatever the order of the
//! extractors.

use std::time::Duration;

use actix_web::{
    App, HttpResponse,
    http::StatusCode,
    web::{self, Bytes, Json, Payload},
};
use tenantry_actix::{DbError, Optional, TenantMiddleware, Tx, TxWith};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{TestResult, TestServer, World, get, offline, serve, users};

const HALF_SENT: &str = "content-length: 5\r\n\r\n\"ab";

/// Sends a head, and whatever is after it, and reads what comes back.
async fn post(server: &TestServer, path: &str, rest: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(server.address).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\nconnection: close\r\n\
         content-type: application/json\r\n{rest}"
    );
    client.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    // The server may leave the connection open, for the rest of the body to come.
    let read = timeout(Duration::from_secs(30), async {
        while !is_whole(&answer) {
            assert_ne!(client.read_buf(&mut answer).await?, 0, "it ends too early");
        }
        Ok::<_, std::io::Error>(())
    });
    let read = read.await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    read.unwrap_or_else(|_| panic!("{path} {rest:?}: {answer:?}"))?;
    Ok(answer)
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| length.parse() == Ok(body.len()))
}

async fn add(TxWith(mut tx, name): TxWith<Json<String>>) -> Result<HttpResponse, DbError> {
    sqlx::query("insert into users values ($1)").bind(&*name).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(HttpResponse::Created().finish())
}

fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/before", web::post().to(async |_: Tx, _: Json<String>| ""))
        .route("/after", web::post().to(async |_: Json<String>, _: Tx| ""))
        .route("/alone", web::post().to(async |_: Tx| ""))
        .route("/optional", web::post().to(async |_: Optional<Tx>, _: Json<String>| ""))
        .route("/payload", web::post().to(async |_: Payload, _: Tx| ""))
        .route("/kept", web::post().to(async |_: TxWith<Payload>| ""))
        .route("/two", web::post().to(async |_: Json<String>, _: TxWith<Bytes>| ""))
        .route("/option", web::post().to(async |tx: Option<Tx>| tx.map_or("none", |_| "some")))
        .route("/add", web::post().to(add));
}

/// The manager has no server: a transaction that began would be a 503.
#[tokio::test]
async fn is_a_500_that_the_log_explains() -> TestResult {
    for path in ["/before", "/after", "/alone", "/optional", "/payload", "/kept", "/two"] {
        let middleware = TenantMiddleware::new(offline(["acme"]));
        let app = serve!(App::new().wrap(middleware.clone()).configure(routes));
        for rest in [HALF_SENT, "transfer-encoding: chunked\r\n\r\n3\r\n\"ab"] {
            let answer = post(&app, path, rest).await?;
            assert!(answer.starts_with("HTTP/1.1 500"), "{path}: {answer}");
            assert!(answer.contains("application/problem+json"), "{path}: {answer}");
            assert!(!answer.contains("transaction") && !answer.contains("Tx"), "{path}: {answer}");
        }
        let log = app.log.text();
        assert_eq!(log.matches("TxWith<B>").count(), 2, "{path}: {log}");
        assert!(log.contains("ERROR") && log.contains(path), "{path}: {log}");
    }
    Ok(())
}

/// actix makes `None` of every error, and nobody can change that; the log says it all the same.
#[tokio::test]
async fn is_in_the_log_even_where_an_option_hides_it() -> TestResult {
    let middleware = TenantMiddleware::new(offline(["acme"]));
    let app = serve!(App::new().wrap(middleware.clone()).configure(routes));
    let answer = post(&app, "/option", HALF_SENT).await?;
    assert!(answer.ends_with("none"), "{answer}");
    assert!(app.log.text().contains("TxWith<B>"), "{}", app.log.text());
    Ok(())
}

#[tokio::test]
async fn is_read_before_the_transaction_begins() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let middleware = TenantMiddleware::new(manager.clone());
    let app = serve!(
        App::new()
            .wrap(middleware.clone())
            .route("/tx", web::get().to(async |_: Tx| "begun"))
            .configure(routes)
    );
    let json = |body: &str| format!("content-length: {}\r\n\r\n{body}", body.len());
    assert!(post(&app, "/add", &json("\"ab\"")).await?.starts_with("HTTP/1.1 201"));
    assert!(post(&app, "/add", &json("ab")).await?.starts_with("HTTP/1.1 400"), "Json's own");
    assert!(post(&app, "/alone", "content-length: 0\r\n\r\n").await?.starts_with("HTTP/1.1 200"));
    assert!(post(&app, "/alone", "\r\n").await?.starts_with("HTTP/1.1 200"));
    assert_eq!(get(&app, "/tx", "acme").await.status, StatusCode::OK);
    assert_eq!(users(&manager, "acme").await, ["ab", "acme"]);
    manager.close().await;
    Ok(())
}
