//! Signing in to a tenant, and out again.

use axum::{Extension, Json, http::StatusCode};
use serde::Deserialize;
use tenantry_axum::{Db, DbError};
use tower_sessions::Session;

use crate::{members::is_member, token::Caller};

/// The key of the caller in a session.
pub(crate) const CALLER: &str = "caller";

#[derive(Deserialize)]
pub(crate) struct SignIn {
    name: String,
}

/// Stores who signed in, and to which tenant. In production, check a password here.
pub(crate) async fn sign_in(
    Db(db): Db,
    Extension(session): Extension<Session>,
    Json(who): Json<SignIn>,
) -> Result<StatusCode, DbError> {
    if !is_member(&db, &who.name).await? {
        return Err(StatusCode::FORBIDDEN.into());
    }
    let caller = Caller { sub: who.name, tenant: db.tenant().id().to_string() };
    // A new id prevents session fixation.
    let stored = match session.cycle_id().await {
        Ok(()) => session.insert(CALLER, caller).await,
        Err(error) => Err(error),
    };
    stored.map(|()| StatusCode::NO_CONTENT).map_err(unavailable)
}

pub(crate) async fn sign_out(
    Extension(session): Extension<Session>,
) -> Result<StatusCode, DbError> {
    session.flush().await.map(|()| StatusCode::NO_CONTENT).map_err(unavailable)
}

fn unavailable(error: tower_sessions::session::Error) -> DbError {
    tracing::error!(%error, "cannot store the session");
    StatusCode::SERVICE_UNAVAILABLE.into()
}
