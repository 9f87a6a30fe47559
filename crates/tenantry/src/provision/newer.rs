//! Detects that a new tenant gets older files than other tenants have, because another release runs alongside this
//! one.

use std::time::Duration;

use sqlx::{PgConnection, Row};
use tokio::time::Instant;

use super::Provisioner;
use crate::{
    error::Error,
    migrate::{Migrations, latest_in},
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// Bounds of the time for which a check stays valid, so that creating many tenants in a row does not check for each
/// of them.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(50)];

/// The factor by which that time exceeds the duration of the check.
const RARELY: u32 = 40;

/// The last check of other tenants' versions.
#[derive(Debug, Default)]
pub(super) struct Newer {
    looked_at: Option<Instant>,
    took: Duration,
    latest: i64,
}

impl Provisioner {
    /// Returns a remark if other tenants have newer files. `spares` is the last version of the newest spares.
    pub(super) async fn remark_on_newer(&self, of: &Ident, spares: i64) -> Option<String> {
        let set = self.migrations.as_ref()?;
        let looked = {
            let newer = self.newer().lock();
            let [least, most] = LOOK_AGAIN;
            let good_for = (newer.took * RARELY).clamp(least, most);
            let is_good = newer.looked_at.is_some_and(|at| at.elapsed() < good_for);
            is_good.then_some(newer.latest)
        };
        let began = Instant::now();
        let tenants = match looked {
            Some(latest) => latest,
            // A failed check does not fail the creation: the tenant exists.
            None => self.latest_of_others(set, of).await.unwrap_or_default(),
        };
        if looked.is_none() {
            let took = began.elapsed();
            *self.newer().lock() = Newer { looked_at: Some(Instant::now()), took, latest: tenants };
        }
        let (latest, ours) = (tenants.max(spares), set.latest());
        if latest <= ours {
            return None;
        }
        let remark = format!(
            "other tenants or spares have version {latest}, but the last file of this instance is {ours}, so it \
             belongs to an earlier release; migrate all tenants again after it has ended"
        );
        tracing::warn!(target: "tenantry::provision", schema = of.as_str(), "{remark}");
        Some(remark)
    }

    /// Returns the last version of some other tenants, of the newest ones and of the oldest.
    async fn latest_of_others(&self, set: &Migrations, of: &Ident) -> Result<i64, Error> {
        let mut lease = self.fleet.lease_for(&self.fleet.shared_site()).await?;
        let mut others = some_with_records(&mut lease).await?;
        others.retain(|schema| schema != of && self.fleet.lookup().may_be_a_tenants(schema));
        Ok(latest_in(&mut lease, &others, set.latest()).await?.unwrap_or_default())
    }
}

/// Returns a few schemas that have records: the latest ones and the earliest ones. They are found through an index
/// that starts with the table's name.
async fn some_with_records(conn: &mut PgConnection) -> Result<Vec<Ident>, Error> {
    let mut sql = Sql::default();
    for (index, order) in [" desc limit 3)", " limit 3)"].into_iter().enumerate() {
        sql.text(if index == 0 { "" } else { " union " });
        sql.text(
            "(select n.nspname::pg_catalog.text, c.relnamespace from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             where c.relname operator(pg_catalog.=) '_sqlx_migrations' \
             and not pg_catalog.starts_with(n.nspname::pg_catalog.text, ",
        );
        sql.literal(PROVISIONAL).text(") order by c.relnamespace").text(order);
    }
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    rows.iter().map(|row| Ident::parse(row.try_get(0)?).map_err(Error::catalog)).collect()
}
