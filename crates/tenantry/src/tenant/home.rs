use std::{fmt, sync::Arc};

use super::{Ident, MAIN};

/// A database of a server: what maintenance connects to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Home {
    /// The server, if it is not the main one.
    server: Option<Arc<str>>,
    /// The database, if it is not the one in the server's URL.
    database: Option<Ident>,
}

impl Home {
    /// The database that the manager connects to.
    pub(crate) const MANAGERS: Self = Self { server: None, database: None };

    pub(super) fn new(server: Option<Arc<str>>, database: Option<Ident>) -> Self {
        Self { server, database }
    }

    /// Returns the database in the URL of a further server.
    pub(crate) fn of_url(server: &Arc<str>) -> Self {
        Self { server: Some(Arc::clone(server)), database: None }
    }

    /// Returns a database by the name of its server, and its own if it is not the one in the server's URL.
    pub(crate) fn named(server: &str, database: Option<Ident>) -> Self {
        Self { server: (server != MAIN).then(|| server.into()), database }
    }

    /// Returns the name of the server.
    pub(crate) fn server(&self) -> &str {
        self.server.as_deref().unwrap_or(MAIN)
    }

    /// Returns the database, if it is not the one in the server's URL.
    pub(crate) fn database(&self) -> Option<&Ident> {
        self.database.as_ref()
    }

    /// Returns the database in the URL of its server.
    pub(crate) fn of_server(&self) -> Self {
        Self { server: self.server.clone(), database: None }
    }

    /// Returns another database of the same server.
    pub(crate) fn beside(&self, database: Ident) -> Self {
        Self { server: self.server.clone(), database: Some(database) }
    }

    /// Returns `true` if it is the database that the manager connects to.
    pub(crate) fn is_managers(&self) -> bool {
        *self == Self::MANAGERS
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.database {
            Some(database) => write!(f, "database {database} of server {}", self.server()),
            None => write!(f, "the database in the URL of server {}", self.server()),
        }
    }
}
