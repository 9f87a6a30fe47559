//! A service written for one customer, with an sqlx pool in its app data, ported to many tenants.
//! The README shows the whole difference.
//!
//! Run it with `cargo run -p existing-actix` and try the commands that it prints.

mod error;
mod subscriptions;

use std::process::ExitCode;

use actix_web::{
    App, HttpServer,
    middleware::DefaultHeaders,
    web::{self, ServiceConfig},
};
use example_support::{bind, database, exit_code, prepare, show, start_log};
use tenantry::{Isolation, SchemaDiscovery, TenantManager, migrate::Migrations};
use tenantry_actix::TenantMiddleware;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = bind()?;
    let database = database().await?;

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
    let tenant = TenantMiddleware::new(manager.clone()).optional();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(tenant.clone())
            .wrap(DefaultHeaders::new().add(("x-service", "newsletter")))
            .configure(routes)
    })
    .listen(listener)?;
    tenantry_actix::serve(server, &manager).await?;
    database.close().await?;
    Ok(())
}

fn routes(app: &mut ServiceConfig) {
    app.route("/", web::get().to(async || "a newsletter"))
        .route("/health", web::get().to(async || "ok"))
        .route("/subscriptions", web::post().to(subscriptions::subscribe))
        .route("/subscriptions/{token}/confirmation", web::post().to(subscriptions::confirm))
        .service(
            web::scope("/admin")
                .route("/subscriptions", web::get().to(subscriptions::list))
                .route("/subscriptions/{email}", web::delete().to(subscriptions::unsubscribe)),
        );
}

fn to_try() -> Vec<(&'static str, String)> {
    let subscribe = |tenant| {
        format!(
            "curl -i {{url}}/subscriptions -H 'x-tenant-id: {tenant}' \\\n  \
             -H 'content-type: application/json' -d '{{\"email\": \"ada@example.com\"}}'"
        )
    };
    let list = |tenant| format!("curl {{url}}/admin/subscriptions -H 'x-tenant-id: {tenant}'");
    vec![
        ("ada subscribes to acme's newsletter", subscribe("acme")),
        ("and is on its list", list("acme")),
        ("but not on that of globex", list("globex")),
        ("twice does not work: 409", subscribe("acme")),
        ("no tenant: 400", "curl -i {url}/admin/subscriptions".to_owned()),
        ("an unknown tenant: 404", list("nobody").replace("curl ", "curl -i ")),
        ("routes that ask for no tenant work without one", "curl {url}/health".to_owned()),
        ("an unknown path, as ever: 404", "curl -i {url}/nowhere".to_owned()),
    ]
}
