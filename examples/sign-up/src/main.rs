//! A route that provisions a tenant, which is served from the next request on.
//!
//! Run it with `cargo run -p sign-up` and try the commands that it prints.

mod notes;
mod sign_up;

use std::{process::ExitCode, time::Duration};

use axum::{
    Router,
    routing::{get, post},
};
use example_support::{bind, database, exit_code, migrate, show, start_log};
use tenantry::{
    Isolation, TableCatalog, TenantManager, migrate::Migrations, provision::Provisioner, seed::Seed,
};
use tenantry_axum::TenantLayer;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Spare schemas for the next tenants that sign up.
const SPARES: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;

    let database = database().await?;
    let catalog = TableCatalog::new();
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(catalog.clone())
        .max_connections(10)
        .build()?;
    catalog.create_table(manager.shared()).await?;

    // Existing tenants are migrated before any request is served.
    let migrations = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let migrator = manager.migrator().tenants(migrations.clone());
    migrate(&migrator).await?;

    let provisioner = manager.provisioner().tenants(migrations).seed(welcome());
    provisioner.keep_spares(SPARES, Duration::from_secs(30));

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    show(listener.local_addr()?, "there are no tenants yet", &to_try());
    axum::serve(listener, app(manager.clone(), provisioner))
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await?;

    manager.close().await;
    database.close().await?;
    Ok(())
}

/// The first note of every tenant.
fn welcome() -> Seed {
    Seed::new("welcome", |tx| {
        Box::pin(async move {
            let text = match tx.tenant() {
                Some(id) => format!("welcome, {id}"),
                None => "welcome".to_owned(),
            };
            sqlx::query("insert into notes (text) values ($1)")
                .bind(text)
                .execute(&mut **tx)
                .await?;
            Ok(())
        })
    })
}

fn app(manager: TenantManager, provisioner: Provisioner) -> Router {
    let of_a_tenant = Router::new()
        .route("/notes", get(notes::list).post(notes::create))
        .layer(TenantLayer::new(manager));
    Router::new()
        .route("/sign-up", post(sign_up::sign_up))
        .with_state(provisioner)
        .merge(of_a_tenant)
}

fn to_try() -> [(&'static str, String); 6] {
    let sign_up = |id, company| {
        format!(
            "curl -i -X POST {{url}}/sign-up -H 'content-type: application/json' \\\n  \
             -d '{{\"id\": \"{id}\", \"company\": \"{company}\"}}'"
        )
    };
    let notes = "curl {url}/notes -H 'x-tenant-id: acme'";
    let note = "-H 'content-type: application/json' -d '{\"text\": \"the second\"}'";
    [
        ("sign up", sign_up("acme", "Acme Ltd")),
        ("and be served in the next request", notes.to_owned()),
        ("a second note", format!("{notes} \\\n  {note}")),
        ("the same id again: 409", sign_up("acme", "Another")),
        ("not a valid id: 400", sign_up("a;drop", "Bobby")),
        ("nobody has signed up: 404", "curl -i {url}/notes -H 'x-tenant-id: globex'".to_owned()),
    ]
}
