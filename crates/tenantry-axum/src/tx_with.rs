use axum_core::extract::{FromRequest, Request};
use tenantry::TenantTransaction;

use crate::{
    lookup,
    rejection::{TxRejection, TxWithRejection},
    tx::Tx,
    unread::watch,
};

/// Extracts the body of the request, and then a transaction on the database of its tenant.
///
/// `B` is what reads the body: `Json`, `Form`, `Bytes`, `String`, or an extractor of your own. It has
/// been read to its end when the transaction takes its connection, so a client that sends slowly holds
/// nothing up but itself. For the transaction, see [`Tx`](crate::Tx).
///
/// A `B` that keeps the body to be read later, as `Request`, `Body` and `Multipart` do, is refused when the
/// body has not arrived: the client gets a plain 500, and the log says why. Take [`Db`](crate::Db) there,
/// and call [`begin`](tenantry::TenantDb::begin) when the body has been read.
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
