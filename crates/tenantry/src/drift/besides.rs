//! Report sections about all schemas besides drift: facts beyond the dump, and references across tenants.

use std::collections::{BTreeMap, HashMap};

use crate::{
    error::Error,
    fleet::Fleet,
    pool::Lease,
    reading::{Parts, Settled, lease_for_reading, on},
    schema::{
        Beyond, CrossReference,
        read::{self, ReferenceSearch, Subject},
    },
    tenant::Ident,
};

/// The number of schemas per statement.
const AT_ONCE: usize = 1_000;

/// Facts about schemas of a database.
#[derive(Debug)]
pub(super) struct Besides {
    /// Of each schema, unless it could not be examined.
    pub(super) each: Vec<Result<BesidesOfOne, Error>>,
    /// References from the shared schema.
    pub(super) shared: Vec<CrossReference>,
}

/// Facts about a schema.
#[derive(Debug, Default)]
pub(super) struct BesidesOfOne {
    pub(super) beyond: Vec<Beyond>,
    pub(super) references: Vec<CrossReference>,
}

/// Examines all of these schemas of one database, with a few statements over one connection.
pub(super) async fn besides(fleet: &Fleet, subjects: &[&Subject]) -> Result<Besides, Error> {
    let mut lease = lease_for_reading(fleet).await?;
    let mut refused = BTreeMap::new();
    let beyond = beyond_of(&mut lease, subjects, &mut refused).await?;
    // A schema of the same name in another database is not the shared one.
    let shared = fleet.home().is_managers().then(|| fleet.shared_site().schema);
    let schemas: Vec<Ident> = subjects.iter().map(|subject| subject.schema.clone()).collect();
    let found = references_of(&mut lease, &schemas, shared.as_ref()).await?;
    refused.extend(found.refused);

    let places = places(&schemas);
    let (mut references, mut of_shared) = (vec![Vec::new(); subjects.len()], Vec::new());
    for reference in found.all {
        let place = places.get(reference.from_schema.as_str());
        place.map_or(&mut of_shared, |place| &mut references[*place]).push(reference);
    }
    let each = beyond.into_iter().zip(references).enumerate();
    let each = each.map(|(place, (beyond, references))| match refused.remove(&place) {
        Some(error) => Err(error),
        None => Ok(BesidesOfOne { beyond, references }),
    });
    Ok(Besides { each: each.collect(), shared: of_shared })
}

/// Reads facts beyond the dump, of each schema.
async fn beyond_of(
    lease: &mut Lease,
    subjects: &[&Subject],
    refused: &mut BTreeMap<usize, Error>,
) -> Result<Vec<Vec<Beyond>>, Error> {
    let mut beyond = vec![Vec::new(); subjects.len()];
    for start in (0..subjects.len()).step_by(AT_ONCE) {
        let mut parts = Parts::of(start..subjects.len().min(start + AT_ONCE));
        while let Some(part) = parts.next() {
            let asked = &subjects[part.clone()];
            let found = on(lease, async |conn| read::beyond(conn, asked).await).await;
            match parts.settle(part.clone(), found)? {
                Settled::Answered(found) => drop(beyond.splice(part, found)),
                Settled::Refused(place, error) => drop(refused.insert(place, error)),
                Settled::Halved => {}
            }
        }
    }
    Ok(beyond)
}

/// Returns the index of each schema.
fn places(schemas: &[Ident]) -> HashMap<&str, usize> {
    schemas.iter().enumerate().map(|(place, schema)| (schema.as_str(), place)).collect()
}

/// References from tenants' schemas, and from the shared one, into tenants' schemas.
#[derive(Debug)]
pub(crate) struct References {
    /// All that were found, in order.
    pub(crate) all: Vec<CrossReference>,
    /// Schemas whose texts could not be read, by their index.
    pub(crate) refused: BTreeMap<usize, Error>,
}

/// Finds references across schemas, in a few statements over one connection.
pub(crate) async fn references_of(
    lease: &mut Lease,
    schemas: &[Ident],
    shared: Option<&Ident>,
) -> Result<References, Error> {
    let places = places(schemas);
    let mut refused = BTreeMap::new();
    let mut search = ReferenceSearch::new(schemas, shared);
    on(lease, async |conn| search.dependencies(conn).await).await?;
    let (mut mentions, mut parts) = (Vec::new(), Parts::of(0..search.len()));
    while let Some(part) = parts.next() {
        let asked = part.clone();
        let found = on(lease, async |conn| search.texts(conn, asked).await).await;
        match parts.settle(part, found)? {
            Settled::Answered(found) => mentions.extend(found),
            Settled::Refused(place, error) => match places.get(search.name(place)) {
                Some(place) => drop(refused.insert(*place, error)),
                // The shared schema does not belong to a tenant.
                None => return Err(error),
            },
            Settled::Halved => {}
        }
    }
    on(lease, async |conn| search.resolve(conn, &mentions).await).await?;
    Ok(References { all: search.finish(), refused })
}
