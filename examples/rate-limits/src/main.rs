//! A rate limit for each tenant: excess requests are rejected, and slow down no other tenant.
//!
//! Run it with `cargo run -p rate-limits` and try the commands that it prints.

mod limit;

use std::process::ExitCode;

use axum::{Json, Router, routing::get};
use example_support::{acme_and_globex, bind, database, exit_code, show, start_log};
use tenantry::TenantManager;
use tenantry_axum::{Db, DbError, TenantLayer};
use tokio::net::TcpListener;

use crate::limit::limited;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let database = database().await?;
    let manager = acme_and_globex(database.url(), &sqlx::migrate!(), 10).await?;

    let app = app(manager.clone())?;
    show(listener.local_addr()?, "the tenants are acme and globex", &to_try());
    tenantry_axum::serve(listener, app, &manager).await?;
    database.close().await?;
    Ok(())
}

fn app(manager: TenantManager) -> anyhow::Result<Router> {
    let routes = limited(Router::new().route("/notes", get(notes)))?;
    Ok(routes.route_layer(TenantLayer::new(manager)).route("/health", get(async || "ok")))
}

async fn notes(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    Ok(Json(sqlx::query_scalar("select text from notes order by text").fetch_all(&db).await?))
}

fn to_try() -> Vec<(&'static str, String)> {
    let get = |query, tenant| format!("curl -i '{{url}}/notes{query}' -H 'x-tenant-id: {tenant}'");
    vec![
        ("acme sends five requests at once", get("?[1-5]", "acme")),
        ("the sixth is one too many: 429", get("", "acme")),
        ("globex is served", get("", "globex")),
        ("an unknown tenant: 404", get("", "nobody")),
        ("a route without a tenant has no limit", "curl -i '{url}/health?[1-6]'".to_owned()),
    ]
}
