//! Serves the shop to two tenants. Run it with `cargo run -p tested-service` and try the commands that it prints.

use std::process::ExitCode;

use example_support::{bind, database, exit_code, prepare, show, start_log};
use tenantry::{TenantManager, migrate::Migrations, seed::Seed};
use tokio::net::TcpListener;

const TENANTS: [&str; 2] = ["acme", "globex"];

/// The first customer of each tenant.
const CUSTOMER: &str = "insert into customers (email, name) values ('ann@example.com', 'Ann')";

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;

    let database = database().await?;
    let manager = TenantManager::builder(database.url()).max_connections(10).build()?;
    let migrations = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let migrator = manager.migrator().tenants(migrations.clone());
    let provisioner = manager.provisioner().tenants(migrations).seed(Seed::sql("ann", CUSTOMER));
    prepare(&migrator, &provisioner, TENANTS).await?;

    show(listener.local_addr()?, "the tenants are acme and globex", &to_try());
    let app = tested_service::app(manager.clone());
    tenantry_axum::serve(listener, app, &manager).await?;
    database.close().await?;
    Ok(())
}

fn to_try() -> [(&'static str, String); 6] {
    let of_acme = "-H 'x-tenant-id: acme'";
    let orders = format!("curl -i {{url}}/customers/1/orders {of_acme}");
    let order = |quantity| {
        let body = format!("{{\"item\": \"tea\", \"quantity\": {quantity}}}");
        format!("{orders} \\\n  -H 'content-type: application/json' -d '{body}'")
    };
    [
        ("the customers of acme", format!("curl {{url}}/customers {of_acme}")),
        ("an order", order(2)),
        ("the orders of this customer", orders.clone()),
        ("an order of nothing: 422", order(0)),
        ("the orders of all tenants", "curl {url}/report".to_owned()),
        ("no tenant: 400", "curl -i {url}/customers".to_owned()),
    ]
}
