//! The targets of an operation: all tenants, or the named ones.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};

use super::{Schemas, schemas::rows_of};
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::Fleet,
    tenant::{Home, TenantId, TenantRecord},
};

/// A tenant as it was named, and how to reach it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) site: Result<Site, Error>,
    /// The tenants that are isolated by row, if it is the tables that hold their rows.
    pub(crate) row_tenants: Option<usize>,
}

/// How tenants that are isolated by row become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowTenants {
    /// Each of them is a target: its rows.
    Each,
    /// Their tables are one target, even if only some of the tenants were named.
    Together,
    /// Their tables are one target. A tenant that was named is refused: its tables are those of the others, too.
    NotByName,
}

impl Target {
    fn new(name: Arc<str>, site: Result<Site, Error>) -> Self {
        Self { name, site, row_tenants: None }
    }

    /// Returns the tables of a server that hold the rows of these tenants.
    fn row_tables(fleet: &Fleet, home: &Home, row_tenants: usize) -> Self {
        let site = Ok(fleet.at(home).site_of_row_tables());
        Self { name: rows_of(home.server()), site, row_tenants: Some(row_tenants) }
    }

    /// Returns the database of the schema.
    pub(crate) fn home(&self) -> Option<&Home> {
        self.site.as_ref().ok().map(|site| &site.home)
    }

    /// Returns the tenant as it was named; nothing for the shared schema.
    pub(crate) fn name_of_tenant(&self) -> Option<Arc<str>> {
        let is_shared = self.row_tenants.is_none()
            && self.site.as_ref().is_ok_and(|site| site.tenant.is_none());
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
pub(crate) async fn targets_of(
    fleet: &Fleet,
    schemas: &Schemas,
    row_tenants: RowTenants,
) -> Result<Vec<Target>, Error> {
    match schemas {
        Schemas::AllTenants => all(fleet, row_tenants).await,
        Schemas::Tenants(names) => Ok(named(fleet, names.clone(), row_tenants).await),
        Schemas::Shared => Ok(vec![Target::new("".into(), Ok(fleet.shared_site()))]),
    }
}

/// A tenant's schema or rows, or the tables that its rows are in.
enum Reached {
    Own(Site),
    RowTables { home: Home, tenants: usize },
}

/// A tenant as it was named, and how to reach it.
type Named = (Arc<str>, Result<Reached, Error>);

/// Returns every tenant that the catalog lists, including suspended ones, so that they are up to date when they are
/// resumed. The tables of tenants that are isolated by row are included before there is one, if new tenants are so by
/// default, or these tables have a schema of their own. Tenants whose database or schema is being made or
/// dropped are not: the creation runs the files.
async fn all(fleet: &Fleet, row_tenants: RowTenants) -> Result<Vec<Target>, Error> {
    let mut records = fleet.list().await?;
    records.retain(|record| !record.may_lack_its_container());
    let row_tenants = match row_tenants {
        RowTenants::Each => RowTenants::Each,
        // None of them was named.
        RowTenants::Together | RowTenants::NotByName => RowTenants::Together,
    };
    let reached =
        |record: &TenantRecord| (Arc::from(record.id.as_str()), reach(fleet, record, row_tenants));
    let always = row_tenants != RowTenants::Each && fleet.has_row_tables_before_tenants();
    Ok(together(fleet, records.iter().map(reached).collect(), always))
}

/// Returns the named tenants, without duplicates.
async fn named(fleet: &Fleet, names: Vec<Arc<str>>, row_tenants: RowTenants) -> Vec<Target> {
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
            let found = find(&fleet, listed.as_deref(), &name, row_tenants).await;
            (name, found)
        }
    });
    together(fleet, look_up.buffered(CONCURRENCY).collect().await, false)
}

async fn find(
    fleet: &Fleet,
    listed: Option<&HashMap<TenantId, TenantRecord>>,
    name: &str,
    row_tenants: RowTenants,
) -> Result<Reached, Error> {
    if row_tenants != RowTenants::Each
        && let Some(home) = fleet.servers().homes().find(|home| *rows_of(home.server()) == *name)
    {
        return Ok(Reached::RowTables { home, tenants: 0 });
    }
    let id = TenantId::parse(name)?;
    match listed {
        None => reach(fleet, &fleet.record(&id).await?, row_tenants),
        Some(listed) => match listed.get(&id) {
            Some(record) => reach(fleet, record, row_tenants),
            None => {
                let unknown = Error::new(ErrorKind::UnknownTenant, "looking the tenant up");
                Err(unknown.with_tenant(&id))
            }
        },
    }
}

fn reach(fleet: &Fleet, record: &TenantRecord, row_tenants: RowTenants) -> Result<Reached, Error> {
    match row_tenants {
        _ if !fleet.is_in_rows(record) => fleet.site_anywhere(record).map(Reached::Own),
        RowTenants::Each => fleet.site_of_rows_anywhere(record).map(Reached::Own),
        RowTenants::Together => Ok(Reached::RowTables { home: fleet.home_of(record)?, tenants: 1 }),
        RowTenants::NotByName => {
            let rows = rows_of(fleet.home_of(record)?.server());
            let attempted = format!(
                "it is isolated by row, and its tables hold the rows of other tenants, too: name {rows} for the tables"
            );
            Err(Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id))
        }
    }
}

/// Makes the tables of all row tenants of a server one target, after the others.
fn together(fleet: &Fleet, named: Vec<Named>, always: bool) -> Vec<Target> {
    let (mut targets, mut row_tenants) = (Vec::new(), BTreeMap::new());
    if always {
        row_tenants.insert(Home::MANAGERS, 0);
    }
    for (name, reached) in named {
        match reached {
            Ok(Reached::RowTables { home, tenants }) => {
                *row_tenants.entry(home).or_insert(0) += tenants;
            }
            Ok(Reached::Own(site)) => targets.push(Target::new(name, Ok(site))),
            Err(error) => targets.push(Target::new(name, Err(error))),
        }
    }
    let mut targets = apart(targets);
    let row_tables =
        row_tenants.iter().map(|(home, tenants)| Target::row_tables(fleet, home, *tenants));
    targets.extend(row_tables);
    targets
}

/// Refuses every tenant that shares its schema, or its key in the tables of all, with another.
fn apart(mut targets: Vec<Target>) -> Vec<Target> {
    let mut holders = HashMap::<_, usize>::new();
    for site in targets.iter().filter_map(|target| target.site.as_ref().ok()) {
        *holders.entry(site.spot()).or_default() += 1;
    }
    let is_shared = |target: &Target| {
        let site = target.site.as_ref().ok();
        site.is_some_and(|site| holders.get(&site.spot()).is_some_and(|holders| *holders > 1))
    };
    let shared: Vec<_> = targets.iter().map(is_shared).collect();
    for (target, _) in targets.iter_mut().zip(shared).filter(|(_, shared)| *shared) {
        if let Ok(Site { tenant: Some(tenant), .. }) = &target.site {
            let shared =
                Error::new(ErrorKind::Placement, "its container also belongs to another tenant");
            target.site = Err(shared.with_tenant(tenant));
        }
    }
    targets
}
