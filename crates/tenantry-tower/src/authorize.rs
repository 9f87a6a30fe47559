use http::request::Parts;
use tenantry::{TenantDb, admission::AuthorizeError};

/// Decides whether a caller may use a tenant; see [`TenantLayer::authorize`](crate::TenantLayer::authorize).
///
/// It runs once the tenant is known to exist, whether active or suspended. Only callers that it
/// accepts learn that a tenant is suspended; others are denied as usual. No statement can run on
/// the handle of a suspended tenant: a hook that queries the tenant's own database, like the one
/// below, then denies all callers, including members.
///
/// A closure implements it if it takes its arguments by reference and returns a future that borrows
/// neither: it must extract what the future needs first. A type can implement it with an `async fn`
/// that borrows both.
///
/// # Examples
///
/// The caller must be in the tenant's own table of users:
///
/// ```no_run
/// use http::request::Parts;
/// use tenantry_tower::{Authorize, AuthorizeError, TenantDb};
///
/// # #[derive(Clone)] struct Login { email: String }
/// struct Members;
///
/// impl Authorize for Members {
///     async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
///         let login = parts.extensions.get::<Login>().ok_or(AuthorizeError::Denied)?;
///         let member = sqlx::query("select from users where email = $1")
///             .bind(&login.email)
///             .fetch_optional(db)
///             .await
///             .map_err(tenantry::Error::from)?;
///         member.map(|_| ()).ok_or(AuthorizeError::Denied)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide whether a caller may use a tenant",
    label = "not an authorize hook",
    note = "use a closure `|db: &TenantDb, parts: &Parts|` that returns an `async move` block with `Result<(), AuthorizeError>`",
    note = "the block must not borrow from its arguments: implement `Authorize` for a type, with an `async fn`, where it has to"
)]
pub trait Authorize: Send + Sync + 'static {
    /// Decides whether the caller that sent these parts may use this tenant.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`] if the caller may not, or if that could not be determined.
    fn authorize(
        &self,
        db: &TenantDb,
        parts: &Parts,
    ) -> impl Future<Output = Result<(), AuthorizeError>> + Send;
}

#[diagnostic::do_not_recommend]
impl<F, Verdict> Authorize for F
where
    F: Fn(&TenantDb, &Parts) -> Verdict + Send + Sync + 'static,
    Verdict: Future<Output = Result<(), AuthorizeError>> + Send,
{
    fn authorize(
        &self,
        db: &TenantDb,
        parts: &Parts,
    ) -> impl Future<Output = Result<(), AuthorizeError>> + Send {
        self(db, parts)
    }
}
