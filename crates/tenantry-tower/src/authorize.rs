use http::request::Parts;
use tenantry::{TenantDb, admission::AuthorizeError};

/// Decides whether a caller may use a tenant; see [`TenantLayer::authorize`](crate::TenantLayer::authorize).
///
/// It is asked when the tenant is known to exist, be it active or suspended. That it is suspended is told
/// to callers whom the hook lets in; others are denied as anywhere else. On the handle of a suspended
/// tenant nothing can be run: a hook that asks the tenant's own database, as the one below does, denies
/// all callers then, its members too.
///
/// A closure implements it when it
/// takes its arguments by reference and returns a future that borrows neither: what the future needs
/// it has to take out first. A type may implement it with an `async fn` that borrows both.
///
/// # Examples
///
/// The caller has to be in the tenant's own table of users:
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
    /// [`AuthorizeError`] when the caller may not, or when that could not be found out.
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
