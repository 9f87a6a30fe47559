use super::Ident;

/// Where a tenant's data lives: which server, which database, which container in it.
///
/// There is one server and one database so far, so [`server`](Self::server) is always `main` and
/// [`database`](Self::database) `None`; they have their place here so that code which is written now
/// goes on to compile.
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

    /// Returns the name of the server, as the manager's configuration knows it: `main`.
    #[must_use]
    pub fn server(&self) -> &str {
        "main"
    }

    /// Returns the database, when it is another than the one that the manager connects to.
    #[must_use]
    pub fn database(&self) -> Option<&Ident> {
        None
    }

    /// Returns the name of the container, whatever its kind: the tenant's schema.
    #[must_use]
    pub fn container(&self) -> &Ident {
        &self.container
    }

    /// Returns the number of this placement of the tenant, from 1 on. It grows whenever the tenant moves.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        1
    }
}
