use std::sync::Arc;

/// Which schemas an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schemas {
    /// Those of all tenants that the catalog lists.
    AllTenants,
    /// Those of these tenants. One that is named twice counts once.
    Tenants(Vec<Arc<str>>),
    /// The shared one.
    Shared,
}

impl Schemas {
    /// The schemas of these tenants.
    pub fn tenants<I>(tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::Tenants(tenants.into_iter().map(|tenant| tenant.as_ref().into()).collect())
    }
}
