//! What a tenant has, and what its session shows.

use sqlx::raw_sql;

use super::super::super::{
    finding::Stop,
    ground::Ground,
    look::{On, text_of},
    row_tenants::{RowTenant, RowTenants},
};

/// Replaces what earlier attacks have left by the tenant's row.
const ROWS: &str = "delete from visits; delete from people; insert into people (id, email) values ({mine}, {own}); \
    insert into visits (person_id) values ({mine})";

/// Every row that a tenant has.
const STANDING: &str = "select concat_ws(' ', {column}, id, email) from people \
    union all select concat_ws(' ', {column}, 'visits', person_id) from visits order by 1";

/// The key of the session, and the owners of the rows that it sees.
const SEEN: &str = "select concat_ws(' ', 'key', current_setting({name}, true), 'row_security', \
    current_setting('row_security'), 'rows of', \
    (select string_agg({column}::text, ', ' order by {column}) from people), \
    (select nullif(count(*), 0) from pg_catalog.pg_cursor() c where c.name <> ''))";

/// The key of a session that is bound to no tenant.
const UNBOUND: &str = "select coalesce(pg_catalog.current_setting({name}, true), '')";

impl RowTenants {
    /// Gives both tenants their rows, and no others.
    pub(super) async fn furnish(&self) -> Result<(), Stop> {
        // A row of one tenant may refer to one of the other, if nothing prevents it.
        for (tenant, _) in self.pairs() {
            raw_sql("delete from visits").execute(&tenant.db).await?;
        }
        for (tenant, other) in self.pairs() {
            raw_sql(self.fill(ROWS, tenant, other).finish()).execute(&tenant.db).await?;
        }
        Ok(())
    }

    /// Returns every row of a tenant, as text.
    pub(super) async fn standing(&self, tenant: &RowTenant) -> Result<String, Stop> {
        let sql = self.fill(STANDING, tenant, tenant).finish();
        text_of(raw_sql(sql).fetch_all(&tenant.db).await)
    }

    /// Returns the key of a session and whose rows it sees.
    pub(super) async fn seen(&self, tenant: &RowTenant, mut on: On<'_>) -> Result<String, Stop> {
        text_of(on.ask(self.fill(SEEN, tenant, tenant).finish()).await)
    }

    /// Checks that both tenants see their own rows, and that sessions of no tenant have no key.
    pub(super) async fn check(&self, ground: &Ground<'_>, after: &str) -> Result<(), Stop> {
        for (tenant, _) in self.pairs() {
            let expected = own(tenant);
            let found = self.seen(tenant, On::Handle(&tenant.db)).await?;
            let mut lease = tenant.db.acquire().await?;
            ground.met(lease.backend_pid());
            let on_lease = self.seen(tenant, On::Lease(&mut lease)).await?;
            for found in [found, on_lease].iter().filter(|found| **found != expected) {
                let id = tenant.db.tenant().id();
                ground.leak(format!("after {after}, {id} has {found:?} instead of {expected:?}"));
            }
        }
        let sql = self.fill(UNBOUND, &self.acme, &self.globex).finish();
        let unbound = text_of(raw_sql(sql).fetch_all(ground.fleet.system()).await)?;
        if !unbound.is_empty() {
            ground.leak(format!("after {after}, a session of no tenant has the key {unbound:?}"));
        }
        Ok(())
    }
}

/// Returns what a tenant's session shows if nothing has changed it.
pub(super) fn own(tenant: &RowTenant) -> String {
    format!("key {0} row_security on rows of {0}", tenant.key)
}
