//! The targets of an operation: all tenants, or the named ones.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};

use super::Schemas;
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::Fleet,
    tenant::{TenantId, TenantRecord},
};

/// A tenant as it was named, and how to reach it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) site: Result<Site, Error>,
}

impl Target {
    /// Returns the tenant as it was named; nothing for the shared schema.
    pub(crate) fn name_of_tenant(&self) -> Option<Arc<str>> {
        let is_shared = self.site.as_ref().is_ok_and(|site| site.tenant.is_none());
        (!is_shared).then(|| Arc::clone(&self.name))
    }

    pub(crate) fn schema(&self) -> Option<Arc<str>> {
        self.site.as_ref().ok().map(|site| site.schema.as_str().into())
    }
}

/// The number of concurrent lookups.
const CONCURRENCY: usize = 8;

/// The number of tenants from which listing all is cheaper than looking up each.
const MANY: usize = 20;

/// Returns the schemas that an operation is about.
pub(crate) async fn targets_of(fleet: &Fleet, schemas: &Schemas) -> Result<Vec<Target>, Error> {
    match schemas {
        Schemas::AllTenants => all(fleet).await,
        Schemas::Tenants(names) => Ok(named(fleet, names.clone()).await),
        Schemas::Shared => Ok(vec![Target { name: "".into(), site: Ok(fleet.shared_site()) }]),
    }
}

/// Returns every tenant that the catalog lists, including suspended ones, so that they are up to date when they are
/// resumed.
async fn all(fleet: &Fleet) -> Result<Vec<Target>, Error> {
    let records = fleet.list().await?;
    let targets = records
        .iter()
        .map(|record| Target { name: record.id.as_str().into(), site: fleet.site(record) });
    Ok(apart(targets.collect()))
}

/// Returns the named tenants, without duplicates.
async fn named(fleet: &Fleet, names: Vec<Arc<str>>) -> Vec<Target> {
    let mut seen = HashSet::new();
    let names: Vec<_> = names.into_iter().filter(|name| seen.insert(Arc::clone(name))).collect();
    let listed = match names.len() {
        0..MANY => None,
        // A catalog that cannot list may still know each of them.
        _ => fleet.list().await.ok(),
    };
    let listed = listed.map(|records| {
        let by_id = records.into_iter().map(|record| (record.id.clone(), record));
        Arc::new(by_id.collect::<HashMap<_, _>>())
    });
    let look_up = stream::iter(names).map(|name| {
        let (fleet, listed) = (fleet.clone(), listed.clone());
        async move {
            let site = find(&fleet, listed.as_deref(), &name).await;
            Target { name, site }
        }
    });
    apart(look_up.buffered(CONCURRENCY).collect().await)
}

async fn find(
    fleet: &Fleet,
    listed: Option<&HashMap<TenantId, TenantRecord>>,
    name: &str,
) -> Result<Site, Error> {
    let id = TenantId::parse(name)?;
    match listed {
        None => fleet.site(&fleet.record(&id).await?),
        Some(listed) => match listed.get(&id) {
            Some(record) => fleet.site(record),
            None => {
                let unknown = Error::new(ErrorKind::UnknownTenant, "looking the tenant up");
                Err(unknown.with_tenant(&id))
            }
        },
    }
}

/// Refuses every tenant that shares its schema with another.
fn apart(mut targets: Vec<Target>) -> Vec<Target> {
    let mut holders = HashMap::<_, usize>::new();
    for target in &targets {
        if let Ok(site) = &target.site {
            *holders.entry(site.schema.clone()).or_default() += 1;
        }
    }
    for target in &mut targets {
        if let Ok(Site { tenant: Some(tenant), schema, .. }) = &target.site
            && holders.get(schema).is_some_and(|holders| *holders > 1)
        {
            let shared =
                Error::new(ErrorKind::Placement, "its container also belongs to another tenant");
            target.site = Err(shared.with_tenant(tenant));
        }
    }
    targets
}
