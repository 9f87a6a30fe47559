//! A REST API for several tenants, as `axum-crud` has it, on actix-web.
//!
//! Run it with `cargo run -p actix-crud` and try the commands that it prints.

mod admin;
mod database;
mod error;
mod plans;
mod shutdown;
mod users;

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web::{self, Data, JsonConfig, PathConfig, get},
};
use anyhow::Context as _;
use tenantry::{Isolation, PlainFormat, SchemaDiscovery, TenantManager, WarmUp};
use tenantry_actix::{CurrentTenant, OpsService, TenantMiddleware, ops_scope};
use tenantry_devdb::Database;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::shutdown::StopSignals;

/// How long leases may take to come back after that: those of requests that were not finished.
const CLOSE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let address = address()?;

    let database = Database::given_or_throwaway().await?;
    if database.is_throwaway() {
        tracing::info!("DATABASE_URL is not set, so a throwaway PostgreSQL is started");
    }
    // Once and here, not in each worker: all of them share one budget of connections.
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    database::prepare(&manager).await?;
    let report = manager.warm_up(database::TENANTS, WarmUp::default()).await;
    tracing::info!(total = report.total, failed = report.failed, "warmed up");

    let (of_workers, ops) = (manager.clone(), ops_scope(manager.clone()));
    let server = HttpServer::new(move || {
        let (manager, ops) = (of_workers.clone(), ops.clone());
        App::new().configure(|service| routes(service, manager, ops))
    })
    // A client that goes away takes its handler along, and the statement that runs for it.
    .h1_allow_half_closed(false)
    .disable_signals()
    .shutdown_timeout(shutdown::DRAIN)
    .bind(address)?;
    let stop = StopSignals::listen()?;
    say_what_to_try(server.addrs()[0], some_user(&manager).await);
    shutdown::serve(server.run(), stop).await?;

    manager.close_within(CLOSE).await;
    database.close().await?;
    Ok(())
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

fn routes(service: &mut web::ServiceConfig, manager: TenantManager, ops: OpsService) {
    let middleware = TenantMiddleware::new(manager.clone());
    let of_a_tenant = web::scope("")
        // Of two, the last is outermost: there is a tenant when the request is logged.
        .wrap(from_fn(log_request))
        .wrap(middleware)
        .service(web::resource("/users").get(users::list).post(users::create))
        .service(
            web::resource("/users/{id}").get(users::show).put(users::update).delete(users::delete),
        )
        .route("/users-async", get().to(users::list_validated));
    service
        .app_data(Data::new(manager))
        .app_data(PathConfig::default().error_handler(error::unreadable))
        .app_data(JsonConfig::default().error_handler(error::unreadable))
        .route("/plans", get().to(plans::list))
        .route("/admin/pools", get().to(admin::pools))
        // /health, /livez, /readyz and /metrics.
        .service(ops)
        // The last, for it takes every path that is left.
        .service(of_a_tenant);
}

async fn log_request(
    CurrentTenant(tenant): CurrentTenant,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    tracing::info!(tenant = %tenant.id(), method = %request.method(), path = request.path(), "request");
    next.call(request).await
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
