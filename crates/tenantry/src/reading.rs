//! Fingerprints of many schemas, read over a few connections, and details of single schemas.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use sqlx::PgConnection;

use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{RowTenants, Schemas, targets_of},
    pool::{Effect, Lease, leaves_session_usable},
    schema::{
        Fingerprint, SchemaModel,
        read::{self, Subject, Unreadable},
        unreadable,
    },
    sql::Sql,
};

/// The number of schemas that are fingerprinted per statement.
const AT_ONCE: usize = 100;

/// The number of concurrent fingerprint statements, each on a separate connection. One more connection reads the
/// facts besides drift.
const CONCURRENCY: usize = 2;

/// How long to wait for a view that a migration has locked.
const LOCK_TIMEOUT: Duration = Duration::from_millis(2_000);

/// The maximum number of readings of a schema that keeps changing.
const READINGS: usize = 3;

/// Fingerprints by the index of their schemas.
type Found = Vec<(usize, Result<Fingerprint, Error>)>;

/// Returns how to read a tenant's schema.
pub(crate) async fn subject_of(fleet: &Fleet, site: &Site) -> Result<Subject, Error> {
    let role = fleet.role_of(site).await?;
    // A role that all tenants share belongs to none of them.
    let role = role.filter(|role| Some(role) != fleet.server().role_of_manager());
    Ok(Subject { schema: site.schema.clone(), role })
}

/// Returns how to read the schema of a named tenant, and maintenance of its database.
pub(crate) async fn subject_named(
    fleet: &Fleet,
    name: &Arc<str>,
) -> Result<(Fleet, Subject), Error> {
    let named = Schemas::Tenants(vec![Arc::clone(name)]);
    let target = targets_of(fleet, &named, RowTenants::NotByName).await?.into_iter().next();
    let target =
        target.ok_or_else(|| Error::new(ErrorKind::UnknownTenant, "looking the tenant up"))?;
    let site = target.site?;
    let fleet = fleet.at(&site.home);
    let subject = subject_of(&fleet, &site).await?;
    Ok((fleet, subject))
}

/// Computes the fingerprints of all of these schemas, in this order. A schema that cannot be read does not affect the
/// others.
pub(crate) async fn fingerprints(
    fleet: &Fleet,
    subjects: &[&Subject],
) -> Result<Vec<Result<Fingerprint, Error>>, Error> {
    let places: Vec<_> = (0..subjects.len()).collect();
    let chunks = places.chunks(AT_ONCE).map(|chunk| chunk[0]..chunk[0] + chunk.len());
    let chunks: VecDeque<_> = chunks.collect();
    let places_for_upkeep = fleet.server().places_for_upkeep().saturating_sub(2).max(1);
    let readers = CONCURRENCY.min(places_for_upkeep).min(chunks.len());
    let chunks = Mutex::new(chunks);
    let readers = (0..readers).map(|_| reader(fleet, subjects, &chunks));
    let mut found: Found = try_join_all(readers).await?.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

async fn reader(
    fleet: &Fleet,
    subjects: &[&Subject],
    chunks: &Mutex<VecDeque<Range<usize>>>,
) -> Result<Found, Error> {
    let (mut found, mut lease) = (Found::new(), None);
    loop {
        let Some(chunk) = chunks.lock().pop_front() else { return Ok(found) };
        let mut held = match lease.take() {
            Some(held) => held,
            None => lease_for_reading(fleet).await?,
        };
        held.wear(chunk.len());
        let mut parts = Parts::of(chunk);
        while let Some(part) = parts.next() {
            let asked = &subjects[part.clone()];
            let computed = on(&mut held, async |conn| read::fingerprints(conn, asked).await).await;
            match parts.settle(part.clone(), computed)? {
                Settled::Answered(prints) => {
                    for (place, print) in part.zip(prints) {
                        let print = match print {
                            Some(print) => Ok(print),
                            // Reading the details shows which of the two it is.
                            None => Err(why_not(&mut held, subjects[place]).await),
                        };
                        found.push((place, print));
                    }
                }
                Settled::Refused(place, _) => {
                    found.push((place, again(&mut held, subjects[place]).await));
                }
                Settled::Halved => {}
            }
        }
        lease = Some(held).filter(|held| !held.is_spent());
    }
}

/// Indexes of schemas for a statement about many. An error about one schema fails the whole statement, so it is split
/// in halves until the schema is by itself.
#[derive(Debug)]
pub(crate) struct Parts(VecDeque<Range<usize>>);

/// The result of a statement about a part.
pub(crate) enum Settled<T> {
    Answered(T),
    /// The one schema of the part cannot be asked about.
    Refused(usize, Error),
    /// Its halves follow later.
    Halved,
}

impl Parts {
    pub(crate) fn of(all: Range<usize>) -> Self {
        Self([all].into())
    }

    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop_front()
    }

    /// Fails if the connection is no longer usable.
    pub(crate) fn settle<T>(
        &mut self,
        part: Range<usize>,
        result: sqlx::Result<T>,
    ) -> Result<Settled<T>, Error> {
        match result {
            Ok(answer) => Ok(Settled::Answered(answer)),
            Err(error) if !leaves_session_usable(&error) => Err(error.into()),
            Err(error) if part.len() < 2 => Ok(Settled::Refused(part.start, error.into())),
            Err(_) => {
                let middle = part.start + part.len() / 2;
                self.0.extend([part.start..middle, middle..part.end]);
                Ok(Settled::Halved)
            }
        }
    }
}

/// Recomputes the fingerprint of a schema after an error: it may just be changing.
async fn again(lease: &mut Lease, subject: &Subject) -> Result<Fingerprint, Error> {
    for _ in 1..READINGS {
        match fingerprint(lease, subject).await {
            Ok(Some(print)) => return Ok(print),
            Ok(None) => return Err(why_not(lease, subject).await),
            Err(error) if is_of_change(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(changing(subject))
}

async fn why_not(lease: &mut Lease, subject: &Subject) -> Error {
    match on(lease, async |conn| read::details(conn, &[subject]).await).await.as_deref() {
        Ok([Err(reason)]) => unreadable(subject, *reason),
        Ok(_) => changing(subject),
        // Either the connection is lost, which the next statement reports, or the schema is being dropped.
        Err(_) => changing(subject),
    }
}

/// Returns `true` if an object that a statement found was gone when it was to be printed.
fn is_of_change(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let gone = ["XX000", "42P01", "42704", "42883", "42703", "3F000"];
    code.is_some_and(|code| gone.contains(&&*code))
}

fn changing(subject: &Subject) -> Error {
    let attempted = format!("reading the schema {}: it is being changed; retry", subject.schema);
    Error::new(ErrorKind::Busy, attempted)
}

/// Reads the model of one schema that does not change meanwhile.
pub(crate) async fn read(fleet: &Fleet, subject: &Subject) -> Result<SchemaModel, Error> {
    Ok(read_with_fingerprint(fleet, subject).await?.1)
}

/// Reads the model of a schema once. The result can mix old and new if the schema changes meanwhile, so the caller
/// must compare again.
pub(crate) async fn read_once(fleet: &Fleet, subject: &Subject) -> Result<SchemaModel, Error> {
    let mut lease = lease_for_reading(fleet).await?;
    for _ in 0..READINGS {
        match on(&mut lease, async |conn| read::details(conn, &[subject]).await).await {
            Ok(mut models) => {
                let model = models.pop().unwrap_or(Err(Unreadable::Missing));
                return model.map_err(|reason| unreadable(subject, reason));
            }
            Err(error) if is_of_change(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(changing(subject))
}

/// Reads the model of a schema with the fingerprint that goes with it.
///
/// The server always prints the current definitions, regardless of the snapshot: a schema that is equal before and
/// after was equal in between.
pub(crate) async fn read_with_fingerprint(
    fleet: &Fleet,
    subject: &Subject,
) -> Result<(Fingerprint, SchemaModel), Error> {
    let mut lease = lease_for_reading(fleet).await?;
    for _ in 0..READINGS {
        match read_between(&mut lease, subject).await {
            Ok(Some(read)) => return Ok(read),
            Ok(None) => {}
            Err(Unread::Refused(error)) if is_of_change(&error) => {}
            Err(Unread::Refused(error)) => return Err(error.into()),
            Err(Unread::Unreadable(reason)) => return Err(unreadable(subject, reason)),
        }
    }
    Err(changing(subject))
}

/// Why a reading failed.
enum Unread {
    Refused(sqlx::Error),
    Unreadable(Unreadable),
}

/// Reads a model between two fingerprints; none if these differ.
async fn read_between(
    lease: &mut Lease,
    subject: &Subject,
) -> Result<Option<(Fingerprint, SchemaModel)>, Unread> {
    let before = fingerprint(lease, subject).await.map_err(Unread::Refused)?;
    let models = on(lease, async |conn| read::details(conn, &[subject]).await).await;
    let model = models.map_err(Unread::Refused)?.pop().unwrap_or(Err(Unreadable::Missing));
    let model = model.map_err(Unread::Unreadable)?;
    let after = fingerprint(lease, subject).await.map_err(Unread::Refused)?;
    Ok(after.filter(|after| before.as_ref() == Some(after)).map(|print| (print, model)))
}

async fn fingerprint(lease: &mut Lease, subject: &Subject) -> sqlx::Result<Option<Fingerprint>> {
    let prints = on(lease, async |conn| read::fingerprints(conn, &[subject]).await).await?;
    Ok(prints.into_iter().next().flatten())
}

pub(crate) async fn lease_for_reading(fleet: &Fleet) -> Result<Lease, Error> {
    let mut lease = fleet.lease().await?;
    // The statements are large and run once: JIT compilation would take longer than running them.
    let mut sql = Sql::new(
        "set jit = off; set work_mem = '32MB'; set quote_all_identifiers = off; set datestyle = 'ISO'; \
         set intervalstyle = 'postgres'; set extra_float_digits = 3; set lock_timeout = ",
    );
    sql.number(LOCK_TIMEOUT.as_millis() as u64);
    on(&mut lease, async |conn| sqlx::raw_sql(sql.finish()).execute(conn).await).await?;
    Ok(lease)
}

/// Runs an operation on a maintenance lease, and reports its result to the lease.
pub(crate) async fn on<T>(
    lease: &mut Lease,
    run: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    let result = run(&mut lease.start().conn).await;
    lease.finish(Effect::OnSession, &result);
    result
}
