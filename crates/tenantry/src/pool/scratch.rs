//! Connections for scratch schemas only, within the budget of a pool that serves tenants.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    occupant::{Occupant, OccupantId},
    pooling::Guard,
    scheduler::Class,
    server::{Own, Place, Server},
};
use crate::{
    error::{Error, ErrorKind},
    event::{EventOptions, Hooks},
    tenant::Binding,
};

/// How long to wait for each place beyond the first: tenants may need it more.
const WAIT_FOR_MORE: Duration = Duration::from_millis(300);

impl Server {
    /// Takes up to `most` places of the budget, at least one. The first is waited for like an
    /// acquire.
    ///
    /// Behind a pooler in transaction mode the pool has no connections, and there are no places to
    /// take.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the places are free.
    pub(crate) async fn take_places(self: &Arc<Self>, most: usize) -> Result<Vec<Place>, Error> {
        let mut places = Vec::new();
        while places.len() < most {
            let acquired = match places.is_empty() {
                true => self.acquire_for_upkeep().await,
                false => match timeout(WAIT_FOR_MORE, self.acquire_for_upkeep()).await {
                    Ok(acquired) => acquired,
                    Err(_) => break,
                },
            };
            match acquired {
                Ok(lease) => places.push(lease.leave_place().await),
                Err(error) if error.kind() == ErrorKind::TransactionPooler => break,
                Err(error) if places.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(places)
    }

    /// Creates a pool of `budget` connections with the same connect options, which also serves
    /// behind a pooler in transaction mode: it must only be used for scratch schemas. The caller
    /// holds as many [places](Self::take_places) and closes it.
    pub(crate) fn scratch(&self, budget: usize) -> Arc<Self> {
        let mut options = self.options.clone();
        options.max_connections = budget;
        options.max_connections_per_tenant = Some(budget);
        options.reserved_connections = Some(0);
        options.min_idle = 0;
        let system = Occupant::new(OccupantId::System, Class::System, Binding::library());
        let own = Own {
            system: Arc::new(system),
            upkeep: self.upkeep.login().cloned(),
            manager: self.manager.clone(),
            extensions: Arc::clone(&self.extensions),
            guard: Guard::Notes,
        };
        let events = EventOptions::default().queries(false);
        Self::new(self.connector.clone(), options, 0, own, events, Hooks::default())
    }

    /// Returns the target of the connections.
    pub(crate) fn connects_to(&self) -> (&str, u16, Option<&str>) {
        let connect = self.connector.options();
        (connect.get_host(), connect.get_port(), connect.get_database())
    }
}
