//! Reads the migration records of many tenants' schemas, with a few statements in total.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    Failure, FailureReason, Invalid, invalid,
    plan::Applied,
    remembered::Seen,
    tracking::{self, Presence},
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    pool::{Effect, Lease},
    sql::Sql,
    tenant::Ident,
};

/// The records of a schema.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) presence: Presence,
    pub(super) applied: Arc<[Applied]>,
    /// The number of tables and views in a schema without a records table; 0 in one that has it.
    pub(super) tables: usize,
    /// The identity of the schema and the table.
    pub(super) seen: Seen,
}

/// The maximum number of schemas to look up per statement.
const LOOKED_FOR_AT_ONCE: usize = 5_000;

/// The maximum number of schemas to read per statement. With more, the server takes longer than another statement
/// would: planning time grows faster than linearly. Each table and its index is locked until the statement ends.
const READ_AT_ONCE: usize = 250;

/// The number of concurrent statements. Each needs a connection, and a connect costs as much as reading fifty
/// schemas.
const CONCURRENCY: usize = 2;

/// How long to wait for a schema that another session has locked.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long reading one chunk may take in a Citus cluster. A session of the coordinator that is connected to a node that
/// hangs does not end a statement, even if its time is over.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// Results for schemas, by their index.
type Found = Vec<(usize, Result<Recorded, Failure>)>;

/// Reads all of these schemas, in this order. A schema that cannot be read does not affect the others.
///
/// # Errors
///
/// If no connection is available, or if it is lost.
pub(super) async fn read(
    fleet: &Fleet,
    schemas: &[&Ident],
) -> Result<Vec<Result<Recorded, Failure>>, Failure> {
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let mut lease = fleet.lease().await?;
    let (mut found, with_table) = look_for(&mut lease, schemas).await?;
    let is_citus = lease.citus().await?.is_some_and(|citus| citus.distributes_schemas());
    let groups = match is_citus {
        true => by_node(&mut lease, schemas, with_table).await?,
        false => vec![with_table],
    };
    // The lease used for the lookup continues with reading.
    let mut first = Some(lease);
    let chunks = groups.iter().flat_map(|group| group.chunks(READ_AT_ONCE).map(<[usize]>::to_vec));
    let chunks = Mutex::new(chunks.collect::<VecDeque<_>>());
    let readers = CONCURRENCY
        .min(fleet.server().places_for_upkeep().saturating_sub(1).max(1))
        .min(chunks.lock().len());
    let readers = (0..readers).map(|_| reader(fleet, schemas, (&chunks, is_citus), first.take()));
    for (place, recorded) in try_join_all(readers).await?.into_iter().flatten() {
        let seen = found[place].as_ref().map_or_else(|_| Seen::default(), |found| found.seen);
        found[place] = recorded.map(|recorded| Recorded { seen, ..recorded });
    }
    Ok(found)
}

/// Reads the latest completed version recorded in each of these schemas, 0 for none.
pub(crate) async fn recorded_versions(
    fleet: &Fleet,
    schemas: &[&Ident],
) -> Result<Vec<Result<i64, Error>>, Error> {
    let error = |failure: Failure| {
        Error::new(ErrorKind::Migration, "reading the migration records").with_source(failure)
    };
    let recorded = read(fleet, schemas).await.map_err(error)?;
    let latest = |recorded: Recorded| {
        let done = recorded.applied.iter().filter(|applied| applied.success);
        done.map(|applied| applied.version).max().unwrap_or_default()
    };
    Ok(recorded.into_iter().map(|found| found.map(latest).map_err(error)).collect())
}

/// Additional information for a status, beyond the records.
#[derive(Debug, Default)]
pub(super) struct Closer {
    /// Files that were started and have not completed.
    pub(super) begun: Vec<Applied>,
    pub(super) invalid: Vec<Invalid>,
}

/// Reads the additional information for a status: with one statement, and one more for each 250 dirty schemas.
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
            // It is known nevertheless that they are dirty.
            Err(_) => {}
        }
    }
    lease.settle().await;
    Ok(closer)
}

/// Reads the records of these schemas from a version on, to review many that another run may have handled. There is
/// no result for a schema that cannot be read now.
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

/// Reads the identity of databases, or of schemas in the database of the server's URL, without connecting to any
/// other database.
pub(super) async fn identity(
    fleet: &Fleet,
    asked: &[(Option<&Ident>, &Ident)],
) -> Result<Vec<Seen>, Failure> {
    let mut lease = fleet.lease().await?;
    let seen = run(&mut lease, async |conn| tracking::identity(conn, asked).await).await?;
    lease.settle().await;
    Ok(seen)
}

/// Determines which schemas exist, and which of them have records.
async fn look_for(
    lease: &mut Lease,
    schemas: &[&Ident],
) -> Result<(Vec<Result<Recorded, Failure>>, Vec<usize>), Failure> {
    let nothing: Arc<[Applied]> = Arc::new([]);
    let (mut found, mut with_table) = (Vec::with_capacity(schemas.len()), Vec::new());
    for chunk in schemas.chunks(LOOKED_FOR_AT_ONCE) {
        let there = run(lease, async |conn| tracking::presence(conn, chunk).await).await?;
        for (presence, seen) in there {
            if presence == Presence::Table {
                with_table.push(found.len());
            }
            found.push(match presence {
                Presence::NoSchema => Err(Failure::schema_missing()),
                _ => Ok(Recorded { presence, applied: Arc::clone(&nothing), tables: 0, seen }),
            });
        }
    }
    count_tables(lease, schemas, &mut found).await?;
    Ok((found, with_table))
}

/// Counts the tables in schemas without records. If there are no such schemas, nothing is queried.
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

/// Groups schemas by the node of a Citus cluster that their records are on: one that does not answer concerns no others.
async fn by_node(
    lease: &mut Lease,
    schemas: &[&Ident],
    places: Vec<usize>,
) -> Result<Vec<Vec<usize>>, Failure> {
    let nodes: Vec<(String, i32)> =
        run(lease, async |conn| sqlx::query_as(NODES).persistent(false).fetch_all(conn).await)
            .await?;
    let nodes: HashMap<_, _> = nodes.into_iter().collect();
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for place in places {
        groups.entry(nodes.get(schemas[place].as_str())).or_default().push(place);
    }
    Ok(groups.into_values().collect())
}

/// The nodes of the tables of records that are distributed, by schema.
const NODES: &str = "\
    select n.nspname::pg_catalog.text, pg_catalog.min(l.groupid) from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_dist_shard h on h.logicalrelid operator(pg_catalog.=) c.oid \
    join pg_catalog.pg_dist_placement l on l.shardid operator(pg_catalog.=) h.shardid \
    where c.relname operator(pg_catalog.=) '_sqlx_migrations' group by n.nspname";

fn node_hangs() -> Failure {
    let message = "the node of the Citus cluster that it is on does not answer its coordinator";
    Failure::new(FailureReason::ClusterUnavailable, message)
}

/// Reads one chunk after the other.
async fn reader(
    fleet: &Fleet,
    schemas: &[&Ident],
    (chunks, is_citus): (&Mutex<VecDeque<Vec<usize>>>, bool),
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
            if is_citus {
                let limit = "set citus.node_connection_timeout = '5s'";
                run(&mut held, async |conn| sqlx::raw_sql(limit).execute(conn).await).await?;
            }
        }
        let reading = read_chunk(&mut held, schemas, &chunk, &mut found);
        let read = match is_citus {
            true => timeout(NODE_TIMEOUT, reading).await,
            false => Ok(reading.await),
        };
        let Ok(read) = read else {
            let left =
                chunk.into_iter().filter(|place| found.iter().all(|(read, _)| read != place));
            let left: Vec<_> = left.map(|place| (place, Err(node_hangs()))).collect();
            found.extend(left);
            is_set = false;
            continue;
        };
        read?;
        held.wear(chunk.len());
        lease = Some(held).filter(|held| !held.is_spent());
        is_set = lease.is_some();
    }
}

async fn set_for_reading(lease: &mut Lease) -> Result<(), Failure> {
    // The statements are large and run once: JIT compilation would take longer than running them.
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
    // An error about one schema fails the whole statement, so it is split in halves until the schema is by itself.
    let mut parts = VecDeque::from([places]);
    while let Some(part) = parts.pop_front() {
        let asked: Vec<_> = part.iter().map(|place| schemas[*place]).collect();
        match run(lease, async |conn| tracking::read_many(conn, &asked).await).await {
            Ok(groups) => {
                for group in groups {
                    let applied: Arc<[Applied]> = group.applied.into();
                    for place in group.places.iter().filter_map(|place| part.get(*place)) {
                        let (presence, applied) = (Presence::Table, Arc::clone(&applied));
                        let seen = Seen::default();
                        found.push((*place, Ok(Recorded { presence, applied, tables: 0, seen })));
                    }
                }
            }
            Err(failure) if failure.reason == FailureReason::Connection => return Err(failure),
            // All are on the same node.
            Err(failure) if failure.reason == FailureReason::ClusterUnavailable => {
                found.extend(part.iter().map(|place| (*place, Err(failure.clone()))));
            }
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

/// A schema that was dropped meanwhile does not exist.
fn unreadable(failure: Failure) -> Failure {
    match failure.reason {
        FailureReason::LockTimeout
        | FailureReason::SchemaMissing
        | FailureReason::ClusterUnavailable => failure,
        _ => failure.because(FailureReason::Unreadable),
    }
}

/// Runs an operation on a maintenance lease, and reports its result to the lease.
pub(super) async fn run<T>(
    lease: &mut Lease,
    on: impl AsyncFnOnce(&mut sqlx::PgConnection) -> sqlx::Result<T>,
) -> Result<T, Failure> {
    let result = on(&mut lease.start().conn).await;
    lease.finish(Effect::OnSession, &result);
    result.map_err(Failure::from)
}
