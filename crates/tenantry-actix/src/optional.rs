use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenantry::TenantDb;

use crate::{lookup, tenant_rejection::TxRejection};

/// Extracts [`Db`](crate::Db), [`Tx`](crate::Tx) or [`CurrentTenant`](crate::CurrentTenant) where there
/// may be no tenant.
///
/// It is `None` where an [optional](crate::TenantMiddleware::optional) middleware has found no tenant,
/// and only there. Outside of any middleware it is rejected, and so it is when a transaction cannot be
/// begun.
///
/// # Why not `Option`
///
/// actix makes a `None` of *every* error of an extractor. `Option<Db>` cannot tell a request without a
/// tenant from a route whose middleware was forgotten, and `Option<Tx>` is `None` even when the tenant
/// is there and no connection became free in time. Both work, and write an error to the log then; but
/// the handler runs without its tenant.
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

/// What can be made of a tenant's handle: `Db`, `Tx` and `CurrentTenant`. Not nameable outside of the crate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be optional",
    label = "not `Db`, `Tx` or `CurrentTenant`",
    note = "`Optional` takes `Db`, `Tx` or `CurrentTenant`; `Shared` needs no tenant, and `TxWith` has to have one"
)]
pub trait FromTenant: Sized + 'static {
    /// Checks that it may be made for this request.
    fn check(_: &HttpRequest, _: &mut Payload) -> Result<(), TxRejection> {
        Ok(())
    }

    /// Makes it.
    fn from_tenant(db: TenantDb) -> impl Future<Output = Result<Self, TxRejection>>;
}
