//! A REST API for several tenants: users of one tenant each, and plans that all of them share.
//!
//! Run it with `cargo run -p axum-crud` and try the commands that it prints.

mod database;
mod error;
mod ops;
mod plans;
mod users;

use std::{env, error::Error, io::IsTerminal, net::SocketAddr};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tenantry::{Isolation, SchemaDiscovery, TenantManager};
use tenantry_axum::{CurrentTenant, TenantLayer};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use crate::database::Database;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let color = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .init();

    let database = Database::open().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    database::prepare(&manager).await?;

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let stop = stop_signal()?;
    say_what_to_try(listener.local_addr()?);
    axum::serve(listener, app(manager.clone())).with_graceful_shutdown(stop).await?;

    tracing::info!("all requests are finished, closing");
    manager.close().await;
    database.close().await?;
    Ok(())
}

fn app(manager: TenantManager) -> Router {
    let of_a_tenant = Router::new()
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).put(users::update).delete(users::delete))
        .route("/users-async", get(users::list_validated))
        .layer(from_fn(log_request))
        .layer(TenantLayer::new(manager.clone()));
    let of_nobody = Router::new()
        .route("/plans", get(plans::list))
        .route("/health", get(ops::health))
        .route("/admin/pools", get(ops::pools))
        .with_state(manager);
    of_a_tenant.merge(of_nobody)
}

async fn log_request(tenant: CurrentTenant, request: Request, next: Next) -> Response {
    let CurrentTenant(tenant) = tenant;
    tracing::info!(tenant = %tenant.id(), method = %request.method(), path = request.uri().path(), "request");
    next.run(request).await
}

/// Waits for Ctrl-C or SIGTERM. Both are listened to from now on, not from the first poll.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("no new requests are accepted");
    })
}

#[expect(clippy::print_stdout, reason = "a person is to read it and to copy from it")]
fn say_what_to_try(address: SocketAddr) {
    println!("listening on http://{address}; the tenants are acme and globex. Try:");
    println!();
    println!("curl http://{address}/users -H 'x-tenant-id: acme'");
    println!("curl http://{address}/users -H 'x-tenant-id: globex'");
    println!("curl -X POST http://{address}/users -H 'x-tenant-id: acme' \\");
    println!("  -H 'content-type: application/json' \\");
    println!("  -d '{{\"email\": \"john@acme.com\", \"name\": \"John Doe\"}}'");
    println!("curl http://{address}/users/{{id}} -H 'x-tenant-id: acme'");
    println!("curl -X PUT http://{address}/users/{{id}} -H 'x-tenant-id: acme' \\");
    println!("  -H 'content-type: application/json' -d '{{\"name\": \"John Updated\"}}'");
    println!("curl -X DELETE http://{address}/users/{{id}} -H 'x-tenant-id: acme'");
    println!("curl http://{address}/users-async -H 'x-tenant-id: acme'");
    println!("curl http://{address}/plans");
    println!("curl http://{address}/health");
    println!("curl http://{address}/admin/pools");
    println!();
    println!("And what is refused: no tenant, and one that does not exist.");
    println!();
    println!("curl -i http://{address}/users");
    println!("curl -i http://{address}/users -H 'x-tenant-id: nobody'");
}
