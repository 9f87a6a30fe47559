use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    catalog::{Asked, Lookup, Moved},
    db::{Found, Lost, Standing, Whereabout, Whereabouts},
    servers::Servers,
    tenant::Tenant,
};

/// Finds tenants that have moved, for their handles.
#[derive(Debug)]
pub(super) struct Places {
    servers: Servers,
    asked: Asked,
    lookup: Lookup,
}

impl Places {
    pub(super) fn new(servers: &Servers, asked: &Asked, lookup: &Lookup) -> Arc<Self> {
        let (servers, asked, lookup) = (servers.clone(), asked.clone(), lookup.clone());
        Arc::new(Self { servers, asked, lookup })
    }
}

impl Whereabouts for Places {
    fn find<'a>(&'a self, lost: Lost<'a>, deadline: Instant) -> BoxFuture<'a, Whereabout> {
        Box::pin(async move {
            match self.lookup.moved(&self.asked, lost, deadline).await {
                Moved::Not => Whereabout::Here,
                Moved::Underway => Whereabout::Underway,
                Moved::Gone => Whereabout::Gone,
                Moved::There(known) => Whereabout::There(Found {
                    server: Arc::clone(self.servers.of(known.tenant.placement())),
                    occupant: Arc::clone(&known.occupant),
                    tenant: known.tenant.clone(),
                }),
            }
        })
    }

    fn standing(&self, tenant: &Tenant) -> Standing {
        self.lookup.standing(tenant)
    }

    fn hear<'a>(&'a self, tenant: &'a Tenant, limit: Duration) -> BoxFuture<'a, ()> {
        Box::pin(self.lookup.hear(&self.asked, tenant.id(), limit))
    }
}
