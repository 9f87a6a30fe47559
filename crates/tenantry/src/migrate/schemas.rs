use std::sync::Arc;

use crate::tenant::MAIN;

/// The name of the tables that hold the rows of all tenants that are isolated by row. No tenant id has parentheses.
pub(super) const ROWS: &str = "(rows)";

/// Returns the name of these tables on a server.
pub(super) fn rows_of(server: &str) -> Arc<str> {
    match server {
        MAIN => ROWS.into(),
        server => format!("(rows on {server})").into(),
    }
}

/// The schemas that an operation works on.
///
/// Tenants that are isolated by row have no schemas of their own: their tables are one target, `(rows)`, among all
/// tenants, or `(rows on eu-1)` on a further server. It can also be named, as a tenant is.
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
