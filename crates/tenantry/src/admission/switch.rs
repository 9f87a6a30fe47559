use super::{AuthorizeError, Presence, Rejection, ResolveError};
use crate::tenant::TenantId;

/// An operator's request for a tenant other than its own.
///
/// An adapter attaches it to the request's extensions if the switch was allowed, so that handlers
/// can display it and refuse operations that are not allowed to operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    from: Option<TenantId>,
    to: TenantId,
}

impl Switch {
    /// Returns the tenant of the request without the switch; `None` if it has none.
    #[must_use]
    pub fn from(&self) -> Option<&TenantId> {
        self.from.as_ref()
    }

    /// Returns the tenant of the request after the switch.
    #[must_use]
    pub fn to(&self) -> &TenantId {
        &self.to
    }

    /// Decides whether the caller may switch, and logs a refusal at `warn`.
    ///
    /// # Errors
    ///
    /// [`Rejection`] unless the hook allows it. It does not reveal whether the tenant exists.
    pub fn check(&self, verdict: Result<(), AuthorizeError>) -> Result<(), Rejection> {
        verdict.map_err(|error| {
            if matches!(error, AuthorizeError::Denied) {
                tracing::warn!(tenant = self.to.as_str(), from = self.origin(), "switch refused");
            }
            Rejection::unauthorized(&self.to, error)
        })
    }

    /// Logs at `info`, with both tenants, that a request is served after a switch.
    pub fn log(&self) {
        tracing::info!(tenant = self.to.as_str(), from = self.origin(), "switched to tenant");
    }

    fn origin(&self) -> Option<&str> {
        self.from.as_ref().map(TenantId::as_str)
    }
}

/// The tenant of a request, and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The tenant named by the request's own id.
    Own(TenantId),
    /// Another tenant, if the caller may switch to it.
    Switched(Switch),
}

impl Target {
    /// Returns the tenant's id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        match self {
            Self::Own(id) => id,
            Self::Switched(switch) => switch.to(),
        }
    }

    /// Evaluates the results of two resolvers: the request's own tenant, and the one to switch to.
    /// A switch does not require an own tenant; a switch to the own tenant has no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{TenantId, admission::{Presence, Target}};
    ///
    /// let id = |id| TenantId::parse(id).map(Some).map_err(Into::into);
    /// let target = Target::of(Presence::Required, id("acme"), id("globex")).unwrap().unwrap();
    /// let Target::Switched(switch) = target else { unreachable!() };
    /// assert_eq!(switch.from().unwrap().as_str(), "acme");
    /// assert_eq!(switch.to().as_str(), "globex");
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection`] when either is not a tenant id, and when a required tenant is missing.
    pub fn of(
        presence: Presence,
        own: Result<Option<TenantId>, ResolveError>,
        to: Result<Option<TenantId>, ResolveError>,
    ) -> Result<Option<Self>, Rejection> {
        match to? {
            None => Ok(presence.check(own)?.map(Self::Own)),
            Some(to) => Ok(Some(match Presence::Optional.check(own)? {
                Some(own) if own == to => Self::Own(own),
                from => Self::Switched(Switch { from, to }),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::RejectionKind, *};
    use crate::error::Error;

    type Resolved = Result<Option<TenantId>, ResolveError>;

    fn id(text: &str) -> Resolved {
        match text {
            "" => Ok(None),
            "!" => Err(ResolveError::NotText),
            text => Ok(Some(TenantId::parse(text)?)),
        }
    }

    fn of(presence: Presence, own: &str, to: &str) -> Result<String, RejectionKind> {
        let target = Target::of(presence, id(own), id(to)).map_err(|rejection| rejection.kind())?;
        Ok(match target {
            None => "none".to_owned(),
            Some(Target::Own(id)) => id.to_string(),
            Some(Target::Switched(switch)) => {
                format!("{}>{}", switch.origin().unwrap_or_default(), switch.to())
            }
        })
    }

    #[test]
    fn needs_no_tenant_of_its_own_and_no_malformed_one() {
        use Presence::{Optional, Required};
        for presence in [Required, Optional] {
            for (own, to, target) in
                [("a", "", "a"), ("a", "b", "a>b"), ("", "b", ">b"), ("a", "a", "a")]
            {
                assert_eq!(of(presence, own, to), Ok(target.to_owned()), "{own}, {to}");
            }
            for (own, to) in [("!", ""), ("a", "!"), ("!", "b"), ("", "!")] {
                assert_eq!(of(presence, own, to), Err(RejectionKind::Malformed), "{own}, {to}");
            }
        }
        assert_eq!(of(Required, "", ""), Err(RejectionKind::Missing));
        assert_eq!(of(Optional, "", ""), Ok("none".to_owned()));
    }

    #[test]
    fn is_refused_without_a_look_at_the_tenant() {
        let target = Target::of(Presence::Required, id("a"), id("b")).unwrap();
        let Some(Target::Switched(switch)) = target else { panic!("it is no switch") };
        let kind = |verdict| switch.check(verdict).map_err(|rejection| rejection.kind());
        assert_eq!(kind(Ok(())), Ok(()));
        assert_eq!(kind(Err(AuthorizeError::Denied)), Err(RejectionKind::Denied));
        let failed = AuthorizeError::Failed(Error::catalog("the directory is down"));
        assert_eq!(kind(Err(failed)), Err(RejectionKind::Unavailable));
    }
}
