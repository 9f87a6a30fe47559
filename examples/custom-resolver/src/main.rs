//! The tenant of a request from a token that was verified, and a hook that asks the tenant's own table
//! whether the caller is a member.
//!
//! Run it with `cargo run -p custom-resolver` and try the commands that it prints.

mod authenticate;
mod data;
mod members;
mod token;

use std::process::ExitCode;

use axum::{Json, Router, middleware::from_fn_with_state, routing::get};
use example_support::{bind, database, exit_code, show, start_log};
use tenantry::{Isolation, SchemaDiscovery, TenantManager};
use tenantry_axum::{Db, DbError, TenantLayer, resolve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    authenticate::authenticate,
    members::Members,
    token::{Claims, Keys},
};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> anyhow::Result<()> {
    start_log("info");
    let listener = TcpListener::from_std(bind()?)?;
    let keys = Keys::from_env()?;

    let database = database().await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("tenant_{id}"))
        .catalog(SchemaDiscovery::default())
        .max_connections(10)
        .build()?;
    data::prepare(&manager).await?;

    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let about = "the tenants are acme and globex";
    show(listener.local_addr()?, about, &to_try(&keys)?);
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

fn to_try(keys: &Keys) -> Result<Vec<(&'static str, String)>, jsonwebtoken::errors::Error> {
    let lines = [
        ("ada, a member of acme", "ada", "acme"),
        ("grace, a member of both, for globex", "grace", "globex"),
        ("ada for globex, of which she is not a member: 403", "ada", "globex"),
        ("ada for a tenant that does not exist: 404", "ada", "nobody"),
    ];
    let mut to_try =
        vec![("no token: 401", "curl -i {url}/notes -H 'x-tenant-id: acme'".to_owned())];
    for (who, sub, tenant) in lines {
        let token = keys.sign(sub, tenant)?;
        to_try.push((who, format!("curl -i {{url}}/notes -H 'authorization: Bearer {token}'")));
    }
    Ok(to_try)
}
