//! The steps of a copy by replication, from the empty schema to its end.

use super::{
    names::{MARKERS, delete_sql, name_of},
    publication, subscription,
};
use crate::{
    clone::{CloneOptions, Copying, Ends as Way},
    db::TenantTransaction,
    moves::{
        attempts::Attempt,
        conninfo::Conninfo,
        container,
        ended::ended,
        ends::Ends,
        failure::Failure,
        fill::{own, planned},
        id::MoveId,
    },
    reading::read_once,
    schema::SchemaModel,
};

/// Creates the empty schema on the target, unless it is there, and starts replication.
///
/// What it creates cannot be created in the transaction that locks the row of the attempt. So the row is looked at
/// afterwards, and if it is gone, the move is over, and what was created is removed. The mover that has ended it
/// [looks for it](drop_all) once more after it has removed the row.
pub(in crate::moves) async fn start(
    ends: &Ends,
    attempt: Attempt<'_>,
    conninfo: &Conninfo,
) -> Result<(), Failure> {
    let started = start_at_once(ends, attempt, conninfo).await;
    match is_kept(ends, attempt).await {
        Err(Failure::Lost) => Err(Failure::Lost),
        kept => started.and(kept),
    }
}

/// Removes what was created if the move is over.
async fn is_kept(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    let entry = attempt.on_source();
    let mut lease = ends.source.lease().await?;
    if entry.is_any(&mut lease).await? {
        return entry.lock(&mut lease).await;
    }
    drop(lease);
    drop_all(ends, attempt.id).await?;
    Err(Failure::Lost)
}

async fn start_at_once(
    ends: &Ends,
    attempt: Attempt<'_>,
    conninfo: &Conninfo,
) -> Result<(), Failure> {
    let Ends { source, target, schema, book, .. } = ends;
    let name = name_of(attempt.id);
    let mut lease = target.lease().await?;
    MARKERS.ensure(&mut lease, book).await?;
    let is_there = attempt.on_target().noted(&mut lease).await?.is_some();
    drop(lease);
    if !is_there {
        create(ends, attempt).await?;
    }
    let mut lease = source.lease().await?;
    MARKERS.ensure(&mut lease, book).await?;
    publication::publish(&mut lease, &name, schema, book).await?;
    // Within one server, creating it together with the subscription would wait for that.
    let has_slot = ends.are_on_one_server();
    if has_slot {
        publication::create_slot(&mut lease, &name).await?;
    }
    drop(lease);
    let mut lease = target.lease().await?;
    subscription::subscribe(&mut lease, &name, conninfo, has_slot).await?;
    Ok(())
}

/// Creates the empty schema on the target.
async fn create(ends: &Ends, attempt: Attempt<'_>) -> Result<(), Failure> {
    let Ends { target, schema, .. } = ends;
    let from = ends.subject_at_source().await?;
    let model = read_once(&ends.source, &from).await?;
    let to = ends.subject_at_target().await?;
    let options = CloneOptions::default().data(true);
    let plan = planned(ends, &model, &options, &to)?;
    let way = Way { from: &from, model: &model, to: &to };
    let lease = target.lease_for(&target.site_of(schema)).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    let made = async {
        Copying::new(way, &plan, &options, None).unchanging(None, &mut tx).await?;
        own(ends, attempt, &mut tx).await
    };
    let made = made.await;
    ended(target, tx, made).await
}

/// Verifies that the structure of the copy equals that of the source, and returns what is worded differently. The copy
/// is that of the attempt.
pub(in crate::moves) async fn check(
    ends: &Ends,
    attempt: Attempt<'_>,
    model: &SchemaModel,
) -> Result<Vec<String>, Failure> {
    let Ends { target, schema, .. } = ends;
    let (from, to) = (ends.subject_at_source().await?, ends.subject_at_target().await?);
    let options = CloneOptions::default().data(true);
    let plan = planned(ends, model, &options, &to)?;
    let way = Way { from: &from, model, to: &to };
    let lease = target.lease_for(&target.site_of(schema)).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    let checked = async {
        attempt.on_target().lock(&mut tx).await?;
        Ok(Copying::new(way, &plan, &options, None).checking(&mut tx).await?)
    };
    let checked = checked.await;
    ended(target, tx, checked).await
}

/// Removes the subscription, the slots, the publication and the markers. What is gone is skipped.
pub(in crate::moves) async fn drop_all(ends: &Ends, id: MoveId) -> Result<(), Failure> {
    let name = name_of(id);
    // A subscription goes with its database.
    let mut oid = None;
    if !container::is_missing(ends, id.number()).await? {
        let mut lease = ends.target.lease().await?;
        oid = subscription::remove(&mut lease, &name).await?;
        if MARKERS.exists(&mut lease, &ends.book).await? {
            sqlx::raw_sql(delete_sql(&ends.book, id)).execute(&mut *lease).await?;
        }
    }
    let mut lease = ends.source.lease().await?;
    if MARKERS.exists(&mut lease, &ends.book).await? {
        sqlx::raw_sql(delete_sql(&ends.book, id)).execute(&mut *lease).await?;
    }
    publication::remove(&mut lease, &name, oid).await?;
    Ok(())
}
