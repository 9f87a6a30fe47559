//! Websockets and server-sent events: any number of streams on a pool of two connections.
//!
//! Run it with `cargo run -p streams` and try the commands that it prints.

mod events;
mod messages;
mod news;
mod socket;

use std::process::ExitCode;

use axum::{Extension, Json, Router, http::StatusCode, routing::get};
use example_support::{acme_and_globex, bind, database, exit_code, show, start_log};
use tenantry::TenantManager;
use tenantry_axum::{Mapped, TenantLayer, TxWith};
use tokio::net::TcpListener;

use crate::{
    messages::{Follow, New},
    news::News,
};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let database = database().await?;
    let manager = acme_and_globex(database.url(), &sqlx::migrate!(), 2).await?;

    let news = News::default();
    let listening = tokio::spawn(news.clone().listen(database.url().to_owned(), manager.closing()));
    show(listener.local_addr()?, "the tenants are acme and globex", &to_try());
    tenantry_axum::serve(listener, app(manager.clone(), news), &manager).await?;
    listening.await?;
    database.close().await?;
    Ok(())
}

fn app(manager: TenantManager, news: News) -> Router {
    Router::new()
        .route("/messages", get(events::stream).post(post))
        .route("/socket", get(socket::upgrade))
        .route_layer(TenantLayer::new(manager.clone()))
        .layer(Extension(Follow { manager, news }))
}

async fn post(TxWith(mut tx, Json(new)): TxWith<Json<New>>) -> Result<StatusCode, Mapped> {
    let tenant = tx.tenant().cloned();
    messages::insert(&mut tx, tenant.as_ref(), &new.text).await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

fn to_try() -> Vec<(&'static str, String)> {
    let post = |tenant, text| {
        format!(
            "curl -i {{url}}/messages -H 'x-tenant-id: {tenant}' \\\n  \
             -H 'content-type: application/json' -d '{{\"text\": \"{text}\"}}'"
        )
    };
    let follow = |rest| format!("curl -N {{url}}/messages -H 'x-tenant-id: acme'{rest}");
    vec![
        ("the messages of acme as they come; leave it running", follow("")),
        ("say something in another terminal", post("acme", "hello")),
        ("acme does not see what is said in globex", post("globex", "a secret")),
        ("and more", post("acme", "one more")),
        ("where a client has left off", follow(" -H 'last-event-id: 1'")),
        ("nothing to say: 422", post("acme", "")),
        ("no tenant: 400", "curl -i {url}/messages".to_owned()),
    ]
}
