//! Copies the rows of a tenant from, or into, the tables of all tenants while it is served.
//!
//! ```text
//!  source   triggers log the keys of rows that change ─▶ snapshot ─▶ snapshot … ─▶ fence ─▶ snapshot
//!  target                                     all rows ◀────┘  changed rows ◀┘    changed rows ◀┘
//! ```
//!
//! Each round reads the logged keys and the rows that have them in one snapshot, writes these rows at the target, and
//! removes the keys from the log. A round whose keys were not removed is repeated, which changes nothing: what counts is
//! the row as it is. A process that takes over the move therefore does another round. The last round, behind the
//! fence, has little to do.

mod pace;

use std::time::{Duration, Instant};

use super::{
    MoveLag, MoveStage,
    attempts::{Attempt, is_refused},
    ends::Ends,
    failure::Failure,
    fill::{fill_rows, refuse_sharer},
    progress::Teller,
};
use crate::{
    catalog::Site,
    clone::{ClonedTable, Content, Copied},
    error::{Error, ErrorKind},
    provision::{Catching, ChangeLog, Provisioner},
    tenant::{Ident, IsolationKind},
};
use pace::{PATIENCE, Pace, Step};

/// Returns why changes cannot be logged; empty if they can. The tables of a tenant that leaves those of all tenants are not
/// there yet.
pub(super) async fn why_not(ends: &Ends) -> Result<Vec<String>, Error> {
    let (from, to) = (ends.rows_at_source(&ends.schema)?, ends.rows_at_target()?);
    let is_there = ends.target_kind() == IsolationKind::Row;
    let to = is_there.then(|| ends.rows_of_target(&to));
    ends.rows_of_source(&from).why_not_logged(to).await
}

/// Begins to log the changes of the tenant's rows.
///
/// # Errors
///
/// [`Blocked`](Failure::Blocked) if transactions that have written to the tables stay open.
pub(super) async fn begin(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    let (from, to) = (ends.rows_at_source(&ends.schema)?, ends.rows_at_target()?);
    let (schema, guard) = (attempt.id.log_name(), attempt.on_source().guard_sql());
    let log = ChangeLog { schema: &schema, guard: &guard };
    let begun = ends.rows_of_source(&from).begin_log(ends.rows_of_target(&to), log).await;
    begun.map_err(guarded)
}

/// Copies the rows, unless an earlier attempt has. Returns what was copied.
pub(super) async fn copy(
    ends: &Ends,
    attempt: Attempt<'_>,
    teller: &Teller,
) -> Result<Option<Copied>, Failure> {
    if ends.target_kind() == IsolationKind::Row {
        let mut lease = ends.target.lease().await?;
        if attempt.on_target().noted(&mut lease).await?.is_some() {
            return Ok(None);
        }
    }
    match fill_rows(ends, &ends.schema, attempt, (false, MoveStage::Copying, teller)).await {
        Ok(copied) => Ok(Some(copied)),
        Err(Failure::Failed(error)) => Err(served(error)),
        Err(failure) => Err(failure),
    }
}

/// Repeats rounds until little is left, and compares the rows of both places. Returns the rows that were compared. Takes how
/// long the copy took, if this process has made it just now.
///
/// # Errors
///
/// [`Blocked`](Failure::Blocked) if tables are being migrated. [`Move`](ErrorKind::Move) if rows differ, or the tenant
/// writes faster than the target, although it was slowed down.
pub(super) async fn catch_up(
    ends: &Ends,
    attempt: Attempt<'_>,
    (copied_in, compares): (Option<Duration>, bool),
    teller: &Teller,
) -> Result<Option<Copied>, Failure> {
    let from = ends.rows_at_source(&ends.schema)?;
    let (mut is_compared, mut copied) = (!compares, None);
    let mut pace = Pace::after(copied_in);
    loop {
        let round = Instant::now();
        let (keys, _) = catch(ends, &from, attempt, Catching::default()).await?;
        tracing::debug!(
            target: "tenantry::provision",
            tenant = ends.id().as_str(),
            keys,
            elapsed = ?round.elapsed(),
            "rows that have changed were copied again"
        );
        teller.tell_behind(MoveLag::Rows(keys));
        match pace.next(keys, round.elapsed()) {
            Step::Go if is_compared => return Ok(copied),
            Step::Go => {
                let comparing = Catching { is_compared: true, ..Catching::default() };
                let (_, contents) = catch(ends, &from, attempt, comparing).await?;
                (is_compared, copied) = (true, contents.map(copied_from));
                // It took as long as reading all rows.
                pace.begin_again();
            }
            Step::Again => {}
            Step::SlowDown(pause) => {
                let (schema, guard) = (attempt.id.log_name(), attempt.on_source().guard_sql());
                let log = ChangeLog { schema: &schema, guard: &guard };
                ends.rows_of_source(&from).slow_down(log, pause).await.map_err(guarded)?;
            }
            Step::GiveUp => {
                let attempted = format!(
                    "the target does not catch up: after {PATIENCE:?}, {keys} rows have changed since the last look, \
                     although the tenant's writes were slowed down; move it when it writes less"
                );
                return Err(Error::new(ErrorKind::Move, attempted).into());
            }
        }
    }
}

/// Brings the last changes to the target, from a schema on the source that does not change any more.
pub(super) async fn complete(
    ends: &Ends,
    schema: &Ident,
    attempt: Attempt<'_>,
    verify: bool,
) -> Result<(), Failure> {
    let from = ends.rows_at_source(schema)?;
    if ends.target_kind() == IsolationKind::Row {
        refuse_sharer(ends).await?;
    }
    let last = Catching { is_compared: verify, is_last: true };
    catch(ends, &from, attempt, last).await.map(drop)
}

/// Removes the log from the source.
pub(super) async fn end(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    let (schema, entry) = (attempt.id.log_name(), attempt.on_source());
    let guard = entry.guard_sql();
    let log = ChangeLog { schema: &schema, guard: &guard };
    if !log.exists(&ends.source).await? {
        return Ok(());
    }
    // It may have been created by an earlier attempt, which is kept from going on.
    let mut lease = ends.source.lease().await?;
    entry.enter(&mut lease).await?;
    lease.settle().await;
    log.end(&ends.source).await.map_err(guarded)
}

/// Does a round. Returns the number of keys that were logged, and the rows that were compared.
async fn catch(
    ends: &Ends,
    from: &Site,
    attempt: Attempt<'_>,
    how: Catching,
) -> Result<(u64, Option<Vec<Content>>), Failure> {
    let to = ends.rows_at_target()?;
    let (schema, guard) = (attempt.id.log_name(), attempt.on_source().guard_sql());
    let log = ChangeLog { schema: &schema, guard: &guard };
    let passed = ends.rows_of_source(from).pass_changes(ends.rows_of_target(&to), log, how);
    let mut round = passed.await.map_err(|error| match how.is_last {
        true => error.into(),
        false => served(error),
    })?;
    let written = async {
        if let Some(what) = &round.different {
            let attempted = format!("the copy differs from its source: {what}");
            return Err(Error::new(ErrorKind::Move, attempted).into());
        }
        attempt.on_target().lock(&mut round.writer).await
    };
    if let Err(failure) = written.await {
        drop(round.writer.rollback().await);
        drop(round.reader.rollback().await);
        return Err(failure);
    }
    Provisioner::new(ends.target.clone()).commit(round.writer).await?;
    attempt.on_source().lock(&mut round.reader).await?;
    Provisioner::new(ends.source.clone()).commit(round.reader).await?;
    Ok((round.keys, round.contents))
}

/// Returns the failure of statements with a guard.
fn guarded(error: Error) -> Failure {
    match is_refused(&error) {
        true => Failure::Lost,
        false => served(error),
    }
}

/// Returns a failure while the tenant is served: others that are at work only delay it.
fn served(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Busy
        | ErrorKind::NameInUse
        | ErrorKind::LockNotAvailable
        | ErrorKind::Deadlock
        | ErrorKind::SerializationFailure => Failure::Blocked(error),
        _ => Failure::Failed(error),
    }
}

fn copied_from(contents: Vec<Content>) -> Copied {
    let tables = contents.into_iter();
    let tables = tables.map(|of| ClonedTable { name: of.table, rows: of.rows });
    Copied { objects: 0, tables: tables.collect(), anonymized: None, remarks: Vec::new() }
}
