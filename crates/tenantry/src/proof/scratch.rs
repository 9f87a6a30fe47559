//! The scratch schemas: their creation, and their removal in every case.

use std::{sync::Arc, time::Duration};

use super::{
    ground::Pids,
    leftovers::{Found, list, remove, remove_role},
    mark::Mark,
    row_tenants::{SHARED, schema_of},
    scrub::scrub,
};
use crate::{
    catalog::Isolations,
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::{Place, Pooling, Server},
    tenant::Isolation,
};

/// The scratch tenants, each with a schema. The last name results in a schema name of 63 bytes.
pub(super) const TENANTS: [&str; 7] =
    ["acme", "globex", "Acme", "ACME", "gone", "replaced", LONGEST];

/// An id whose schema has the longest name that PostgreSQL does not truncate.
pub(super) const LONGEST: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// The maximum number of connections that a proof takes from the budget.
pub(super) const MOST_CONNECTIONS: usize = 4;
/// How many connections clean a pooler's server processes: more than can have used one at a time, namely those of the
/// attacks and the proof's own.
const SCRUBBERS: usize = 2 * MOST_CONNECTIONS;

/// How long to wait for leases of the attacks.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of attempts at the removal.
const ATTEMPTS: usize = 3;

/// Everything that a proof has created. Dropping it removes this in the background; closing the manager waits for
/// that.
#[derive(Debug)]
#[must_use = "the scratch schemas go when this is dropped"]
pub(super) struct Scratch(Option<Inner>);

#[derive(Debug)]
struct Inner {
    real: Fleet,
    mark: Mark,
    /// The places in the budget that the attacks use.
    places: Vec<Place>,
    /// The pools over them, of which one is open at a time.
    pools: Vec<Arc<Server>>,
    pids: Pids,
}

impl Scratch {
    pub(super) fn new(real: &Fleet, mark: Mark, places: Vec<Place>, pids: Pids) -> Self {
        Self(Some(Inner { real: real.clone(), mark, places, pools: Vec::new(), pids }))
    }

    /// Closes the previous pool, and creates another one for the scratch schemas with up to this many connections.
    pub(super) async fn pool(&mut self, most: usize) -> Result<Fleet, Error> {
        let Some(inner) = &mut self.0 else {
            return Err(Error::new(ErrorKind::Closed, "reaching scratch schemas"));
        };
        for pool in &inner.pools {
            pool.close(PATIENCE).await;
        }
        let server = inner.real.server();
        let pool = server.scratch(most.min(inner.places()));
        inner.pools.push(Arc::clone(&pool));
        let isolations = inner.isolations()?;
        Ok(inner.real.of_scratch(pool, isolations, inner.mark.name(SHARED)?))
    }

    /// Removes everything. Returns `true` if nothing is left.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the removal continues in the background.
    pub(super) async fn remove(mut self) -> bool {
        let Some(inner) = self.0.take() else { return false };
        let server = Arc::clone(inner.real.server());
        match server.spawn(inner.remove()) {
            Some(removing) => removing.await.unwrap_or(false),
            None => false,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let server = Arc::clone(inner.real.server());
            server.spawn(inner.remove());
        }
    }
}

impl Inner {
    /// Returns how scratch tenants are kept apart: by schema, and by row as the application's tenants are, if any is.
    fn isolations(&self) -> Result<Isolations, Error> {
        let of_real = self.real.lookup().isolations();
        let mut rows = Vec::new();
        if of_real.has_rows() {
            let schema = schema_of(&self.mark)?;
            rows.push(Isolation::rows(of_real.rows().clone().in_schema(schema)));
        }
        let schemas = Isolation::schema(&format!("{}{{id}}", self.mark.as_str()));
        Ok(Isolations::new(schemas, rows))
    }

    /// Returns how many connections the attacks can have. Behind a pooler in transaction mode there are no slots: the
    /// manager has no connection.
    fn places(&self) -> usize {
        match self.places.len() {
            0 => self.real.server().max_connections(),
            places => places,
        }
    }

    async fn remove(self) -> bool {
        // Operations in progress, such as the creation of a schema, have ended then.
        for pool in &self.pools {
            pool.close(PATIENCE).await;
        }
        let server = self.real.server().scratch(1);
        let mut removed = false;
        for _ in 0..ATTEMPTS {
            match self.try_to_remove(&server).await {
                Ok(()) => {
                    removed = true;
                    break;
                }
                Err(error) => tracing::warn!(%error, "scratch schemas could not be removed"),
            }
        }
        server.close(PATIENCE).await;
        let mut pools = self.pools.iter().chain([self.real.server(), &server]);
        if pools.any(|pool| pool.pooling() == Pooling::Transaction) {
            let server = self.real.server().scratch(SCRUBBERS);
            let met = self.pids.lock().clone();
            scrub(&server, &met).await;
            server.close(PATIENCE).await;
        }
        removed
    }

    async fn try_to_remove(&self, server: &Arc<Server>) -> Result<(), Error> {
        let mut lease = server.acquire_for_upkeep().await?;
        let Found { schemas, roles, .. } =
            list(&mut lease, |name, _, _| self.mark.is_of(name)).await?;
        for schema in &schemas {
            remove(&mut lease, schema).await?;
        }
        for role in &roles {
            remove_role(&mut lease, role).await?;
        }
        lease.settle().await;
        Ok(())
    }
}
