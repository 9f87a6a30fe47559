//! Keys in the tables of all tenants that were given up. Sessions of tenants read the same table.

use sqlx::{PgConnection, SqlStr};

use super::{
    super::Provisioner,
    KEPT, LOCK, Retired,
    look::{Since, look, look_into},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::Error,
    pool::{KeyDigest, RETIRED_KEYS, keep_to_owner},
    sql::Sql,
};

/// What becomes of the key of deleted rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provision) enum KeyThen {
    /// The tenant was served: its key is reserved for a while.
    Reserved,
    /// The rows were kept after their tenant had moved. Unless another tenant has the key by now, they are deleted, and
    /// it is reserved for a while.
    Kept,
    /// The tenant was never served.
    Free,
}

impl<'a> Retired<'a> {
    fn key_of(site: &'a Site, of: &'a RowsOfTenant) -> Self {
        Self::Key { schema: &site.schema, key: &of.key, column: of.of.key_column() }
    }
}

impl Provisioner {
    /// Refuses the key of a tenant to be created that is not free. This provisioner works in the database of the rows.
    pub(in crate::provision) async fn refuse_retired_key(&self, site: &Site) -> Result<(), Error> {
        match &site.rows {
            Some(of) => self.refuse_in_use(Retired::key_of(site, of)).await,
            None => Ok(()),
        }
    }

    /// Refuses the key of rows that were kept, as long as a session may not have heard that their tenant has moved. It
    /// would write rows that nobody sees any more.
    pub(in crate::provision) async fn refuse_kept_in_use(
        &self,
        site: &Site,
        of: &RowsOfTenant,
    ) -> Result<(), Error> {
        let retired = Retired::key_of(site, of);
        let mut lease = self.fleet.lease().await?;
        if !retired.has_table(&mut lease).await? {
            return Ok(());
        }
        match look_into(&mut lease, retired, Since::Kept).await? {
            None => Ok(()),
            Some(found) => {
                found.remember(&mut lease, retired).await?;
                Err(found.of_kept())
            }
        }
    }
}

/// Claims a key in the transaction in which a tenant gets it, unless it is reserved. The transaction holds the lock of
/// the tenant's rows, which a drop has while it retires the key.
///
/// The record stays: a process that has not read it yet must still learn that the key is another tenant's.
pub(in crate::provision) async fn claim_key(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
) -> Result<(), Error> {
    let retired = Retired::key_of(site, of);
    if let Some(found) = look(conn, retired).await? {
        return Err(found.of(retired));
    }
    if retired.has_table(conn).await? {
        let mut sql = Sql::new("update ");
        sql.ident(&site.schema).text(".").text(RETIRED_KEYS);
        sql.text(" set taken_at = pg_catalog.clock_timestamp() where ");
        retired.is_its(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

/// Claims a key in a transaction whose snapshot may be older than the lock of the tenant's rows.
///
/// A record that was written after the snapshot is not visible, and makes the statement fail (40001).
pub(in crate::provision) async fn claim_key_in_snapshot(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
) -> Result<(), Error> {
    claim_key(conn, site, of).await?;
    if (Retired::key_of(site, of)).has_table(conn).await? {
        let mut sql = Sql::new("insert into ");
        sql.ident(&site.schema).text(".").text(RETIRED_KEYS);
        sql.text(" (digest, retired_at, taken_at) values (");
        sql.integer(KeyDigest::of(&site.schema, &of.key).get()).text(
            ", 'epoch', pg_catalog.clock_timestamp()) \
             on conflict (digest) do update set taken_at = excluded.taken_at",
        );
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

/// Ensures that the table of keys that were given up exists. Not in a transaction: two of them would collide.
///
/// # Errors
///
/// [`Config`](crate::ErrorKind::Config) if the table of that name is not the library's own.
pub(in crate::provision) async fn ensure_table_of_keys(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
) -> Result<(), Error> {
    if Retired::key_of(site, of).has_table(conn).await? {
        return Ok(());
    }
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(");
    sql.number(LOCK).text("); create table if not exists ");
    sql.ident(&site.schema).text(".").text(RETIRED_KEYS).text(
        " (digest pg_catalog.int8 primary key, retired_at pg_catalog.timestamptz not null, \
         taken_at pg_catalog.timestamptz, waits_for pg_catalog.text[]); create index if not exists ",
    );
    sql.name(INDEX).text(" on ").ident(&site.schema).text(".").text(RETIRED_KEYS);
    sql.text(" ((coalesce(taken_at, retired_at))); ");
    keep_to_owner(&mut sql, &site.schema, RETIRED_KEYS);
    // The sessions of every role have to notice that a key is not their tenant's any longer.
    sql.text("grant select on ")
        .ident(&site.schema)
        .text(".")
        .text(RETIRED_KEYS)
        .text(" to public");
    sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    // Another role may have created it meanwhile.
    Retired::key_of(site, of).has_table(conn).await.map(drop)
}

const INDEX: &str = "_tenantry_retired_keys_changed";

/// Records that the key of a tenant is retired; the last statement before the commit.
pub(in crate::provision) fn note_key_sql(site: &Site, of: &RowsOfTenant) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    sql.ident(&site.schema).text(".").text(RETIRED_KEYS).text(" (digest, retired_at) values (");
    sql.integer(KeyDigest::of(&site.schema, &of.key).get()).text(
        ", pg_catalog.clock_timestamp()) on conflict (digest) do update set \
         retired_at = excluded.retired_at, taken_at = null, waits_for = null",
    );
    sql.finish()
}

/// Records that the key is not its tenant's any more, whose rows are kept, and that no other tenant can get it.
pub(in crate::provision) fn keep_key_sql(site: &Site, of: &RowsOfTenant) -> SqlStr {
    let mut sql = Sql::new("insert into ");
    sql.ident(&site.schema).text(".").text(RETIRED_KEYS).text(" (digest, retired_at) values (");
    sql.integer(KeyDigest::of(&site.schema, &of.key).get());
    sql.text(", pg_catalog.clock_timestamp() operator(pg_catalog.+) ").literal(KEPT).text(
        "::pg_catalog.interval) on conflict (digest) do update set \
         retired_at = excluded.retired_at, taken_at = null, waits_for = null",
    );
    sql.finish()
}

/// Records that a tenant has its key again: those who have looked it up before look it up anew.
pub(in crate::provision) fn take_key_back_sql(site: &Site, of: &RowsOfTenant) -> SqlStr {
    let mut sql = Sql::new("update ");
    sql.ident(&site.schema).text(".").text(RETIRED_KEYS);
    sql.text(
        " set retired_at = pg_catalog.clock_timestamp(), taken_at = pg_catalog.clock_timestamp() where ",
    );
    Retired::key_of(site, of).is_its(&mut sql);
    sql.finish()
}

/// Returns `true` if the key was given up and no tenant has it since.
pub(in crate::provision) async fn is_given_up(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
) -> Result<bool, Error> {
    let retired = Retired::key_of(site, of);
    if !retired.has_table(conn).await? {
        return Ok(false);
    }
    let mut sql = Sql::new("select from ");
    retired.rows(&mut sql);
    sql.text(" and r.taken_at is null");
    Ok(sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?.is_some())
}
