use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::{TenantDb, TenantTransaction};

use crate::{body, error::DbError, lookup, optional::FromTenant, tenant_rejection::TxRejection};

/// Extracts a transaction on the database of the request's tenant.
///
/// It begins before the handler starts, and holds a connection until it is committed, rolled back
/// or dropped. **Without `tx.commit()`, it is rolled back**: if the handler returns early with `?`,
/// if it panics, if another extractor fails, and if actix drops the handler. The rollback then
/// happens in the background, before the connection is reused.
///
/// Behind an [optional](crate::TenantMiddleware::optional) middleware, use
/// [`Optional<Tx>`](crate::Optional).
///
/// # A client that goes away
///
/// By default, actix runs a handler to its end even after the client has closed its sending side,
/// because the client may still wait for the response. So a transaction may be committed after its
/// client is gone. With
/// [`h1_allow_half_closed(false)`](actix_web::HttpServer::h1_allow_half_closed), as recommended for
/// every service with a database, actix drops the handler at once: the transaction is rolled back,
/// and a running statement is cancelled.
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
/// of the pool. actix runs extractors concurrently, so `Tx` rejects a request with a body: the
/// client gets a plain 500 before any connection is taken, and the log explains the remedy.
/// [`TxWith`](crate::TxWith) reads the body first and then begins the transaction.
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
/// A body that no header announces, as HTTP/2 and upgraded connections allow, is hidden from the
/// other extractors.
///
/// If a handler streams the body or waits for another service, use [`Db`](crate::Db) and call
/// [`begin`](tenantry::TenantDb::begin) afterwards. The server ends a transaction that stays idle
/// after [`idle_in_transaction_timeout`](tenantry::PoolOptions::idle_in_transaction_timeout).
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
