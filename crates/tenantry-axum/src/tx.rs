use axum_core::extract::{FromRequest, OptionalFromRequest, Request};
use tenantry::{TenantDb, TenantTransaction};

use crate::{error::DbError, lookup, rejection::TxRejection};

/// Extracts a transaction on the database of the tenant that the request is for.
///
/// It has begun when the handler starts, and takes a connection until it is committed, rolled back or
/// dropped. **Without `tx.commit()` nothing lasts**: not when the handler returns early with `?`, not
/// when it panics, and not when the client goes away and axum drops the handler. The roll-back then
/// happens in the background, before the connection is used again.
///
/// `Option<Tx>` is `None` where an [optional](crate::TenantLayer::optional) layer found no tenant, and
/// is rejected outside of any layer.
///
/// A response with a status of 2xx after a transaction that had changed something and was dropped without
/// `commit` is logged as a warning, with the tenant and the request's method and path. The same goes for
/// transactions that are begun on [`Db`](crate::Db).
///
/// # One connection at a time
///
/// A handler that has `Tx` and runs statements on [`Db`](crate::Db) as well needs two connections at
/// once. When all requests do so, each may hold one and wait for its second until it times out: run
/// everything on `&mut *tx`.
///
/// # Bodies
///
/// A transaction never waits for a client: a few that send slowly would hold every connection of the
/// pool. So `Tx` takes the whole request, and nothing beside it can read the body. [`TxWith`](crate::TxWith)
/// reads the body first and then begins:
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
/// Neither of these is a handler:
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
/// Where a handler streams the body, or waits for another service, take [`Db`](crate::Db) and call
/// [`begin`](tenantry::TenantDb::begin) when that is over. A transaction that is left idle all the same is
/// ended by the server after
/// [`idle_in_transaction_timeout`](tenantry::PoolOptions::idle_in_transaction_timeout).
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
