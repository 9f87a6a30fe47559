use super::{Rejection, ResolveError};
use crate::tenant::TenantId;

/// Whether a request must have a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// A request without a tenant is rejected.
    #[default]
    Required,
    /// A request without a tenant continues, marked with [`NoTenant`](super::NoTenant).
    Optional,
}

impl Presence {
    /// Evaluates the result of a resolver: a tenant to look up, or none if none is required.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when a required id is missing, and always when the id is invalid.
    pub fn check(
        self,
        resolved: Result<Option<TenantId>, ResolveError>,
    ) -> Result<Option<TenantId>, Rejection> {
        match (resolved?, self) {
            (None, Self::Required) => Err(Rejection::missing()),
            (found, _) => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::RejectionKind, *};

    #[test]
    fn only_none_at_all_depends_on_it() {
        let acme = TenantId::parse("acme").unwrap();
        let check = |presence: Presence, resolved| presence.check(resolved).map_err(|r| r.kind());
        for presence in [Presence::Required, Presence::Optional] {
            assert_eq!(check(presence, Ok(Some(acme.clone()))), Ok(Some(acme.clone())));
            let malformed = check(presence, Err(ResolveError::NotText));
            assert_eq!(malformed, Err(RejectionKind::Malformed));
        }
        assert_eq!(check(Presence::Required, Ok(None)), Err(RejectionKind::Missing));
        assert_eq!(check(Presence::Optional, Ok(None)), Ok(None));
    }
}
