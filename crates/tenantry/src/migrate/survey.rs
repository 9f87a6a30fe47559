//! Reads what is recorded in the schemas of many tenants, in a few statements for all of them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use parking_lot::Mutex;

use super::{
    Failure, FailureReason, Invalid, invalid,
    plan::Applied,
    tracking::{self, Presence},
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::{Effect, Lease},
    sql::Sql,
    tenant::Ident,
};

/// What a schema has on record.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) presence: Presence,
    pub(super) applied: Arc<[Applied]>,
    /// Tables and views in a schema without the table of records; 0 in one that has it.
    pub(super) tables: usize,
}

/// Schemas that are looked for in one statement.
const LOOKED_FOR_AT_ONCE: usize = 5_000;

/// Schemas that are read in one statement. More take the server longer than it takes to send another
/// statement: planning is worse than linear. Each table and its index is locked until it ends.
const READ_AT_ONCE: usize = 250;

/// Statements that are run at a time. Each has a connection, and opening it costs as much as reading fifty
/// schemas.
const CONCURRENCY: usize = 2;

/// How long a schema that somebody has locked is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// What was found in schemas, by their places.
type Found = Vec<(usize, Result<Recorded, Failure>)>;

/// Reads all of these schemas, in this order. Those that cannot be read do not keep the others from it.
///
/// # Errors
///
/// When there is no connection, or it is lost.
pub(super) async fn read(
    fleet: &Fleet,
    schemas: &[&Ident],
) -> Result<Vec<Result<Recorded, Failure>>, Failure> {
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let mut lease = fleet.lease().await?;
    let (mut found, with_table) = look_for(&mut lease, schemas).await?;
    // What has looked reads on.
    let mut first = Some(lease);
    let chunks = with_table.chunks(READ_AT_ONCE).map(<[usize]>::to_vec);
    let chunks = Mutex::new(chunks.collect::<VecDeque<_>>());
    let readers = CONCURRENCY
        .min(fleet.server().places_for_upkeep().saturating_sub(1).max(1))
        .min(chunks.lock().len());
    let readers = (0..readers).map(|_| reader(fleet, schemas, &chunks, first.take()));
    for (place, recorded) in try_join_all(readers).await?.into_iter().flatten() {
        found[place] = recorded;
    }
    Ok(found)
}

/// Reads the latest version that each of these schemas has on record as run to its end, 0 for none.
pub(crate) async fn recorded_versions(
    fleet: &Fleet,
    schemas: &[&Ident],
) -> Result<Vec<Result<i64, Error>>, Error> {
    let error = |failure: Failure| {
        Error::new(ErrorKind::Migration, "reading what is on record").with_source(failure)
    };
    let recorded = read(fleet, schemas).await.map_err(error)?;
    let latest = |recorded: Recorded| {
        let done = recorded.applied.iter().filter(|applied| applied.success);
        done.map(|applied| applied.version).max().unwrap_or_default()
    };
    Ok(recorded.into_iter().map(|found| found.map(latest).map_err(error)).collect())
}

/// What a status says beside what is recorded.
#[derive(Debug, Default)]
pub(super) struct Closer {
    /// Files that were begun and not run to their end.
    pub(super) begun: Vec<Applied>,
    pub(super) invalid: Vec<Invalid>,
}

/// Looks at schemas for what a status says beside what is recorded: in one statement, and in one more for each
/// 250 of those that are dirty.
pub(super) async fn look_closer(
    fleet: &Fleet,
    schemas: &[(&Ident, &Recorded)],
) -> Result<Vec<Closer>, Failure> {
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let mut lease = fleet.lease().await?;
    let mut closer = Vec::with_capacity(schemas.len());
    for chunk in schemas.chunks(LOOKED_FOR_AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|(schema, _)| *schema).collect();
        let mut found = run(&mut lease, async |conn| invalid::find(conn, &names).await).await?;
        closer.extend(names.iter().map(|schema| {
            let invalid = found.remove(schema.as_str()).unwrap_or_default();
            Closer { begun: Vec::new(), invalid }
        }));
    }
    let is_dirty = |place: &usize| schemas[*place].1.applied.iter().any(|row| !row.success);
    let dirty: Vec<_> = (0..schemas.len()).filter(is_dirty).collect();
    for chunk in dirty.chunks(READ_AT_ONCE) {
        let names: Vec<_> = chunk.iter().map(|place| schemas[*place].0).collect();
        match run(&mut lease, async |conn| tracking::begun(conn, &names).await).await {
            Ok(rows) => {
                for (place, row) in rows {
                    closer[chunk[place]].begun.push(row);
                }
            }
            Err(failure) if failure.reason == FailureReason::Connection => return Err(failure),
            // That they are dirty is known all the same.
            Err(_) => {}
        }
    }
    lease.settle().await;
    Ok(closer)
}

/// Reads what these schemas have on record from a version on, as a look at many that may have been seen to by
/// somebody else. There is nothing for one that cannot be read now.
pub(super) async fn read_from(
    fleet: &Fleet,
    schemas: &[(&Ident, i64)],
) -> Result<Vec<Option<Vec<Applied>>>, Failure> {
    let mut found = vec![None; schemas.len()];
    let mut lease = fleet.lease().await?;
    let names: Vec<_> = schemas.iter().map(|(schema, _)| *schema).collect();
    let (_, with_table) = look_for(&mut lease, &names).await?;
    set_for_reading(&mut lease).await?;
    for chunk in with_table.chunks(READ_AT_ONCE) {
        let asked: Vec<_> = chunk.iter().map(|place| schemas[*place]).collect();
        match run(&mut lease, async |conn| tracking::read_from(conn, &asked).await).await {
            Ok(records) => {
                for (place, records) in chunk.iter().zip(records) {
                    found[*place] = Some(records);
                }
            }
            Err(failure) if failure.reason == FailureReason::Connection => return Err(failure),
            Err(_) => {}
        }
        lease.wear(chunk.len());
    }
    Ok(found)
}

/// Finds out which schemas are there, and which of them have records.
async fn look_for(
    lease: &mut Lease,
    schemas: &[&Ident],
) -> Result<(Vec<Result<Recorded, Failure>>, Vec<usize>), Failure> {
    let nothing: Arc<[Applied]> = Arc::new([]);
    let (mut found, mut with_table) = (Vec::with_capacity(schemas.len()), Vec::new());
    for chunk in schemas.chunks(LOOKED_FOR_AT_ONCE) {
        let there = run(lease, async |conn| tracking::presence(conn, chunk).await).await?;
        for presence in there {
            if presence == Presence::Table {
                with_table.push(found.len());
            }
            found.push(match presence {
                Presence::NoSchema => Err(Failure::schema_missing()),
                _ => Ok(Recorded { presence, applied: Arc::clone(&nothing), tables: 0 }),
            });
        }
    }
    count_tables(lease, schemas, &mut found).await?;
    Ok((found, with_table))
}

/// Counts the tables in schemas without records. Where each has some, nothing is asked.
async fn count_tables(
    lease: &mut Lease,
    schemas: &[&Ident],
    found: &mut [Result<Recorded, Failure>],
) -> Result<(), Failure> {
    let has_no_records = |place: &usize| {
        found[*place].as_ref().is_ok_and(|found| found.presence == Presence::NoTable)
    };
    let places: Vec<_> = (0..found.len()).filter(has_no_records).collect();
    for chunk in places.chunks(LOOKED_FOR_AT_ONCE) {
        let asked: Vec<_> = chunk.iter().map(|place| schemas[*place]).collect();
        let counts = run(lease, async |conn| tracking::count_tables(conn, &asked).await).await?;
        for place in chunk {
            if let (Ok(found), Some(count)) =
                (&mut found[*place], counts.get(schemas[*place].as_str()))
            {
                found.tables = *count;
            }
        }
    }
    Ok(())
}

/// Reads one chunk after the other.
async fn reader(
    fleet: &Fleet,
    schemas: &[&Ident],
    chunks: &Mutex<VecDeque<Vec<usize>>>,
    mut lease: Option<Lease>,
) -> Result<Found, Failure> {
    let (mut found, mut is_set) = (Found::new(), false);
    loop {
        let Some(chunk) = chunks.lock().pop_front() else { return Ok(found) };
        let mut held = match lease.take() {
            Some(held) => held,
            None => fleet.lease().await?,
        };
        if !is_set {
            set_for_reading(&mut held).await?;
        }
        read_chunk(&mut held, schemas, &chunk, &mut found).await?;
        held.wear(chunk.len());
        lease = Some(held).filter(|held| !held.is_spent());
        is_set = lease.is_some();
    }
}

async fn set_for_reading(lease: &mut Lease) -> Result<(), Failure> {
    // The statements are large and run once: compiling them would take longer than running them.
    let mut sql = Sql::new("set jit = off; set lock_timeout = ");
    sql.number(LOCK_TIMEOUT.as_millis() as u64);
    run(lease, async |conn| sqlx::raw_sql(sql.finish()).execute(conn).await).await.map(drop)
}

/// Reads the schemas at these places.
async fn read_chunk(
    lease: &mut Lease,
    schemas: &[&Ident],
    places: &[usize],
    found: &mut Found,
) -> Result<(), Failure> {
    // What one schema is refused for, all in its statement are: they are asked again in two halves,
    // until it is by itself.
    let mut parts = VecDeque::from([places]);
    while let Some(part) = parts.pop_front() {
        let asked: Vec<_> = part.iter().map(|place| schemas[*place]).collect();
        match run(lease, async |conn| tracking::read_many(conn, &asked).await).await {
            Ok(groups) => {
                for group in groups {
                    let applied: Arc<[Applied]> = group.applied.into();
                    for place in group.places.iter().filter_map(|place| part.get(*place)) {
                        let (presence, applied) = (Presence::Table, Arc::clone(&applied));
                        found.push((*place, Ok(Recorded { presence, applied, tables: 0 })));
                    }
                }
            }
            Err(failure) if failure.reason == FailureReason::Connection => return Err(failure),
            Err(failure) => match part {
                [] => {}
                [alone] => found.push((*alone, Err(unreadable(failure)))),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([first, second]);
                }
            },
        }
    }
    Ok(())
}

/// A schema that went away meanwhile is one that is not there.
fn unreadable(failure: Failure) -> Failure {
    match failure.reason {
        FailureReason::LockTimeout | FailureReason::SchemaMissing => failure,
        _ => failure.because(FailureReason::Unreadable),
    }
}

/// Runs something on a lease for upkeep, and notes in it what came of that.
pub(super) async fn run<T>(
    lease: &mut Lease,
    on: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<T>,
) -> Result<T, Failure> {
    let result = on(&mut lease.start().conn).await;
    lease.finish(Effect::OnSession, &result);
    result.map_err(Failure::from)
}
