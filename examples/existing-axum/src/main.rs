//! A service written for one customer, with an sqlx pool in its state, ported to many tenants. The
//! README shows the whole difference.
//!
//! Run it with `cargo run -p existing-axum` and try the commands that it prints.

mod customers;
mod error;
mod invoices;
mod state;

use std::{process::ExitCode, sync::Arc};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use example_support::{bind, database, exit_code, prepare, show, start_log};
use tenantry::{Isolation, SchemaDiscovery, TenantManager, migrate::Migrations};
use tenantry_axum::TenantLayer;
use tokio::net::TcpListener;

use crate::state::{Settings, with_state};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let database = database().await?;
    let settings = Arc::new(Settings { currency: "EUR" });

    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    let migrations = Migrations::embedded(&sqlx::migrate!())?;
    let migrator = manager.migrator().tenants(migrations.clone());
    let provisioner = manager.provisioner().tenants(migrations);
    prepare(&migrator, &provisioner, ["acme", "globex"]).await?;

    show(listener.local_addr()?, "the tenants are acme and globex", &to_try());
    tenantry_axum::serve(listener, app(manager.clone(), settings), &manager).await?;
    database.close().await?;
    Ok(())
}

fn app(manager: TenantManager, settings: Arc<Settings>) -> Router {
    Router::new()
        .route("/customers", get(customers::list).post(customers::create))
        .route(
            "/customers/{id}",
            get(customers::show).put(customers::rename).delete(customers::delete),
        )
        .route("/customers/{id}/invoices", get(invoices::list).post(invoices::create))
        .route("/invoices/{id}/payment", post(invoices::pay))
        .route_layer(from_fn_with_state(settings, with_state))
        .route_layer(TenantLayer::new(manager))
        .route("/health", get(async || "ok"))
}

fn to_try() -> Vec<(&'static str, String)> {
    let json = "-H 'content-type: application/json'";
    let post = |tenant, path, body| {
        format!("curl {{url}}{path} -H 'x-tenant-id: {tenant}' {json} \\\n  -d '{body}'")
    };
    let get = |tenant, path| format!("curl -i {{url}}{path} -H 'x-tenant-id: {tenant}'");
    vec![
        ("a customer of acme", post("acme", "/customers", r#"{"name": "Initech"}"#)),
        ("the customers of acme", get("acme", "/customers")),
        ("globex has none", get("globex", "/customers")),
        (
            "an invoice",
            post("acme", "/customers/1/invoices", r#"[{"description": "tea", "cents": 450}]"#),
        ),
        ("is paid", format!("{} -X POST", get("acme", "/invoices/1/payment"))),
        ("and not twice: 404", format!("{} -X POST", get("acme", "/invoices/1/payment"))),
        ("the invoices", get("acme", "/customers/1/invoices")),
        ("that name is taken: 409", post("acme", "/customers", r#"{"name": "Initech"}"#)),
        ("no tenant: 400", "curl -i {url}/customers".to_owned()),
        ("a route without the layer", "curl {url}/health".to_owned()),
        ("an unknown path, as ever: 404", "curl -i {url}/nowhere".to_owned()),
    ]
}
