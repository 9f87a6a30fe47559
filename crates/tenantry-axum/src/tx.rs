use axum_core::extract::{FromRequest, OptionalFromRequest, Request};
use tenantry::{TenantDb, TenantTransaction};

use crate::{error::DbError, lookup, tenant_rejection::TxRejection};

/// Extracts a transaction on the database of the request's tenant.
///
/// It begins before the handler starts, and holds a connection until it is committed, rolled back
/// or dropped. **Without `tx.commit()`, it is rolled back**: if the handler returns early with `?`,
/// if it panics, and if the client disconnects and axum drops the handler. The rollback then
/// happens in the background, before the connection is reused.
///
/// `Option<Tx>` is `None` if an [optional](crate::TenantLayer::optional) layer found no tenant, and
/// is rejected outside of any layer.
///
/// If a transaction that changed something is dropped without `commit` and the response has a 2xx
/// status, a warning is logged with the tenant and the request's method and path. This also applies
/// to transactions begun on [`Db`](crate::Db).
///
/// # One connection at a time
///
/// A handler that has `Tx` and also runs statements on [`Db`](crate::Db) needs two connections at
/// once. If all requests do so, each can hold one connection and wait for its second until it times
/// out. Run everything on `&mut *tx`.
///
/// # Bodies
///
/// A transaction never waits for a client, because a few slow senders could hold every connection
/// of the pool. So `Tx` consumes the whole request, and no other extractor can read the body.
/// [`TxWith`](crate::TxWith) reads the body first and then begins the transaction:
///
/// ```
/// use axum::{Json, Router, routing::post};
/// use tenantry_axum::TxWith;
///
/// async fn create(TxWith(_tx, Json(_name)): TxWith<Json<String>>) {}
/// # fn example() -> Router {
/// Router::new().route("/", post(create))
/// # }
/// ```
///
/// Neither of these compiles as a handler:
///
/// ```compile_fail
/// # use axum::{Json, Router, routing::post};
/// # use tenantry_axum::Tx;
/// async fn create(Tx(_tx): Tx, Json(_name): Json<String>) {}
/// # fn example() -> Router {
/// Router::new().route("/", post(create))
/// # }
/// ```
///
/// ```compile_fail
/// # use axum::{Json, Router, routing::post};
/// # use tenantry_axum::Tx;
/// async fn create(Json(_name): Json<String>, Tx(_tx): Tx) {}
/// # fn example() -> Router {
/// Router::new().route("/", post(create))
/// # }
/// ```
///
/// If a handler streams the body or waits for another service, use [`Db`](crate::Db) and call
/// [`begin`](tenantry::TenantDb::begin) afterwards. The server ends a transaction that stays idle
/// after [`idle_in_transaction_timeout`](tenantry::PoolOptions::idle_in_transaction_timeout).
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
    pub(crate) async fn begin(db: &TenantDb) -> Result<TenantTransaction, TxRejection> {
        Ok(db.begin().await.map_err(DbError::from)?)
    }
}

impl<S: Sync> FromRequest<S> for Tx {
    type Rejection = TxRejection;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        drop(body);
        Self::begin(lookup::required(&parts.extensions)?).await.map(Self)
    }
}

impl<S: Sync> OptionalFromRequest<S> for Tx {
    type Rejection = TxRejection;

    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Self::Rejection> {
        let (parts, body) = request.into_parts();
        drop(body);
        match lookup::optional(&parts.extensions)? {
            Some(db) => Self::begin(db).await.map(|tx| Some(Self(tx))),
            None => Ok(None),
        }
    }
}
