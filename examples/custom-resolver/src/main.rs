//! The tenant of a request from a token that was verified, and a hook that asks the tenant's own table
//! whether the caller is a member.
//!
//! Run it with `cargo run -p custom-resolver` and try the commands that it prints.

mod authenticate;
mod database;
mod members;
mod token;

use std::{env, net::SocketAddr};

use anyhow::Context as _;
use axum::{Json, Router, middleware::from_fn_with_state, routing::get};
use tenantry::{Isolation, PlainFormat, SchemaDiscovery, TenantManager};
use tenantry_axum::{Db, DbError, TenantLayer, resolve};
use tenantry_devdb::Database;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use crate::{
    authenticate::authenticate,
    members::Members,
    token::{Claims, Keys},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse());
    let port: u16 = port.context("PORT must be a number up to 65535")?;
    let keys = Keys::from_env()?;

    let database = Database::given_or_throwaway().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    database::prepare(&manager).await?;

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    say_what_to_try(listener.local_addr()?, &keys)?;
    axum::serve(listener, app(manager.clone(), keys))
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

fn app(manager: TenantManager, keys: Keys) -> Router {
    let of_the_claim = resolve::Extension::new(|claims: &Claims| Some(claims.tenant.as_str()));
    Router::new()
        .route("/notes", get(notes))
        .layer(TenantLayer::new(manager).resolver(of_the_claim).authorize(Members))
        // Outside of the tenant layer, which reads what it finds out.
        .layer(from_fn_with_state(keys, authenticate))
}

async fn notes(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    Ok(Json(sqlx::query_scalar("select text from notes order by text").fetch_all(&db).await?))
}

#[expect(clippy::print_stdout, reason = "a person is to read it and to copy from it")]
fn say_what_to_try(address: SocketAddr, keys: &Keys) -> Result<(), jsonwebtoken::errors::Error> {
    println!("listening on http://{address}; the tenants are acme and globex. Try:");
    for (who, sub, tenant) in [
        ("ada, a member of acme", "ada", "acme"),
        ("grace, a member of both, for globex", "grace", "globex"),
        ("ada for globex, of which she is no member: 403", "ada", "globex"),
        ("ada for a tenant that does not exist: 404", "ada", "nobody"),
    ] {
        let token = keys.sign(sub, tenant)?;
        println!("\n# {who}");
        println!("curl -i http://{address}/notes -H 'authorization: Bearer {token}'");
    }
    println!("\n# nobody: 401");
    println!("curl -i http://{address}/notes -H 'x-tenant-id: acme'");
    Ok(())
}
