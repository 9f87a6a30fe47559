use super::{CallerTenant, Rejection};
use crate::tenant::TenantId;

/// Checks that the caller's session or token belongs to the requested tenant.
///
/// A missing tenant is refused as well. It can mean an anonymous caller, or a session layer that
/// has not run yet; the two are indistinguishable, and the second would admit every caller.
///
/// # Examples
///
/// ```
/// use tenantry::{TenantId, admission::{RejectionKind, check_bound}};
///
/// let acme = TenantId::parse("acme")?;
/// let globex = TenantId::parse("globex")?;
/// assert!(check_bound(&acme, Some(acme.clone())).is_ok());
/// for caller in [Some(globex), None] {
///     let rejection = check_bound(&acme, caller).unwrap_err();
///     assert_eq!(rejection.kind(), RejectionKind::NotBound);
/// }
/// # Ok::<(), tenantry::ParseTenantIdError>(())
/// ```
///
/// # Errors
///
/// [`Rejection`] of kind [`NotBound`](super::RejectionKind::NotBound) when the caller belongs to
/// another tenant or to none. When the caller's tenant could not be determined, the kind depends on the
/// error.
pub fn check_bound(requested: &TenantId, caller: impl CallerTenant) -> Result<(), Rejection> {
    let cause = match caller.caller_tenant()? {
        Some(tenant) if tenant == *requested => return Ok(()),
        Some(tenant) => NotBound::OtherTenant(tenant),
        None => NotBound::NoTenant,
    };
    Err(Rejection::not_bound(requested, cause))
}

/// The reason why a caller is not bound to the requested tenant. For the log only.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBound {
    #[error("the caller's session or token belongs to tenant {0}")]
    OtherTenant(TenantId),
    #[error(
        "no session or token names the caller's tenant: the caller is not signed in, or the session layer runs inside \
         the tenant layer"
    )]
    NoTenant,
}

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;

    use super::{super::RejectionKind, *};
    use crate::error::Error;

    fn id(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    #[test]
    fn only_the_requested_tenant_passes() {
        let check =
            |caller: Option<TenantId>| check_bound(&id("acme"), caller).map_err(|r| r.kind());
        assert_eq!(check(Some(id("acme"))), Ok(()));
        for other in ["globex", "ACME", "acme2", "acm"] {
            assert_eq!(check(Some(id(other))), Err(RejectionKind::NotBound), "{other}");
        }
        assert_eq!(check(None), Err(RejectionKind::NotBound));
    }

    #[test]
    fn an_error_is_no_pass() {
        let check = |caller: Result<Option<TenantId>, Error>| check_bound(&id("acme"), caller);
        assert!(check(Ok(Some(id("acme")))).is_ok());
        assert_eq!(check(Ok(None)).unwrap_err().kind(), RejectionKind::NotBound);
        let failed = check(Err(Error::catalog("secret words"))).unwrap_err();
        assert_eq!(failed.kind(), RejectionKind::Unavailable);
        assert!(!failed.problem().to_json().contains("secret words"));
    }

    #[test]
    fn the_client_learns_nothing_about_the_other_tenant() {
        let other = check_bound(&id("acme"), Some(id("globex"))).unwrap_err();
        let none = check_bound(&id("acme"), None).unwrap_err();
        assert_eq!(other.problem(), none.problem());
        assert_eq!(other.to_string(), "the caller is not signed in to tenant acme");
        assert_eq!(other.tenant(), Some(&id("acme")));
        assert!(!other.problem().to_json().contains("globex"));
    }

    #[test]
    fn the_log_tells_another_tenant_from_none() {
        let cause = |caller| {
            let rejection = check_bound(&id("acme"), caller).unwrap_err();
            rejection.source().expect("it has a cause").to_string()
        };
        let other = cause(Some(id("globex")));
        assert_eq!(other, "the caller's session or token belongs to tenant globex");
        let none = cause(None);
        assert!(none.contains("the session layer runs inside the tenant layer"), "{none}");
        assert!(!none.contains('\n'), "{none}");
    }
}
