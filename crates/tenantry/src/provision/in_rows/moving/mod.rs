//! The rows of a tenant on their way to another place: they leave, or get into, the tables of all tenants.

mod begin;
mod changes;
mod examine;
mod keys;
mod log;
mod pass;
mod rewrite;
mod tree;
mod why_not;

use std::sync::Arc;

use sqlx::{PgConnection, SqlStr};

use self::keys::{Key, read_keys};
use super::{
    drop::lock,
    tables::{self, Table},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    fleet::Fleet,
    provision::{
        DropOptions, Provisioner,
        retired::{self, KeyThen},
    },
    sql::Sql,
    tenant::{TenantId, TenantRecord},
};

pub(crate) use changes::Catching;
pub(crate) use log::ChangeLog;

/// The rows of a tenant at one of two places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsAt<'a> {
    pub(crate) fleet: &'a Fleet,
    /// It has the tenant's key, also for tables of the tenant's own.
    pub(crate) site: &'a Site,
    pub(crate) record: &'a TenantRecord,
    /// The tables are those of all tenants.
    pub(crate) are_shared: bool,
}

impl<'a> RowsAt<'a> {
    fn of(&self) -> Result<&'a Arc<RowsOfTenant>, Error> {
        let none =
            || Error::new(ErrorKind::Placement, "it has no key in the tables of all tenants");
        self.site.rows.as_ref().ok_or_else(none)
    }

    /// Returns the tenant's key.
    pub(crate) fn key(&self) -> &'a str {
        self.site.rows.as_ref().map_or("", |rows| &rows.key)
    }

    /// Reads the names of the tables with the column of the tenant's key.
    pub(crate) async fn tables(&self, conn: &mut PgConnection) -> Result<Vec<String>, Error> {
        let tables = self.read(conn).await?;
        Ok(tables.into_iter().map(|table| table.name).collect())
    }

    async fn read(&self, conn: &mut PgConnection) -> Result<Vec<Table>, Error> {
        tables::read(conn, self.site, self.of()?).await
    }

    /// Reads the tables with their primary keys.
    async fn keyed(&self, conn: &mut PgConnection) -> Result<(Vec<Table>, Vec<Key>), Error> {
        let tables = self.read(conn).await?;
        let keys = read_keys(conn, &tables, self.of()?.of.key_column()).await?;
        Ok((tables, keys))
    }

    /// Appends the condition that a row of `alias` is the tenant's.
    pub(crate) fn is_tenants(&self, sql: &mut Sql, alias: &'static str) -> Result<(), Error> {
        tables::is_tenants(sql, alias, self.of()?);
        Ok(())
    }

    /// Makes sure that there is a table of keys that were given up. Not in a transaction.
    pub(crate) async fn ensure_records(&self, conn: &mut PgConnection) -> Result<(), Error> {
        retired::ensure_table_of_keys(conn, self.site, self.of()?).await
    }

    /// Takes the lock of the tenant's rows until the end of the transaction. Returns `false` if another session has it.
    pub(crate) async fn lock(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        lock(conn, self.site, "pg_catalog.pg_try_advisory_xact_lock").await
    }

    /// Returns the statement that records that the key is not the tenant's any more, and no other tenant's either.
    pub(crate) fn give_key_up_sql(&self) -> Result<SqlStr, Error> {
        Ok(retired::keep_key_sql(self.site, self.of()?))
    }

    /// Returns the statement that records that the tenant has its key again.
    pub(crate) fn take_key_back_sql(&self) -> Result<SqlStr, Error> {
        Ok(retired::take_key_back_sql(self.site, self.of()?))
    }

    /// Returns `true` if the key was given up and no tenant has it since.
    pub(crate) async fn is_given_up(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        retired::is_given_up(conn, self.site, self.of()?).await
    }

    /// Deletes the rows in batches. Those that were kept are not deleted if another tenant has their key by now, which is
    /// reserved for a while otherwise.
    pub(crate) async fn delete(&self, were_kept: bool) -> Result<(), Error> {
        let provisioner = Provisioner::new(self.fleet.clone());
        let key = if were_kept { KeyThen::Kept } else { KeyThen::Free };
        let (options, of) = (DropOptions::default(), self.of()?);
        provisioner.delete_rows(self.site, of, &options, key).await.map(drop)
    }

    /// Refuses rows that were kept, while a session that has not heard that the tenant has moved can have their key.
    pub(crate) async fn refuse_kept_in_use(&self) -> Result<(), Error> {
        let of = self.of()?;
        Provisioner::new(self.fleet.clone()).refuse_kept_in_use(self.site, of).await
    }

    /// Returns another tenant with the same key in the same tables, as far as the catalog knows.
    pub(crate) async fn sharer(&self, control: &Fleet) -> Result<Option<TenantId>, Error> {
        Provisioner::new(control.clone()).sharer(self.record, self.site).await
    }

    /// Refuses a key that sessions may still have, or that is kept for the rows of a tenant that has moved.
    pub(crate) async fn refuse_key_in_use(&self) -> Result<(), Error> {
        Provisioner::new(self.fleet.clone()).refuse_retired_key(self.site).await
    }

    fn id(&self) -> &'a TenantId {
        &self.record.id
    }
}
