//! The targets of a statement.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use futures_util::{StreamExt, stream};

use super::{FanOutOutcome, visit::no_session};
use crate::{
    db::{SharedDb, TenantDb},
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::Schemas,
    pool::Lease,
    tenant::{Home, TenantId, TenantRecord},
};

/// A schema in which the statement runs.
pub(crate) struct Target {
    pub(crate) name: Option<Arc<str>>,
    /// Where it lives, as reports name it.
    pub(crate) server: Option<Arc<str>>,
    pub(crate) database: Option<Arc<str>>,
    pub(crate) found: Found,
}

/// The result of looking it up.
pub(crate) enum Found {
    Tenant(TenantDb),
    Shared(SharedDb),
    Suspended,
    Nothing(Error),
}

/// Number of tenants per look-up: a catalog answers many of them at once.
const LOOKED_UP: usize = 128;

/// Looks up the targets of the statement.
pub(crate) async fn targets(
    fleet: &Fleet,
    schemas: Schemas,
    with_shared: bool,
) -> Result<Vec<Target>, Error> {
    let shared = || {
        let (server, database) = fleet.names_of(Some(&Home::MANAGERS));
        let found = Found::Shared(fleet.shared().clone());
        Target { name: None, server, database, found }
    };
    let mut targets = Vec::new();
    if with_shared {
        targets.push(shared());
    }
    let names = match schemas {
        Schemas::AllTenants => named(fleet, None).await?,
        Schemas::Tenants(names) => named(fleet, Some(names)).await?,
        Schemas::Shared if with_shared => Vec::new(),
        Schemas::Shared => return Ok(vec![shared()]),
    };
    let look_up = stream::iter(names).map(|named| async move {
        let found = named.find(fleet).await;
        let (server, database) = named.names();
        Target { name: Some(named.name), server, database, found }
    });
    targets.extend(look_up.buffered(LOOKED_UP).collect::<Vec<_>>().await);
    Ok(targets)
}

/// A listed or named tenant.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: Arc<str>,
    is_suspended: bool,
    /// Where it lives, as reports name it, once that is known.
    names: OnceLock<Names>,
}

/// The names of a server and of a database.
type Names = (Option<Arc<str>>, Option<Arc<str>>);

/// Lists these tenants in the given order, without duplicates, or all tenants.
pub(crate) async fn named(fleet: &Fleet, only: Option<Vec<Arc<str>>>) -> Result<Vec<Named>, Error> {
    let Some(names) = only else {
        let listed = |record| Named::of(fleet, record);
        return Ok(fleet.list().await?.iter().map(listed).collect());
    };
    let mut seen = HashSet::new();
    let first = names.into_iter().filter(|name| seen.insert(Arc::clone(name)));
    Ok(first.map(|name| Named { name, is_suspended: false, names: OnceLock::new() }).collect())
}

impl Named {
    /// A tenant that the catalog lists.
    pub(crate) fn of(fleet: &Fleet, record: &TenantRecord) -> Self {
        Self {
            name: record.id.as_str().into(),
            is_suspended: !record.state.is_served(),
            names: fleet.names_of(fleet.home_of(record).ok().as_ref()).into(),
        }
    }

    /// Returns where it lives, as reports name it, if that is known.
    pub(crate) fn names(&self) -> Names {
        self.names.get().cloned().unwrap_or_default()
    }

    /// Looks it up, unless it is known to be suspended.
    pub(crate) async fn find(&self, fleet: &Fleet) -> Found {
        if self.is_suspended {
            return Found::Suspended;
        }
        let found = match TenantId::parse(&self.name) {
            Ok(id) => fleet.tenant(&id).await,
            Err(error) => Err(error.into()),
        };
        match found {
            Ok(db) => {
                self.names.get_or_init(|| fleet.names_of_placed(&db));
                Found::Tenant(db)
            }
            Err(error) if error.kind() == ErrorKind::Suspended => Found::Suspended,
            Err(error) => Found::Nothing(error),
        }
    }
}

impl Found {
    /// Acquires a connection, unless the outcome is already known.
    pub(super) async fn session(&self) -> Result<Lease, FanOutOutcome> {
        let lease = match self {
            Self::Tenant(db) => db.acquire_for_library().await,
            Self::Shared(db) => db.acquire_for_library().await,
            Self::Suspended => return Err(FanOutOutcome::Skipped),
            Self::Nothing(error) => {
                return Err(FanOutOutcome::Failed { error: no_session(error), rows: 0 });
            }
        };
        lease.map_err(|error| match error.kind() {
            // It was suspended meanwhile.
            ErrorKind::Suspended => FanOutOutcome::Skipped,
            _ => FanOutOutcome::Failed { error: no_session(&error), rows: 0 },
        })
    }
}
