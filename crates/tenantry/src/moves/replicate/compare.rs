//! Compares the rows on both servers while the tenant is served.
//!
//! Both have to show the same moment. A transaction on the source locks the tables against writes, a second one commits
//! a marker, and once that is on the target, so is everything before it: both take a snapshot. Then the locks are given
//! up. Writes wait for some milliseconds; the comparison takes as long as it takes.

use std::time::Duration;

use futures_util::future::try_join;
use sqlx::PgConnection;

use super::{
    catch_up::arrives,
    names::{find_sql, new_marker, write_sql},
};
use crate::{
    clone::{CloneOptions, contents, different, in_snapshot_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    moves::{
        ends::Ends,
        failure::Failure,
        fill::planned,
        id::MoveId,
        locks::{BRIEF, PATIENT, lock_sql, tables_of},
    },
    pool::Lease,
    reading::read_once,
    sql::Sql,
};

/// Settings of a transaction that reads for a long time. They take no snapshot.
const LONG: &str =
    "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = '60s'";

/// How long writes wait for the marker.
const ARRIVES_WITHIN: Duration = Duration::from_millis(500);

/// Takes the snapshot of a transaction.
const LOOK: &str = "select";

/// Compares the number of rows of all tables, and the sums of their hashes.
///
/// # Errors
///
/// [`Blocked`](Failure::Blocked) if writes cannot be kept out, or the target is too far behind.
/// [`Move`](ErrorKind::Move) if the rows differ.
pub(in crate::moves) async fn compare(ends: &Ends, id: MoveId) -> Result<(), Failure> {
    let Ends { source, target, schema, .. } = ends;
    let (from, to) = (ends.subject_at_source().await?, ends.subject_at_target().await?);
    let model = read_once(source, &from).await?;
    let options = CloneOptions::default().data(true);
    let plan = planned(ends, &model, &options, &to)?;
    let copy = target.lease_for(&target.site_of(schema)).await?;
    let (mut reader, mut copy) = at_one_moment(ends, id, copy).await?;
    let compared =
        try_join(contents(&mut reader, &plan, &from, &to), contents(&mut copy, &plan, &to, &to));
    let compared = compared.await;
    drop(reader.rollback().await);
    drop(copy.rollback().await);
    let (source, copy) = compared?;
    match different(&source, &copy) {
        None => Ok(()),
        Some(what) => {
            let attempted = format!("the copy differs from its source: {what}");
            Err(Error::new(ErrorKind::Move, attempted).into())
        }
    }
}

/// Opens a transaction on each server, with snapshots of the same moment.
async fn at_one_moment(
    ends: &Ends,
    id: MoveId,
    mut copy: Lease,
) -> Result<(TenantTransaction, TenantTransaction), Failure> {
    let Ends { source, schema, book, .. } = ends;
    let mut marking = source.lease().await?;
    let mut lease = source.lease_for(&source.site_of(schema)).await?;
    let tables = tables_of(&mut lease, schema).await?;
    let lock = |mode| lock_sql(schema, &tables, mode);
    let mut reader = in_snapshot(lease).await?;
    // Locks that are taken after a savepoint can be given up, and the snapshot stays.
    execute(&mut reader, "savepoint unlocked").await?;
    execute(&mut reader, PATIENT).await?;
    let locked = sqlx::raw_sql(lock(" in share update exclusive mode")).execute(&mut *reader);
    let attempted = "locking its tables against vacuum";
    locked.await.map_err(|error| Failure::of_locks(error, attempted))?;
    execute(&mut reader, BRIEF).await?;
    let locked = sqlx::raw_sql(lock(" in share mode")).execute(&mut *reader);
    let attempted = "waiting for transactions of the tenant that have written and are open";
    locked.await.map_err(|error| Failure::of_locks(error, attempted))?;
    execute(&mut reader, LOOK).await?;
    let marker = new_marker(id);
    sqlx::raw_sql(write_sql(book, &marker)).execute(&mut *marking).await?;
    if !arrives(&mut copy, find_sql(book, &marker), ARRIVES_WITHIN).await? {
        let attempted =
            format!("comparing the rows: the target is more than {ARRIVES_WITHIN:?} behind");
        return Err(Failure::Blocked(Error::new(ErrorKind::Timeout, attempted)));
    }
    let mut copy = in_snapshot(copy).await?;
    execute(&mut copy, LOOK).await?;
    execute(&mut reader, "rollback to savepoint unlocked").await?;
    Ok((reader, copy))
}

/// Opens a transaction whose first query takes its snapshot.
async fn in_snapshot(lease: Lease) -> Result<TenantTransaction, Error> {
    let mut tx = TenantTransaction::open(lease).await?;
    let mut sql = Sql::default();
    in_snapshot_sql(&mut sql);
    sql.text("set local search_path to pg_catalog; ").text(LONG);
    sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
    Ok(tx)
}

async fn execute(conn: &mut PgConnection, sql: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(conn).await?;
    Ok(())
}
