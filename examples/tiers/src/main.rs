//! Four plans: rows of shared tables, a schema, a database and another server. The handlers do not
//! know which of them a tenant has.
//!
//! Run it with `cargo run -p tiers` and try the commands that it prints.

mod notes;
mod plans;
mod servers;
mod setup;

use std::process::ExitCode;

use axum::{Router, routing::get};
use example_support::{bind, exit_code, show, start_log};
use tenantry::TenantManager;
use tenantry_axum::{TenantLayer, ops_routes};
use tokio::net::TcpListener;

use crate::{plans::manager, servers::Server, setup::create_tenants};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let main = Server::start("DATABASE_URL").await?;
    let large = Server::start("LARGE_DATABASE_URL").await?;
    let manager = manager(main.url(), large.url())?;
    create_tenants(&manager, [main.url(), large.url()]).await?;

    let app = app(manager.clone());
    let about = "the tenants are row, schema, database and large";
    show(listener.local_addr()?, about, &to_try());
    tenantry_axum::serve(listener, app, &manager).await?;
    main.close().await;
    large.close().await;
    Ok(())
}

fn app(manager: TenantManager) -> Router {
    Router::new()
        .route("/notes", get(notes::list).post(notes::add))
        .route("/place", get(notes::place))
        .route_layer(TenantLayer::new(manager.clone()))
        .merge(ops_routes(manager))
}

fn to_try() -> Vec<(&'static str, String)> {
    let get = |path: &str, tenant| format!("curl '{{url}}{path}' -H 'x-tenant-id: {tenant}'");
    let add = |tenant| {
        format!(
            "curl -X POST '{{url}}/notes' -H 'x-tenant-id: {tenant}' \\\n  \
             -H 'content-type: application/json' -d '{{\"text\": \"for {tenant} only\"}}'"
        )
    };
    vec![
        ("where each tenant is: rows of shared tables", get("/place", "row")),
        ("a schema", get("/place", "schema")),
        ("a database", get("/place", "database")),
        ("another server", get("/place", "large")),
        ("a note of the first one", add("row")),
        ("and of the last one", add("large")),
        ("each sees its own", get("/notes", "row")),
        ("the same handler, elsewhere", get("/notes", "large")),
        ("an unknown tenant: 404", get("/notes", "nobody")),
        ("every server, and the tenants that use it", "curl '{url}/health'".to_owned()),
    ]
}
