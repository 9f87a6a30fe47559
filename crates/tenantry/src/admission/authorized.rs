use std::{error::Error as StdError, io, iter};

use super::{AuthorizeError, Rejection};
use crate::{
    error::{Error, ErrorKind},
    tenant::{Tenant, TenantState},
};

/// Decides whether a request for a tenant is admitted, after a hook has checked the caller. Without
/// a hook, every caller is.
///
/// Only callers who may use a tenant learn that it is suspended. Others get the same answer as if
/// it were not, so they cannot probe for other tenants. A hook that queries the tenant's own
/// database gets an error for a suspended tenant and cannot admit anyone; its callers are denied.
///
/// # Errors
///
/// [`Rejection`] unless the hook admits the caller and the tenant is active.
pub fn check_authorized(
    tenant: &Tenant,
    verdict: Result<(), AuthorizeError>,
) -> Result<(), Rejection> {
    decide(tenant.state(), verdict).map_err(|refusal| match refusal {
        Refusal::Suspended => {
            Error::new(ErrorKind::Suspended, "serving a request").with_tenant(tenant.id()).into()
        }
        Refusal::Unauthorized(error) => Rejection::unauthorized(tenant.id(), error),
    })
}

#[derive(Debug)]
enum Refusal {
    Suspended,
    Unauthorized(AuthorizeError),
}

fn decide(state: TenantState, verdict: Result<(), AuthorizeError>) -> Result<(), Refusal> {
    match (verdict, state) {
        (Ok(()), state) if state.is_served() => Ok(()),
        (Ok(()), _) => Err(Refusal::Suspended),
        (Err(AuthorizeError::Failed(error)), _) if is_of_suspended(&error) => {
            Err(Refusal::Unauthorized(AuthorizeError::Denied))
        }
        (Err(error), _) => Err(Refusal::Unauthorized(error)),
    }
}

/// Returns `true` if the hook has queried a suspended tenant.
fn is_of_suspended(error: &Error) -> bool {
    let causes =
        iter::successors(Some(error as &(dyn StdError + 'static)), |&error| error.source());
    causes
        .filter_map(|cause| {
            // An error of this crate travels through sqlx inside an `io::Error`, which is not part
            // of the source chain.
            let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            cause.downcast_ref::<Error>().or_else(|| inside?.downcast_ref())
        })
        .any(|cause| cause.kind() == ErrorKind::Suspended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(state: TenantState, verdict: Result<(), AuthorizeError>) -> &'static str {
        match decide(state, verdict) {
            Ok(()) => "let in",
            Err(Refusal::Suspended) => "suspended",
            Err(Refusal::Unauthorized(AuthorizeError::Denied)) => "denied",
            Err(Refusal::Unauthorized(AuthorizeError::Failed(_))) => "failed",
        }
    }

    #[test]
    fn only_who_may_use_a_tenant_hears_that_it_is_suspended() {
        let failed = |error| Err(AuthorizeError::Failed(error));
        assert_eq!(outcome(TenantState::Active, Ok(())), "let in");
        assert_eq!(outcome(TenantState::Suspended, Ok(())), "suspended");
        for state in [TenantState::Active, TenantState::Suspended] {
            assert_eq!(outcome(state, Err(AuthorizeError::Denied)), "denied");
            assert_eq!(
                outcome(state, failed(Error::catalog("the session store is down"))),
                "failed"
            );
        }
    }

    #[test]
    fn a_hook_that_asks_a_suspended_tenant_lets_nobody_in() {
        let suspended = || Error::new(ErrorKind::Suspended, "acquiring a connection");
        let carried = Error::catalog(io::Error::other(suspended()));
        for error in [suspended(), Error::catalog(suspended()), carried] {
            let verdict = Err(AuthorizeError::Failed(error));
            assert_eq!(outcome(TenantState::Suspended, verdict), "denied");
        }
    }
}
