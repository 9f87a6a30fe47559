use axum_core::extract::{FromRequest, Request};
use tenantry::TenantTransaction;

use crate::{
    lookup,
    tenant_rejection::{TxRejection, TxWithRejection},
    tx::Tx,
    unread::watch,
};

/// Extracts the request's body, and then a transaction on the database of its tenant.
///
/// `B` reads the body: `Json`, `Form`, `Bytes`, `String`, or a custom extractor. The transaction
/// takes its connection after the whole body was read, so a slow client delays only itself. For the
/// transaction, see [`Tx`](crate::Tx).
///
/// A `B` that leaves the body to be read later, such as `Request`, `Body` or `Multipart`, is
/// rejected if the body has not arrived: the client gets a plain 500, and the log explains why. Use
/// [`Db`](crate::Db) instead, and call [`begin`](tenantry::TenantDb::begin) after reading the body.
///
/// # Examples
///
/// ```no_run
/// use axum::{Json, http::StatusCode};
/// use tenantry_axum::{DbError, TxWith};
///
/// async fn create(
///     TxWith(mut tx, Json(name)): TxWith<Json<String>>,
/// ) -> Result<StatusCode, DbError> {
///     sqlx::query("insert into users (name) values ($1)").bind(name).execute(&mut *tx).await?;
///     sqlx::query("insert into log values ('a new user')").execute(&mut *tx).await?;
///     tx.commit().await?;
///     Ok(StatusCode::CREATED)
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::post(create));
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct TxWith<B>(pub TenantTransaction, pub B);

impl<S, B> FromRequest<S> for TxWith<B>
where
    S: Send + Sync,
    B: FromRequest<S> + Send,
{
    type Rejection = TxWithRejection<B::Rejection>;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let db = lookup::required(request.extensions()).map_err(TxRejection::from)?.clone();
        let (request, unread) = watch(request);
        let body = B::from_request(request, state).await.map_err(TxWithRejection::Body)?;
        if unread.is_kept() {
            return Err(TxRejection::UnreadBody.into());
        }
        Ok(Self(Tx::begin(&db).await?, body))
    }
}
