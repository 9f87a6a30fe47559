use std::{fmt, pin::Pin};

use http::request::Parts;
use tenantry::TenantDb;

/// Decides whether a caller may use a tenant; see [`TenantLayer::authorize`](crate::TenantLayer::authorize).
///
/// It is asked when the tenant is known to exist and to be active. A closure implements it when it
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

/// Why a caller is not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The caller may not use the tenant: 403.
    Denied,
    /// It could not be found out: 503 when it may be found out later, else 500.
    ///
    /// For a failure that is none of tenantry's there is [`tenantry::Error::catalog`], a 503.
    Failed(tenantry::Error),
}

impl From<tenantry::Error> for AuthorizeError {
    fn from(error: tenantry::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for AuthorizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the caller may not use the tenant",
            Self::Failed(_) => "could not find out whether the caller may use the tenant",
        })
    }
}

impl std::error::Error for AuthorizeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Denied => None,
            Self::Failed(error) => Some(error),
        }
    }
}

/// [`Authorize`] behind a pointer.
pub(crate) trait ErasedAuthorize: Send + Sync {
    fn authorize<'a>(&'a self, db: &'a TenantDb, parts: &'a Parts) -> Verdict<'a>;
}

type Verdict<'a> = Pin<Box<dyn Future<Output = Result<(), AuthorizeError>> + Send + 'a>>;

impl<A: Authorize> ErasedAuthorize for A {
    fn authorize<'a>(&'a self, db: &'a TenantDb, parts: &'a Parts) -> Verdict<'a> {
        Box::pin(Authorize::authorize(self, db, parts))
    }
}
