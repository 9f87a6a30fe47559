use std::sync::Arc;

/// The schemas that an operation works on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schemas {
    /// The schemas of all tenants that the catalog lists.
    AllTenants,
    /// The schemas of these tenants. A tenant that is named twice counts once.
    Tenants(Vec<Arc<str>>),
    /// The shared schema.
    Shared,
}

impl Schemas {
    /// Selects the schemas of these tenants.
    pub fn tenants<I>(tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::Tenants(tenants.into_iter().map(|tenant| tenant.as_ref().into()).collect())
    }
}
