//! Callers signed in with a cookie or a token, who are served only for the tenant that they signed
//! in to.
//!
//! Run it with `cargo run -p sessions` and try the commands that it prints.

mod authenticate;
mod data;
mod members;
mod sign_in;
mod token;

use std::{env, process::ExitCode};

use axum::{
    Json, Router,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post},
};
use example_support::{bind, database, exit_code, show, start_log};
use tenantry::{Isolation, SchemaDiscovery, TenantId, TenantManager};
use tenantry_axum::{Db, DbError, TenantLayer, resolve};
use tokio::net::TcpListener;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::{
    authenticate::{by_session, by_token},
    members::Members,
    sign_in::{sign_in, sign_out},
    token::{Caller, Keys},
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

    let address = listener.local_addr()?;
    let cookies = env::temp_dir().join(format!("sessions-{}.txt", address.port()));
    let to_try = to_try(&keys, &cookies.display().to_string())?;
    show(address, "the tenants are acme and globex", &to_try);
    tenantry_axum::serve(listener, app(&manager, keys), &manager).await?;
    database.close().await?;
    Ok(())
}

fn app(manager: &TenantManager, keys: Keys) -> Router {
    by_cookie(manager).merge(by_jwt(manager, keys))
}

/// For browsers. The header stands in for the host, by which a browser selects the tenant.
fn by_cookie(manager: &TenantManager) -> Router {
    let signed_in = Router::new()
        .route("/notes", get(notes))
        .route("/sign-out", post(sign_out))
        .route_layer(
            TenantLayer::new(manager.clone())
                .bound_to(|parts| TenantId::parse(&parts.extensions.get::<Caller>()?.tenant).ok())
                .authorize(Members),
        )
        .route_layer(from_fn(by_session));
    let anybody = Router::new()
        .route("/sign-in", post(sign_in))
        .route_layer(TenantLayer::new(manager.clone()));
    // No `Secure` cookie here: this example has no TLS.
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    // Outside of the tenant layers, which read its result.
    signed_in.merge(anybody).layer(sessions)
}

/// For programs. The tenant comes from the token, so there is nothing to compare it with.
fn by_jwt(manager: &TenantManager, keys: Keys) -> Router {
    let of_the_token = resolve::Extension::new(|caller: &Caller| Some(caller.tenant.as_str()));
    Router::new()
        .route("/api/notes", get(notes))
        .route_layer(TenantLayer::new(manager.clone()).resolver(of_the_token).authorize(Members))
        .route_layer(from_fn_with_state(keys, by_token))
}

async fn notes(Db(db): Db) -> Result<Json<Vec<String>>, DbError> {
    Ok(Json(sqlx::query_scalar("select text from notes order by text").fetch_all(&db).await?))
}

type ToTry = Vec<(&'static str, String)>;

fn to_try(keys: &Keys, cookies: &str) -> Result<ToTry, jsonwebtoken::errors::Error> {
    let sign_in = |name| {
        format!(
            "curl -i -c {cookies} {{url}}/sign-in -H 'x-tenant-id: acme' \\\n  \
             -H 'content-type: application/json' -d '{{\"name\": \"{name}\"}}'"
        )
    };
    let with_cookie = |rest: &str| format!("curl -i -b {cookies} {{url}}{rest}");
    let mut to_try = vec![
        ("bob is no member of acme: 403", sign_in("bob")),
        ("grace is, and gets a cookie", sign_in("grace")),
        ("with it she reads the notes of acme", with_cookie("/notes -H 'x-tenant-id: acme'")),
        (
            "and not those of globex, of which she is a member, too: 403",
            with_cookie("/notes -H 'x-tenant-id: globex'"),
        ),
        ("she signs out", with_cookie("/sign-out -X POST -H 'x-tenant-id: acme'")),
        ("the cookie is worth nothing now: 401", with_cookie("/notes -H 'x-tenant-id: acme'")),
    ];
    let lines = [
        ("a program with a token of ada's, a member of acme", "ada", "acme"),
        ("a token for globex, of which she is not a member: 403", "ada", "globex"),
        ("a token for a tenant that does not exist: 404", "ada", "nobody"),
    ];
    for (what, sub, tenant) in lines {
        let token = keys.sign(sub, tenant)?;
        let line = format!("curl -i {{url}}/api/notes -H 'authorization: Bearer {token}'");
        to_try.push((what, line));
    }
    to_try.push(("no token: 401", "curl -i {url}/api/notes -H 'x-tenant-id: acme'".to_owned()));
    Ok(to_try)
}
