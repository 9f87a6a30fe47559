//! A REST API for several tenants: users of one tenant each, and plans that all of them share.
//!
//! Run it with `cargo run -p axum-crud` and try the commands that it prints. With arguments it has the commands of
//! `tenantry` on its own database, migrations and seeds: `cargo run -p axum-crud -- migrate --all`.

mod database;
mod error;
mod logging;
mod ops;
mod plans;
mod shutdown;
mod users;

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tenantry::{Isolation, SchemaDiscovery, TenantManager, WarmUp};
use tenantry_axum::{CurrentTenant, TenantLayer};
use tenantry_devdb::Database;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{logging::LogFormat, shutdown::StopSignals};

/// How long leases may take to come back after that: those of requests that were not finished.
const CLOSE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if env::args_os().len() > 1 {
        return run_command().await;
    }
    let log_format = LogFormat::from_env()?;
    logging::start(log_format)?;
    let address = address()?;

    let database = Database::given_or_throwaway().await?;
    if database.is_throwaway() {
        tracing::info!("DATABASE_URL is not set, so a throwaway PostgreSQL is started");
    }
    let builder = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10);
    let manager = logging::hooks(builder, log_format).build()?;
    let app = app(manager.clone())?;
    database::prepare(&manager).await?;
    warm_up(&manager).await;

    let listener = TcpListener::bind(address).await?;
    let stop = StopSignals::listen()?;
    say_what_to_try(listener.local_addr()?, some_user(&manager).await);
    shutdown::serve(listener, app, stop).await?;

    manager.close_within(CLOSE).await;
    database.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a command of `tenantry`, such as `migrate --all` or `doctor`, with what this service has compiled in.
async fn run_command() -> anyhow::Result<ExitCode> {
    let database = Database::given_or_throwaway().await?;
    let manager = TenantManager::builder(database.url()).max_connections(10).build()?;
    let code = database::commands(manager.clone())?.run().await;
    manager.close_within(CLOSE).await;
    database.close().await?;
    Ok(code)
}

/// Reads `HOST` and `PORT`. Nobody else's machine can reach the program unless it is told to be
/// reached: a container has to.
fn address() -> anyhow::Result<SocketAddr> {
    let host = env::var("HOST").map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), |host| host.parse());
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse());
    let host = host.context("HOST must be an IP address, 0.0.0.0 for all of this machine's")?;
    let port = port.context("PORT must be a number up to 65535")?;
    Ok(SocketAddr::new(host, port))
}

/// Gives each tenant a connection before its first request. A tenant for which there is none is no
/// reason not to start.
async fn warm_up(manager: &TenantManager) {
    let report = manager.warm_up(database::TENANTS, WarmUp::default()).await;
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

/// The id of a user of acme, for lines that can be copied as they are.
async fn some_user(manager: &TenantManager) -> Option<Uuid> {
    let acme = manager.tenant("acme").await.ok()?;
    let first = sqlx::query_scalar("select id from users order by created_at, email limit 1");
    first.fetch_optional(&acme).await.ok()?
}

#[expect(clippy::print_stdout, reason = "a person is to read it and to copy from it")]
fn say_what_to_try(address: SocketAddr, user: Option<Uuid>) {
    let user = user.map_or_else(|| "{id}".to_owned(), |id| id.to_string());
    println!("listening on http://{address}; the tenants are acme and globex. Try:");
    println!();
    println!("curl http://{address}/users -H 'x-tenant-id: acme'");
    println!("curl http://{address}/users -H 'x-tenant-id: globex'");
    println!("curl -X POST http://{address}/users -H 'x-tenant-id: acme' \\");
    println!("  -H 'content-type: application/json' \\");
    println!("  -d '{{\"email\": \"john@acme.com\", \"name\": \"John Doe\"}}'");
    println!("curl http://{address}/users/{user} -H 'x-tenant-id: acme'");
    println!("curl -X PUT http://{address}/users/{user} -H 'x-tenant-id: acme' \\");
    println!("  -H 'content-type: application/json' -d '{{\"name\": \"John Updated\"}}'");
    println!("curl -X DELETE http://{address}/users/{user} -H 'x-tenant-id: acme'");
    println!("curl http://{address}/users-async -H 'x-tenant-id: acme'");
    println!("curl http://{address}/plans");
    println!("curl http://{address}/health");
    println!("curl http://{address}/readyz");
    println!("curl http://{address}/metrics");
    println!("curl http://{address}/admin/pools");
    println!();
    println!("And what is refused: no tenant, and one that does not exist.");
    println!();
    println!("curl -i http://{address}/users");
    println!("curl -i http://{address}/users -H 'x-tenant-id: nobody'");
}
