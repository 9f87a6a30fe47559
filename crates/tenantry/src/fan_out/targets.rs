//! Whom a statement is about.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, stream};

use super::{FanOutOutcome, visit::no_session};
use crate::{
    db::{SharedDb, TenantDb},
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::Schemas,
    pool::Lease,
    tenant::{TenantId, TenantState},
};

/// A schema that the statement is to run in.
pub(super) struct Target {
    pub(super) name: Option<Arc<str>>,
    pub(super) found: Found,
}

/// What looking it up has come to.
pub(super) enum Found {
    Tenant(TenantDb),
    Shared(SharedDb),
    Suspended,
    Nothing(Error),
}

/// How many tenants are looked up at a time: a catalog answers many of them at once.
const LOOKED_UP: usize = 128;

/// Looks up whom the statement is about.
pub(super) async fn targets(
    fleet: &Fleet,
    schemas: Schemas,
    with_shared: bool,
) -> Result<Vec<Target>, Error> {
    let shared = || Target { name: None, found: Found::Shared(fleet.shared().clone()) };
    let mut targets = Vec::new();
    if with_shared {
        targets.push(shared());
    }
    let names = match schemas {
        Schemas::AllTenants => {
            let records = fleet.list().await?;
            let named = |id: &TenantId| Arc::from(id.as_str());
            records.iter().map(|record| (named(&record.id), record.state)).collect()
        }
        Schemas::Tenants(names) => {
            let mut seen = HashSet::new();
            let first = names.into_iter().filter(|name| seen.insert(Arc::clone(name)));
            first.map(|name| (name, TenantState::Active)).collect()
        }
        Schemas::Shared if with_shared => Vec::new(),
        Schemas::Shared => return Ok(vec![shared()]),
    };
    let look_up = stream::iter(names).map(|(name, state)| async move {
        let found = match state {
            TenantState::Active => find(fleet, &name).await,
            _ => Found::Suspended,
        };
        Target { name: Some(name), found }
    });
    targets.extend(look_up.buffered(LOOKED_UP).collect::<Vec<_>>().await);
    Ok(targets)
}

async fn find(fleet: &Fleet, name: &str) -> Found {
    let found = match TenantId::parse(name) {
        Ok(id) => fleet.tenant(&id).await,
        Err(error) => Err(error.into()),
    };
    match found {
        Ok(db) => Found::Tenant(db),
        Err(error) if error.kind() == ErrorKind::Suspended => Found::Suspended,
        Err(error) => Found::Nothing(error),
    }
}

impl Found {
    /// Takes a connection, unless it is known already that there is nothing to do.
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
