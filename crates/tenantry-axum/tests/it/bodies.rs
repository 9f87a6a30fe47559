//! A body is read before a transaction begins, and one that is kept to be read later is refused.

use std::future::pending;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Request,
    http::StatusCode,
    routing::post,
};
use futures_util::{StreamExt, stream};
use tenantry_axum::{DbError, TenantLayer, Tx, TxWith};

use crate::support::{Log, TestResult, World, offline, send};

fn request(path: &str, body: impl Into<Body>) -> Request {
    let request = Request::post(path).header("x-tenant-id", "acme");
    let request = request.header("content-type", "application/json");
    request.body(body.into()).expect("the request is sound")
}

/// A body whose second half never comes.
fn half_sent() -> Body {
    let half = stream::iter([Ok::<_, std::io::Error>("\"ab")]);
    Body::from_stream(half.chain(stream::once(pending())))
}

async fn add(TxWith(mut tx, Json(name)): TxWith<Json<String>>) -> Result<StatusCode, DbError> {
    sqlx::query("insert into users values ($1)").bind(name).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

async fn maybe(TxWith(_, body): TxWith<Option<Json<String>>>) -> &'static str {
    body.map_or("none", |_| "some")
}

/// The manager has no server: a transaction that began would be a 503.
#[tokio::test]
async fn that_is_kept_is_a_500_that_the_log_explains() -> TestResult {
    let app = Router::new()
        .route("/request", post(async |_: TxWith<Request>| ()))
        .route("/body", post(async |_: TxWith<Body>| ()))
        .layer(TenantLayer::new(offline(["acme"])));
    for path in ["/request", "/body"] {
        for body in [half_sent(), Body::from("whole, and not read yet")] {
            let log = Log::capture();
            let answer = send(&app, request(path, body)).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            answer.problem();
            assert!(!answer.body.contains("transaction"), "{}", answer.body);
            assert!(log.text().contains("ERROR"), "{}", log.text());
            assert!(log.text().contains("TxWith<B>"), "{}", log.text());
        }
        // There is nothing to wait for.
        let answer = send(&app, request(path, Body::empty())).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn is_read_before_the_transaction_begins() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().max_connections(1).build()?;
    let app = Router::new()
        .route("/add", post(add))
        .route("/bytes", post(async |TxWith(_, body): TxWith<Bytes>| body))
        .route("/maybe", post(maybe))
        .route("/alone", post(async |_: Tx| "begun"))
        .layer(TenantLayer::new(manager.clone()));
    assert_eq!(send(&app, request("/add", "\"ab\"")).await.status, StatusCode::CREATED);
    let own = send(&app, request("/add", "ab")).await;
    assert_eq!((own.status, own.body.contains("parse")), (StatusCode::BAD_REQUEST, true));
    assert_eq!(send(&app, request("/bytes", "x")).await.body, "x");
    assert_eq!(send(&app, request("/bytes", "")).await.status, StatusCode::OK);
    // One that nobody reads is dropped, and nobody waits for it.
    let unread = Request::post("/maybe").header("x-tenant-id", "acme").body(half_sent())?;
    assert_eq!(send(&app, unread).await.body, "none");
    assert_eq!(send(&app, request("/alone", half_sent())).await.body, "begun");
    let names = sqlx::query_scalar("select name from users order by 1");
    let names: Vec<String> = names.fetch_all(&manager.tenant("acme").await?).await?;
    assert_eq!(names, ["ab", "acme"]);
    manager.close().await;
    Ok(())
}
