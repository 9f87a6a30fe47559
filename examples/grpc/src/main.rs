//! gRPC with tonic, through the same layer as HTTP, on the same port.
//!
//! Run it with `cargo run -p grpc` and try the commands that it prints.

mod api;
mod client;
mod notes;
mod status;

use std::{env, process::ExitCode};

use axum::{Router, routing::get};
use example_support::{acme_and_globex, bind, database, exit_code, show, start_log};
use tenantry::TenantManager;
use tenantry_axum::TenantLayer;
use tokio::net::TcpListener;

use crate::api::notes_server::{NotesServer, SERVICE_NAME};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.is_empty() {
        return exit_code(serve().await);
    }
    exit_code(client::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let database = database().await?;
    let manager = acme_and_globex(database.url(), &sqlx::migrate!(), 4).await?;

    show(listener.local_addr()?, "the tenants are acme and globex", &to_try());
    tenantry_axum::serve(listener, app(manager.clone()), &manager).await?;
    database.close().await?;
    Ok(())
}

/// A tonic service is a route like any other. Only the response to a rejected client differs.
fn app(manager: TenantManager) -> Router {
    let tenant = TenantLayer::new(manager);
    let grpc = Router::new()
        .route_service(&format!("/{SERVICE_NAME}/{{method}}"), NotesServer::new(notes::Service))
        .route_layer(tenant.clone().on_rejection(status::refuse));
    let http = Router::new().route("/notes", get(notes::first)).route_layer(tenant);
    grpc.merge(http)
}

fn to_try() -> Vec<(&'static str, String)> {
    let client = |rest| format!("cargo run -p grpc -- {rest}");
    let http = |tenant| format!("curl -i {{url}}/notes -H 'x-tenant-id: {tenant}'");
    vec![
        ("acme adds a note over gRPC", client("add {url} acme hello")),
        ("lists its notes", client("list {url} acme")),
        ("and sees them over HTTP", http("acme")),
        ("globex has none", http("globex")),
        ("an unknown tenant: 404", http("nobody")),
        ("which is a status over gRPC", client("list {url} nobody")),
    ]
}
