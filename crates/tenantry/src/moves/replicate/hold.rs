//! Keeps the writers of a tenant waiting for a moment.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    db::TenantTransaction,
    error::Error,
    moves::{
        ends::Ends,
        locks::{BRIEF, lock_sql, tables_of},
    },
};

/// How long the writers wait each time.
const MOMENT: Duration = Duration::from_millis(200);

/// Locks the tables of a tenant against writes for a moment. Readers do not wait. While the lock waits for writers,
/// others wait behind it, so that a lock that is not granted slows them down as well.
pub(super) async fn hold_writers(ends: &Ends) -> Result<(), Error> {
    let Ends { source, schema, .. } = ends;
    let mut lease = source.lease_for(&source.site_of(schema)).await?;
    let tables = tables_of(&mut lease, schema).await?;
    let mut tx = TenantTransaction::open(lease).await?;
    sqlx::raw_sql(BRIEF).execute(&mut *tx).await?;
    if sqlx::raw_sql(lock_sql(schema, &tables, " in share mode")).execute(&mut *tx).await.is_ok() {
        sleep(MOMENT).await;
    }
    drop(tx.rollback().await);
    Ok(())
}
