use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::{TenantDb, TenantTransaction};

use crate::{body, error::DbError, lookup, optional::FromTenant, tenant_rejection::TxRejection};

/// Extracts a transaction on the database of the tenant that the request is for.
///
/// It has begun when the handler starts, and takes a connection until it is committed, rolled back or
/// dropped. **Without `tx.commit()` nothing lasts**: not when the handler returns early with `?`, not
/// when it panics, not when another extractor fails, and not when actix drops the handler. The roll-back
/// then happens in the background, before the connection is used again.
///
/// Where an [optional](crate::TenantMiddleware::optional) middleware may have found no tenant, take
/// [`Optional<Tx>`](crate::Optional).
///
/// # A client that goes away
///
/// By default actix lets a handler run to its end although the client has closed its side, for a client
/// may do that and still wait for the answer: then a transaction is committed whose client is gone.
/// With [`h1_allow_half_closed(false)`](actix_web::HttpServer::h1_allow_half_closed), as recommended for
/// every service on a database, actix drops the handler at once: the transaction is rolled back, and a
/// statement that runs is cancelled.
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
/// pool. actix runs extractors side by side, so `Tx` refuses a request that has a body: the client gets a
/// plain 500 before any connection is taken, and the log says what to do. [`TxWith`](crate::TxWith) reads
/// the body first and then begins.
///
/// ```no_run
/// use actix_web::{HttpResponse, web::Json};
/// use tenantry_actix::TxWith;
///
/// async fn create(TxWith(_tx, Json(_name)): TxWith<Json<String>>) -> HttpResponse {
///     HttpResponse::Created().finish()
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::post().to(create));
/// ```
///
/// A body that is not announced, as HTTP/2 and upgraded connections allow, is taken away from the other
/// extractors.
///
/// Where a handler streams the body, or waits for another service, take [`Db`](crate::Db) and call
/// [`begin`](tenantry::TenantDb::begin) when that is over. A transaction that is left idle all the same is
/// ended by the server after
/// [`idle_in_transaction_timeout`](tenantry::PoolOptions::idle_in_transaction_timeout).
///
/// # Examples
///
/// ```no_run
/// use actix_web::{HttpResponse, web};
/// use tenantry_actix::{DbError, Tx};
///
/// async fn close_account(Tx(mut tx): Tx) -> Result<HttpResponse, DbError> {
///     sqlx::query("delete from posts").execute(&mut *tx).await?;
///     sqlx::query("delete from users").execute(&mut *tx).await?;
///     tx.commit().await?;
///     Ok(HttpResponse::NoContent().finish())
/// }
/// # let _ = actix_web::App::new().route("/", web::delete().to(close_account));
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct Tx(pub TenantTransaction);

impl Tx {
    pub(crate) async fn begin(db: TenantDb) -> Result<TenantTransaction, TxRejection> {
        db.begin().await.map_err(|error| {
            let error = DbError::from(error);
            // Here, because actix makes no response of an error inside of an `Option`.
            error.log();
            error.into()
        })
    }
}

impl FromRequest for Tx {
    type Error = TxRejection;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let db = lookup::required(request).map_err(TxRejection::from);
        let db = db.and_then(|db| Self::check(request, payload).map(|()| db));
        Box::pin(async move { Self::from_tenant(db?).await })
    }
}

impl FromTenant for Tx {
    fn check(request: &HttpRequest, payload: &mut Payload) -> Result<(), TxRejection> {
        body::refuse(request, payload)
    }

    async fn from_tenant(db: TenantDb) -> Result<Self, TxRejection> {
        Self::begin(db).await.map(Self)
    }
}
