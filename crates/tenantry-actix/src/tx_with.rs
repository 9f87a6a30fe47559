use std::pin::Pin;

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload};
use tenantry::TenantTransaction;

use crate::{body, lookup, tenant_rejection::TxRejection, tx::Tx};

/// Extracts the request's body, and then a transaction on the database of its tenant.
///
/// `B` reads the body: `Json`, `Form`, `Bytes`, `String`, or a custom extractor. The transaction
/// takes its connection after the whole body was read, so a slow client delays only itself. If `B`
/// fails, its own error is returned, as configured for `B`. For the transaction, see
/// [`Tx`](crate::Tx).
///
/// A `B` that leaves the body to be read later, such as `Payload` or `Multipart`, is rejected, and
/// so is another extractor of the body before this one: the client gets a plain 500, and the log
/// explains why. Use [`Db`](crate::Db) instead, and call [`begin`](tenantry::TenantDb::begin) after
/// reading the body.
///
/// # Examples
///
/// ```no_run
/// use actix_web::{HttpResponse, web::{self, Json}};
/// use tenantry_actix::{DbError, TxWith};
///
/// async fn create(
///     TxWith(mut tx, Json(name)): TxWith<Json<String>>,
/// ) -> Result<HttpResponse, DbError> {
///     sqlx::query("insert into users (name) values ($1)").bind(name).execute(&mut *tx).await?;
///     sqlx::query("insert into log values ('a new user')").execute(&mut *tx).await?;
///     tx.commit().await?;
///     Ok(HttpResponse::Created().finish())
/// }
/// # let _ = actix_web::App::new().route("/", web::post().to(create));
/// ```
#[must_use = "a transaction is rolled back unless it is committed"]
#[derive(Debug)]
pub struct TxWith<B>(pub TenantTransaction, pub B);

impl<B: FromRequest + 'static> FromRequest for TxWith<B> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let db = lookup::required(request).map_err(TxRejection::from);
        let started = db.and_then(|db| {
            let (mut payload, unread) = body::watch(request, payload)?;
            Ok((db, B::from_request(request, &mut payload), unread))
        });
        let request = request.clone();
        Box::pin(async move {
            let (db, body, unread) = started?;
            let body = body.await.map_err(Into::into)?;
            unread.check(&request)?;
            Ok(Self(Tx::begin(db).await?, body))
        })
    }
}
