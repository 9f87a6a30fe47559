//! Reads what is recorded in the schemas of many tenants, in a few statements for all of them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Failure, FailureReason,
    plan::Applied,
    tracking::{self, Presence},
};
use crate::{
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
}

/// Schemas that are read in one statement. Each table and its index is locked until it ends, and by
/// default a server has room for 6,400 locks of all sessions together.
const AT_ONCE: usize = 1_000;

/// How long a schema that somebody has locked is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads all of these schemas, in this order. Those that cannot be read do not keep the others from it.
///
/// # Errors
///
/// When there is no connection, or it is lost.
pub(super) async fn read(
    fleet: &Fleet,
    schemas: &[&Ident],
) -> Result<Vec<Result<Recorded, Failure>>, Failure> {
    let mut lease = fleet.lease().await?;
    let mut found = Vec::with_capacity(schemas.len());
    for chunk in schemas.chunks(AT_ONCE) {
        if lease.is_spent() {
            drop(lease);
            lease = fleet.lease().await?;
        }
        found.extend(read_chunk(&mut lease, chunk).await?);
        lease.wear(chunk.len());
    }
    Ok(found)
}

async fn read_chunk(
    lease: &mut Lease,
    schemas: &[&Ident],
) -> Result<Vec<Result<Recorded, Failure>>, Failure> {
    let mut sql = Sql::new("set lock_timeout = ");
    sql.number(LOCK_TIMEOUT.as_millis() as u64);
    run(lease, async |conn| sqlx::raw_sql(sql.finish()).execute(conn).await).await?;
    let there = run(lease, async |conn| tracking::presence(conn, schemas).await).await?;
    let nothing: Arc<[Applied]> = Arc::new([]);
    let mut found: Vec<_> = there
        .iter()
        .map(|presence| match presence {
            Presence::NoSchema => Err(Failure::schema_missing()),
            _ => Ok(Recorded { presence: *presence, applied: Arc::clone(&nothing) }),
        })
        .collect();
    let with_table = |place: &usize| there.get(*place) == Some(&Presence::Table);
    let places: Vec<_> = (0..schemas.len()).filter(with_table).collect();
    // What one schema is refused for, all in its statement are: they are asked again in two halves,
    // until it is by itself.
    let mut parts = VecDeque::from([places]);
    while let Some(part) = parts.pop_front() {
        let asked: Vec<_> = part.iter().map(|place| schemas[*place]).collect();
        if asked.is_empty() {
            continue;
        }
        match run(lease, async |conn| tracking::read_many(conn, &asked).await).await {
            Ok(groups) => {
                for group in groups {
                    let applied: Arc<[Applied]> = group.applied.into();
                    for place in group.places.iter().filter_map(|place| part.get(*place)) {
                        let (presence, applied) = (Presence::Table, Arc::clone(&applied));
                        found[*place] = Ok(Recorded { presence, applied });
                    }
                }
            }
            Err(failure) if failure.reason == FailureReason::Connection => return Err(failure),
            Err(failure) => match part.as_slice() {
                [alone] => found[*alone] = Err(unreadable(failure)),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([first.to_vec(), second.to_vec()]);
                }
            },
        }
    }
    Ok(found)
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
