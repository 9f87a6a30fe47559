//! A REST API for several tenants: each tenant's users, and plans that all tenants share.
//!
//! Run it with `cargo run -p axum-crud` and try the commands that it prints. With arguments, it
//! runs the commands of `tenantry` on its own database, migrations and seeds: `cargo run -p
//! axum-crud -- migrate --all`.

mod data;
mod error;
mod logging;
mod ops;
mod plans;
mod user;
mod users;

use std::{env, process::ExitCode};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use example_support::{bind, crud, database, exit_code, show};
use tenantry::{Isolation, ManagerBuilder, SchemaDiscovery, TenantManager, WarmUp};
use tenantry_axum::{CurrentTenant, TenantLayer};
use tokio::net::TcpListener;

use crate::logging::LogFormat;

#[tokio::main]
async fn main() -> ExitCode {
    match env::args_os().len() {
        0 | 1 => exit_code(serve().await),
        _ => exit_code(run_command().await),
    }
}

async fn serve() -> anyhow::Result<()> {
    let log_format = LogFormat::from_env()?;
    logging::start(log_format)?;
    let listener = TcpListener::from_std(bind()?)?;

    let database = database().await?;
    let builder = manager_of(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10);
    let manager = logging::hooks(builder, log_format).build()?;
    let app = app(manager.clone())?;
    data::prepare(&manager).await?;
    warm_up(&manager).await;

    show(listener.local_addr()?, "the tenants are acme and globex", &crud::to_try(&manager).await);
    // Until Ctrl-C or SIGTERM; then requests have ten seconds to finish, and the manager is closed.
    tenantry_axum::serve(listener, app, &manager).await?;
    database.close().await?;
    Ok(())
}

/// Runs a command of `tenantry`, such as `migrate --all` or `doctor`, with the migrations and seeds
/// compiled into this service.
async fn run_command() -> anyhow::Result<ExitCode> {
    let database = database().await?;
    let manager = manager_of(database.url()).max_connections(10).build()?;
    let code = data::commands(manager.clone())?.run().await;
    manager.close().await;
    database.close().await?;
    Ok(code)
}

/// Begins the configuration. If `DIRECT_URL` is set, `DATABASE_URL` leads to a pooler in transaction mode.
fn manager_of(url: &str) -> ManagerBuilder {
    let builder = TenantManager::builder(url);
    match env::var("DIRECT_URL") {
        Ok(direct) => builder.behind_transaction_pooler().direct_url(direct),
        Err(_) => builder,
    }
}

/// Opens a connection for each tenant before its first request. The service starts even if that
/// fails for a tenant.
async fn warm_up(manager: &TenantManager) {
    let report = manager.warm_up(crud::TENANTS, WarmUp::default()).await;
    tracing::info!(
        total = report.total,
        warmed = report.succeeded,
        already_warm = report.already_warm,
        failed = report.failed,
        "warmed up"
    );
}

fn app(manager: TenantManager) -> anyhow::Result<Router> {
    let of_a_tenant = Router::new()
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).put(users::update).delete(users::delete))
        .route("/users-async", get(users::list_validated))
        .layer(from_fn(log_request))
        .layer(TenantLayer::new(manager.clone()));
    let shared = Router::new().route("/plans", get(plans::list)).with_state(manager.clone());
    Ok(of_a_tenant.merge(shared).merge(ops::routes(manager)?))
}

async fn log_request(tenant: CurrentTenant, request: Request, next: Next) -> Response {
    let CurrentTenant(tenant) = tenant;
    tracing::info!(tenant = %tenant.id(), method = %request.method(), path = request.uri().path(), "request");
    next.run(request).await
}
