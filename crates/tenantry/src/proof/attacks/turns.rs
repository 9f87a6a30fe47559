//! Two tenants take turns on one session.

use sqlx::{Executor, Row, raw_sql};

use super::super::{
    finding::{Attacked, Finding, Stop},
    ground::Ground,
};
use crate::db::TenantDb;

/// Reads the row that names the schema's owner. The table is resolved along the search path, so the result shows
/// which schema is used.
pub(in crate::proof) const OWNER: &str = "select owner from marker";

/// Reads the row of each tenant in turn, on its handle, a lease and in a transaction.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let mut reads = 0;
    for _ in 0..ground.options.rounds {
        for db in [&ground.acme, &ground.globex] {
            let expected = db.tenant().id().as_str();
            for (way, owner) in every_way(ground, db).await? {
                reads += 1;
                if owner != expected {
                    ground.leak(format!("tenant {expected} read the row of {owner} {way}"));
                }
            }
        }
    }
    let seen = format!("{reads} rows read in turn, each the tenant's own");
    Ok(Finding { seen, rounds: u64::from(ground.options.rounds) })
}

async fn every_way(
    ground: &Ground<'_>,
    db: &TenantDb,
) -> Result<[(&'static str, String); 4], Stop> {
    let prepared = || sqlx::query_scalar::<_, String>(OWNER);
    let handle = prepared().fetch_one(db).await?;
    let text = raw_sql(OWNER).fetch_one(db).await?.try_get(0)?;
    let mut lease = db.acquire().await?;
    ground.met(lease.backend_pid());
    let on_lease = lease.fetch_one(OWNER).await?.try_get(0)?;
    drop(lease);
    let mut tx = db.begin().await?;
    let in_transaction = prepared().fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok([
        ("on its handle", handle),
        ("on its handle by text", text),
        ("on a lease", on_lease),
        ("in a transaction", in_transaction),
    ])
}
