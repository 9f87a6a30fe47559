//! Authorization: the hook of the tenant layers.

use axum::http::request::Parts;
use tenantry_axum::{Authorize, AuthorizeError, TenantDb};

use crate::token::Caller;

/// Accepts members in the tenant's own table. A session or token only proves membership at sign-in;
/// a member who was removed since then is rejected, although the token is valid for an hour.
pub(crate) struct Members;

impl Authorize for Members {
    async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
        let caller = parts.extensions.get::<Caller>().ok_or(AuthorizeError::Denied)?;
        let is_member = is_member(db, &caller.sub).await.map_err(tenantry::Error::from)?;
        is_member.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

pub(crate) async fn is_member(db: &TenantDb, name: &str) -> sqlx::Result<bool> {
    let exists = sqlx::query_scalar("select exists (select from members where name = $1)");
    exists.bind(name).fetch_one(db).await
}
