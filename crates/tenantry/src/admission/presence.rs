use super::{Rejection, ResolveError};
use crate::tenant::TenantId;

/// Whether a request must have a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// Without one it is refused.
    #[default]
    Required,
    /// Without one it goes on, marked with [`NoTenant`](super::NoTenant).
    Optional,
}

impl Presence {
    /// Decides about what a resolver has found: a tenant to look up, or none when none is needed.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when there is no id and there has to be one, and always when there is something
    /// that is not an id.
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
