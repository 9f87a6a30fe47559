use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenantry::{TenantDb, TenantTransaction};

use crate::{error::DbError, lookup, rejection::TxRejection};

/// Extracts a transaction on the database of the tenant that the request is for.
///
/// It has begun when the handler starts, and takes a connection until it is committed, rolled back or
/// dropped. **Without `tx.commit()` nothing lasts**: not when the handler returns early with `?`, not
/// when it panics, and not when the client goes away and axum drops the handler. The roll-back then
/// happens in the background, before anybody else gets the connection.
///
/// `Option<Tx>` is `None` where an [optional](crate::TenantLayer::optional) layer found no tenant, and
/// is rejected outside of any layer.
///
/// # One connection at a time
///
/// A handler that has `Tx` and runs statements on [`Db`](crate::Db) as well needs two connections at
/// once. When all requests do so, each may hold one and wait for its second until it times out: run
/// everything on `&mut *tx`.
///
/// # Slow clients
///
/// axum reads the body after everything else, so a handler of `Tx` and `Json` holds its connection
/// while the client sends. Behind a proxy that buffers requests that is nothing; where clients may be
/// slow or the bodies large, take [`Db`](crate::Db) and call
/// [`begin`](tenantry::TenantDb::begin) in the handler.
///
/// # Examples
///
/// ```no_run
/// use axum::http::StatusCode;
/// use tenantry_axum::{DbError, Tx};
///
/// async fn close_account(Tx(mut tx): Tx) -> Result<StatusCode, DbError> {
///     sqlx::query("delete from posts").execute(&mut *tx).await?;
///     sqlx::query("delete from users").execute(&mut *tx).await?;
///     tx.commit().await?;
///     Ok(StatusCode::NO_CONTENT)
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::delete(close_account));
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct Tx(pub TenantTransaction);

impl Tx {
    async fn begin(db: &TenantDb) -> Result<Self, TxRejection> {
        let begun = db.begin().await.map_err(DbError::from)?;
        Ok(Self(begun))
    }
}

impl<S: Sync> FromRequestParts<S> for Tx {
    type Rejection = TxRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::begin(lookup::required(parts)?).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Tx {
    type Rejection = TxRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        match lookup::optional(parts)? {
            Some(db) => Self::begin(db).await.map(Some),
            None => Ok(None),
        }
    }
}
