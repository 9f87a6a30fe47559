use std::sync::Arc;

use super::{Home, Ident, IsolationKind};

/// The name of the server that a manager is built for.
pub(crate) const MAIN: &str = "main";

/// The location of a tenant's data: server, database and container, and the way in which it is
/// kept apart there.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// let db = manager.tenant("acme").await?;
/// let placement = db.tenant().placement();
/// assert_eq!(placement.server(), "main");
/// assert_eq!(placement.container().as_str(), "tenant_acme");
/// assert_eq!(placement.epoch(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Placement {
    spot: Spot,
    epoch: u64,
}

/// The tables and rows that only one tenant may have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    container: Ident,
    /// What few tenants have, so that the others take no memory for it. Those on one server can share it.
    rest: Option<Arc<Rest>>,
}

/// The parts that a schema of the main server's database does not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Rest {
    server: Option<Arc<str>>,
    database: Option<Ident>,
    key: Option<Arc<str>>,
}

/// What the placements of all tenants in the database of one server have in common, in memory once.
#[derive(Debug, Clone)]
pub(crate) struct OnServer(Arc<Rest>);

impl OnServer {
    pub(crate) fn new(server: &Arc<str>) -> Self {
        let server = (**server != *MAIN).then(|| Arc::clone(server));
        Self(Arc::new(Rest { server, ..Rest::default() }))
    }

    pub(crate) fn home(&self) -> Home {
        self.0.home()
    }
}

impl Rest {
    fn home(&self) -> Home {
        Home::new(self.server.clone(), self.database.clone())
    }
}

impl Placement {
    /// Places a tenant in a schema of the manager's database.
    pub(crate) fn in_schema(container: Ident) -> Self {
        Self::new(container, None)
    }

    /// Places a tenant in the tables of a schema that all tenants use, under this key.
    pub(crate) fn in_rows(schema: Ident, key: Arc<str>) -> Self {
        let rest = Rest { key: Some(key), ..Rest::default() };
        Self::new(schema, Some(rest))
    }

    /// Places a tenant in a schema of a database of its own.
    pub(crate) fn in_database(database: Ident, schema: Ident) -> Self {
        let rest = Rest { database: Some(database), ..Rest::default() };
        Self::new(schema, Some(rest))
    }

    /// Places a tenant in a schema of this database.
    pub(crate) fn at(home: &Home, schema: Ident) -> Self {
        let placement = match home.database() {
            Some(database) => Self::in_database(database.clone(), schema),
            None => Self::in_schema(schema),
        };
        placement.on(Some(&home.server().into()))
    }

    fn new(container: Ident, rest: Option<Rest>) -> Self {
        Self { spot: Spot { container, rest: rest.map(Arc::new) }, epoch: 1 }
    }

    /// Sets the server, unless it is the main one.
    pub(crate) fn on(mut self, server: Option<&Arc<str>>) -> Self {
        if let Some(server) = server.filter(|server| &***server != MAIN) {
            let rest = self.spot.rest.get_or_insert_default();
            Arc::make_mut(rest).server = Some(Arc::clone(server));
        }
        self
    }

    /// Sets the number of the placement.
    pub(crate) fn at_epoch(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// Returns the name of the server in the manager's configuration: `main`, unless the tenant's
    /// record names another one.
    #[must_use]
    pub fn server(&self) -> &str {
        self.spot.rest.as_ref().and_then(|rest| rest.server.as_deref()).unwrap_or(MAIN)
    }

    /// Returns the database, if it is not the one that the manager connects to.
    #[must_use]
    pub fn database(&self) -> Option<&Ident> {
        self.spot.rest.as_ref()?.database.as_ref()
    }

    /// Returns the schema that holds the tenant's tables: its own one, or with rows, the one that
    /// all tenants use.
    #[must_use]
    pub fn container(&self) -> &Ident {
        &self.spot.container
    }

    /// Returns how the tenant's data is kept apart.
    #[must_use]
    pub fn isolation(&self) -> IsolationKind {
        match self.spot.rest.as_deref() {
            Some(Rest { key: Some(_), .. }) => IsolationKind::Row,
            Some(Rest { database: Some(_), .. }) => IsolationKind::Database,
            _ => IsolationKind::Schema,
        }
    }

    /// Returns the tenant's key in the tables of all tenants; `None` unless it is isolated by row.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.spot.rest.as_ref()?.key.as_deref()
    }

    /// Returns the number of this placement of the tenant, starting at 1. It increases whenever the
    /// tenant moves.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the database, with its server.
    pub(crate) fn home(&self) -> Home {
        self.spot.rest.as_deref().map_or(Home::MANAGERS, Rest::home)
    }

    /// Shares memory with the other tenants in the database of its server, if it has nothing else.
    pub(crate) fn sharing(mut self, common: &OnServer) -> Self {
        if self.is_sharing(common) {
            self.spot.rest = Some(Arc::clone(&common.0));
        }
        self
    }

    /// Returns `true` if it has nothing but what the tenants in the database of this server have.
    pub(crate) fn is_sharing(&self, common: &OnServer) -> bool {
        self.spot.rest.as_deref() == Some(&*common.0)
    }

    /// Returns what only this tenant may have.
    pub(crate) fn spot(&self) -> &Spot {
        &self.spot
    }
}
