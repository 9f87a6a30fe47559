use http::request::Parts;
use tenantry::TenantId;

use super::{Resolve, ResolveError};

/// Two resolvers, of which the second runs if the first finds nothing; see [`Resolve::or`].
#[derive(Debug, Clone)]
pub struct Or<A, B> {
    first: A,
    second: B,
}

impl<A, B> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl<A: Resolve, B: Resolve> Resolve for Or<A, B> {
    fn resolve(&self, parts: &Parts) -> Result<Option<TenantId>, ResolveError> {
        match self.first.resolve(parts)? {
            Some(id) => Ok(Some(id)),
            None => self.second.resolve(parts),
        }
    }
}
