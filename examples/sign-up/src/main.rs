//! A route that provisions a tenant in one request, to be served in the next.
//!
//! Run it with `cargo run -p sign-up` and try the commands that it prints.

mod notes;
mod sign_up;

use std::{env, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use axum::{
    Router,
    routing::{get, post},
};
use tenantry::{
    Isolation, PlainFormat, TableCatalog, TenantManager,
    migrate::{MigrateOptions, Migrations},
    provision::Provisioner,
    seed::Seed,
};
use tenantry_axum::TenantLayer;
use tenantry_devdb::Database;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// Schemas that are kept ready for whoever signs up next.
const SPARES: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse());
    let port: u16 = port.context("PORT must be a number up to 65535")?;

    let database = Database::given_or_throwaway().await?;
    let catalog = TableCatalog::new();
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(catalog.clone())
        .max_connections(10)
        .build()?;
    catalog.create_table(manager.shared()).await?;

    // The tenants that there are get what is new, before anybody is served.
    let migrations = Migrations::embedded(&sqlx::migrate!("migrations/tenants"))?;
    let migrator = manager.migrator().tenants(migrations.clone());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    ensure!(report.is_success(), "some tenants could not be migrated\n{report}");
    for line in report.to_string().lines().filter(|line| !line.is_empty()) {
        tracing::info!("{line}");
    }

    let provisioner = manager.provisioner().tenants(migrations).seed(welcome());
    provisioner.keep_spares(SPARES, Duration::from_secs(30));

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    say_what_to_try(listener.local_addr()?);
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

#[expect(clippy::print_stdout, reason = "a person is to read it and to copy from it")]
fn say_what_to_try(address: SocketAddr) {
    println!("listening on http://{address}; there are no tenants yet. Try:");
    println!();
    println!("# sign up, and be served in the next request");
    println!("curl -i -X POST http://{address}/sign-up -H 'content-type: application/json' \\");
    println!("  -d '{{\"id\": \"acme\", \"company\": \"Acme Ltd\"}}'");
    println!("curl http://{address}/notes -H 'x-tenant-id: acme'");
    println!("curl -i -X POST http://{address}/notes -H 'x-tenant-id: acme' \\");
    println!("  -H 'content-type: application/json' -d '{{\"text\": \"the second\"}}'");
    println!();
    println!("# the same id again: 409; an id that is none: 400; one that has not signed up: 404");
    println!("curl -i -X POST http://{address}/sign-up -H 'content-type: application/json' \\");
    println!("  -d '{{\"id\": \"acme\", \"company\": \"Another\"}}'");
    println!("curl -i -X POST http://{address}/sign-up -H 'content-type: application/json' \\");
    println!("  -d '{{\"id\": \"a;drop\", \"company\": \"Bobby\"}}'");
    println!("curl -i http://{address}/notes -H 'x-tenant-id: globex'");
}
