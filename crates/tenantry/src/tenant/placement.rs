use super::Ident;

/// The location of a tenant's data: server, database, and container.
///
/// There is currently one server and one database, so [`server`](Self::server) is always `main` and
/// [`database`](Self::database) is `None`. They exist so that code written now keeps compiling.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// let db = manager.tenant("acme").await?;
/// let placement = db.tenant().placement();
/// assert_eq!(placement.server(), "main");
/// assert_eq!(placement.container().as_str(), "tenant_acme");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Placement {
    container: Ident,
}

impl Placement {
    /// Places a tenant in a schema of the manager's database.
    pub(crate) fn schema(container: Ident) -> Self {
        Self { container }
    }

    /// Returns the server's name in the manager's configuration: `main`.
    #[must_use]
    pub fn server(&self) -> &str {
        "main"
    }

    /// Returns the database, if it differs from the one that the manager connects to.
    #[must_use]
    pub fn database(&self) -> Option<&Ident> {
        None
    }

    /// Returns the name of the container: the tenant's schema.
    #[must_use]
    pub fn container(&self) -> &Ident {
        &self.container
    }

    /// Returns the number of this placement of the tenant, starting at 1. It increases whenever the
    /// tenant moves.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        1
    }
}
