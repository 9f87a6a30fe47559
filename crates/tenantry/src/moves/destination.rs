//! Where a tenant moves to.

use std::sync::Arc;

use crate::{
    error::{Error, ErrorKind},
    tenant::{Ident, IsolationKind, MAIN, Placement, TenantRecord},
};

/// Where a tenant moves to: a server, a kind of isolation, or both. The name of a server, such as `"eu-1"`, is one: the
/// tenant keeps its kind.
///
/// # Examples
///
/// ```
/// use tenantry::{IsolationKind, moves::Destination};
///
/// // From shared tables to a schema on the same server.
/// let schema = Destination::isolation(IsolationKind::Schema);
/// // To a database of its own on another server.
/// let database = Destination::server("eu-1").isolated_by(IsolationKind::Database);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Destination {
    server: Option<Arc<str>>,
    isolation: Option<IsolationKind>,
    database: Option<Ident>,
}

impl Destination {
    /// A server, by its name in the manager's configuration.
    pub fn server(name: impl Into<Arc<str>>) -> Self {
        Self { server: Some(name.into()), ..Self::default() }
    }

    /// Another kind of isolation, on the server that the tenant is on.
    pub fn isolation(kind: IsolationKind) -> Self {
        Self::default().isolated_by(kind)
    }

    /// Sets the kind of isolation there. Default: that which the tenant has.
    pub fn isolated_by(mut self, kind: IsolationKind) -> Self {
        self.isolation = Some(kind);
        self
    }

    /// Sets the name of the database there, for [`IsolationKind::Database`]. Default: that of the
    /// [template](crate::Isolation::database), or the one that the tenant has.
    pub fn database(mut self, name: Ident) -> Self {
        self.database = Some(name);
        self
    }

    /// Returns the server, unless it is the one that the tenant is on.
    pub(super) fn names_server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Returns the record of a tenant that is there, with the number of its placement before the move.
    pub(super) fn placed(
        &self,
        record: &TenantRecord,
        from: &Placement,
    ) -> Result<TenantRecord, Error> {
        let (was, kind) = (from.isolation(), self.isolation.unwrap_or(from.isolation()));
        if self.database.is_some() && kind != IsolationKind::Database {
            let attempted = format!(
                "moving it: a database was named, and it would be isolated by {kind}; name one for the isolation \
                 database only"
            );
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let mut placed = record.clone();
        if let Some(server) = &self.server {
            placed.server = (**server != *MAIN).then(|| Arc::clone(server));
        }
        if kind != was {
            placed.isolation = Some(kind);
            placed.container = match (was, kind) {
                // Replication maps tables by their qualified names.
                (IsolationKind::Schema, IsolationKind::Database) => Some(from.container().clone()),
                _ => None,
            };
            placed.database = None;
        }
        if let Some(database) = &self.database {
            placed.database = Some(database.clone());
        }
        Ok(placed)
    }
}

impl From<&str> for Destination {
    fn from(server: &str) -> Self {
        Self::server(server)
    }
}

impl From<&String> for Destination {
    fn from(server: &String) -> Self {
        Self::server(server.as_str())
    }
}

impl From<String> for Destination {
    fn from(server: String) -> Self {
        Self::server(server)
    }
}

impl From<&Arc<str>> for Destination {
    fn from(server: &Arc<str>) -> Self {
        Self::server(Arc::clone(server))
    }
}
