//! May they? The hook of the tenant layer.

use axum::http::request::Parts;
use tenantry_axum::{Authorize, AuthorizeError, TenantDb};

use crate::token::Claims;

/// Lets in whom the tenant's own table has as a member. A token says who was one when it was signed;
/// whoever was removed since then stays out although the token is good for an hour.
pub(crate) struct Members;

impl Authorize for Members {
    async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
        let claims = parts.extensions.get::<Claims>().ok_or(AuthorizeError::Denied)?;
        let is_member: bool =
            sqlx::query_scalar("select exists (select from members where name = $1)")
                .bind(&claims.sub)
                .fetch_one(db)
                .await
                .map_err(tenantry::Error::from)?;
        is_member.then_some(()).ok_or(AuthorizeError::Denied)
    }
}
