//! Stopping a service, over real sockets and with real signals.

use std::{convert::Infallible, future::pending, io, net::TcpListener};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tenantry_acceptance::serving::{ServedApp, Serves, work};
use tenantry_axum::{DbError, ServeOptions, ServeReport, TenantLayer, Tx, ops_routes};
use tokio::io::AsyncWriteExt;

struct Axum;

tenantry_acceptance::serving_suite!(Axum);

impl Serves for Axum {
    async fn serve(
        listener: TcpListener,
        app: ServedApp,
        options: ServeOptions,
    ) -> io::Result<ServeReport> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let manager = app.manager.clone();
        tenantry_axum::serve(listener, router(app), &manager).options(options).await
    }
}

fn router(app: ServedApp) -> Router {
    let of_a_tenant =
        Router::new().route("/tx", post(begin)).layer(TenantLayer::new(app.manager.clone()));
    Router::new()
        .merge(of_a_tenant)
        .route("/quick", get(async || "quick"))
        .route("/body", post(body))
        .route("/never", get(never))
        .route("/late", get(async |State(app): State<ServedApp>| stream(work::late(&app.manager))))
        .route("/large", get(async || stream(work::large())))
        .route(
            "/events",
            get(async |State(app): State<ServedApp>| stream(work::events(&app.manager))),
        )
        .route("/endless", get(async || stream(work::endless())))
        .route("/silent", get(async || stream(work::silent())))
        .route(
            "/upgrade/events",
            get(async |State(app): State<ServedApp>, request: Request| {
                upgrade(request, work::events(&app.manager))
            }),
        )
        .route("/upgrade/endless", get(async |request: Request| upgrade(request, work::endless())))
        .merge(ops_routes(app.manager.clone()))
        .with_state(app)
}

async fn body(State(app): State<ServedApp>, body: Body) -> Result<String, StatusCode> {
    app.begun.notify_one();
    let body = to_bytes(body, 1_000).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(body.len().to_string())
}

async fn never(State(app): State<ServedApp>) {
    app.begun.notify_one();
    pending().await
}

async fn begin(State(app): State<ServedApp>, Tx(mut tx): Tx) -> Result<(), DbError> {
    work::begin(&mut tx).await?;
    app.begun.notify_one();
    pending().await
}

fn stream(parts: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Body {
    Body::from_stream(parts)
}

/// Writes to the connection once it is no longer HTTP.
fn upgrade(
    mut request: Request,
    parts: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().expect("it can be upgraded");
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgrade.await.expect("the client waits for it"));
        let mut parts = Box::pin(parts);
        while let Some(Ok(part)) = parts.next().await {
            if io.write_all(&part).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("events")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
