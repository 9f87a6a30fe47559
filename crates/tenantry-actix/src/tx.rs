use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::{TenantDb, TenantTransaction};

use crate::{error::DbError, lookup, optional::FromTenant, tenant_rejection::TxRejection};

/// Extracts a transaction on the database of the tenant that the request is for.
///
/// It has begun when the handler starts, and takes a connection until it is committed, rolled back or
/// dropped. **Without `tx.commit()` nothing lasts**: not when the handler returns early with `?`, not
/// when it panics, not when a later extractor fails (a body that is too large, say), and not when actix
/// drops the handler. The roll-back then happens in the background, before anybody else gets the
/// connection.
///
/// Where an [optional](crate::TenantMiddleware::optional) middleware may have found no tenant, take
/// [`Optional<Tx>`](crate::Optional).
///
/// # A client that goes away
///
/// By default actix lets a handler run to its end although the client has closed its side, for a client
/// may do that and still wait for the answer: then a transaction is committed whose client is gone.
/// With [`h1_allow_half_closed(false)`](actix_web::HttpServer::h1_allow_half_closed) actix drops the
/// handler at once, and the transaction is rolled back.
///
/// # One connection at a time
///
/// A handler that has `Tx` and runs statements on [`Db`](crate::Db) as well needs two connections at
/// once. When all requests do so, each may hold one and wait for its second until it times out: run
/// everything on `&mut *tx`.
///
/// # Slow clients
///
/// actix runs extractors side by side, so a handler of `Tx` and `Json` holds its connection while the
/// client sends. Behind a proxy that buffers requests that is nothing; where clients may be slow or the
/// bodies large, take [`Db`](crate::Db) and call [`begin`](tenantry::TenantDb::begin) in the handler.
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

impl FromRequest for Tx {
    type Error = TxRejection;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let db = lookup::required(request);
        Box::pin(async move { Self::from_tenant(db?).await })
    }
}

impl FromTenant for Tx {
    async fn from_tenant(db: TenantDb) -> Result<Self, TxRejection> {
        match db.begin().await {
            Ok(tx) => Ok(Self(tx)),
            Err(error) => {
                let error = DbError::from(error);
                // Here, because actix makes no response of an error inside of an `Option`.
                error.log();
                Err(error.into())
            }
        }
    }
}
