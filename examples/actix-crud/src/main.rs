//! The REST API of `axum-crud`, on actix-web.
//!
//! Run it with `cargo run -p actix-crud` and try the commands that it prints.

mod admin;
mod data;
mod error;
mod plans;
#[path = "../../axum-crud/src/user.rs"]
mod user;
mod users;

use std::process::ExitCode;

use actix_web::{
    App, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::{Next, from_fn},
    web::{self, Data, JsonConfig, PathConfig, get},
};
use example_support::{bind, crud, database, exit_code, show, start_log};
use tenantry::{Isolation, SchemaDiscovery, TenantManager, WarmUp};
use tenantry_actix::{CurrentTenant, OpsService, TenantMiddleware, ops_scope};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = bind()?;

    let database = database().await?;
    // Once, not in each worker: all of them share one connection budget.
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    data::prepare(&manager).await?;
    let report = manager.warm_up(crud::TENANTS, WarmUp::default()).await;
    tracing::info!(total = report.total, failed = report.failed, "warmed up");

    let (of_workers, ops) = (manager.clone(), ops_scope(manager.clone()));
    let server = HttpServer::new(move || {
        let (manager, ops) = (of_workers.clone(), ops.clone());
        App::new().configure(|service| routes(service, manager, ops))
    })
    // If a client disconnects, its handler is dropped, and its running statement cancelled.
    .h1_allow_half_closed(false)
    .listen(listener)?;
    show(server.addrs()[0], "the tenants are acme and globex", &crud::to_try(&manager).await);
    // Until Ctrl-C or SIGTERM; then requests have ten seconds to finish, and the manager is closed.
    tenantry_actix::serve(server, &manager).await?;
    database.close().await?;
    Ok(())
}

fn routes(service: &mut web::ServiceConfig, manager: TenantManager, ops: OpsService) {
    let middleware = TenantMiddleware::new(manager.clone());
    let of_a_tenant = web::scope("")
        // The last `wrap` is outermost: the tenant is known when the request is logged.
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
        // Last, because it takes every remaining path.
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
