//! The handlers' state, created for each request: the tenant's database takes the pool's place.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tenantry_axum::{Db, TenantDb};

#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) db: TenantDb,
    pub(crate) settings: Arc<Settings>,
}

pub(crate) struct Settings {
    pub(crate) currency: &'static str,
}

/// The middleware that creates the state of a request.
pub(crate) async fn with_state(
    State(settings): State<Arc<Settings>>,
    Db(db): Db,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(AppState { db, settings });
    next.run(request).await
}
