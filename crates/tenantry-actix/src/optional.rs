use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::TenantDb;

use crate::{lookup, tenant_rejection::TxRejection};

/// Extracts [`Db`](crate::Db), [`Tx`](crate::Tx) or [`CurrentTenant`](crate::CurrentTenant) if the
/// request has a tenant.
///
/// It is `None` only if an [optional](crate::TenantMiddleware::optional) middleware found no
/// tenant. It is rejected outside of any middleware, and if a transaction cannot begin.
///
/// # Why not `Option`
///
/// actix turns *every* extractor error into `None`. So `Option<Db>` cannot distinguish a request
/// without a tenant from a route with a forgotten middleware, and `Option<Tx>` is `None` even if
/// the tenant exists but no connection became free in time. Both work and log an error in these
/// cases, but the handler runs without its tenant.
///
/// # Examples
///
/// ```no_run
/// use tenantry_actix::{CurrentTenant, Optional};
///
/// async fn greet(Optional(tenant): Optional<CurrentTenant>) -> String {
///     match tenant {
///         Some(CurrentTenant(tenant)) => format!("hello {}", tenant.id()),
///         None => "hello stranger".to_owned(),
///     }
/// }
/// # let _ = actix_web::App::new().route("/", actix_web::web::get().to(greet));
/// ```
#[derive(Debug, Clone)]
pub struct Optional<E>(pub Option<E>);

impl<E: FromTenant> FromRequest for Optional<E> {
    type Error = TxRejection;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let db = lookup::optional(request).map_err(TxRejection::from);
        let db = db.and_then(|db| match db {
            Some(db) => E::check(request, payload).map(|()| Some(db)),
            None => Ok(None),
        });
        Box::pin(async move {
            match db? {
                Some(db) => Ok(Self(Some(E::from_tenant(db).await?))),
                None => Ok(Self(None)),
            }
        })
    }
}

/// An extractor created from a tenant's handle: `Db`, `Tx` and `CurrentTenant`. Not nameable
/// outside of the crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be optional",
    label = "not `Db`, `Tx` or `CurrentTenant`",
    note = "`Optional` takes `Db`, `Tx` or `CurrentTenant`; `Shared` needs no tenant, and `TxWith` has to have one"
)]
pub trait FromTenant: Sized + 'static {
    /// Checks that it can be created for this request.
    fn check(_: &HttpRequest, _: &mut Payload) -> Result<(), TxRejection> {
        Ok(())
    }

    /// Creates it.
    fn from_tenant(db: TenantDb) -> impl Future<Output = Result<Self, TxRejection>>;
}
