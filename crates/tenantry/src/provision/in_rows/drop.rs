//! Drops a tenant that is isolated by row.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        DropOptions, Provisioner, TableRows,
        answer::busy,
        commit::TransactionNumber,
        holders::{self, Held},
        retired::{self, KeyThen},
    },
    delete::{Counts, Rows},
    tables,
};
use crate::{
    catalog::{CatalogChange, RowsOfTenant, Site},
    error::{Error, ErrorKind},
    migrate::LOCK_OF_SCHEMA,
    pool::Lease,
    seed::forget_rows,
    sql::Sql,
    tenant::{TenantRecord, TenantState},
};

/// How long to wait for transactions that may still write rows of the tenant.
const PATIENCE: Duration = Duration::from_secs(5);

/// The interval between checks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How often the rows are deleted while other sessions write more.
const ROUNDS: usize = 5;

/// The rows of a tenant, by table, and the number of transactions in which they were deleted.
type Deleted = (Vec<TableRows>, usize);

impl Provisioner {
    /// Counts the rows that a drop would delete.
    pub(in crate::provision) async fn count_rows(
        &self,
        site: &Site,
        of: &RowsOfTenant,
        options: &DropOptions,
    ) -> Result<Deleted, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        let tables = tables::read(&mut lease, site, of).await?;
        tables::refuse_unreadable(&mut lease, &site.schema, &tables).await?;
        let rows = Rows { site, of, tables: &tables, options };
        let counts = rows.count(&mut lease).await?;
        Ok((by_table(counts), 0))
    }

    /// Suspends a tenant, deletes its rows, and then its row in the catalog. Its key is reserved for a while.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenant is unchanged, or suspended with some of its rows deleted.
    pub(in crate::provision) async fn drop_rows(
        &self,
        record: &TenantRecord,
        site: &Site,
        of: &RowsOfTenant,
        options: &DropOptions,
    ) -> Result<Deleted, Error> {
        self.refuse_when_shared(record, site).await?;
        let mut lease = self.fleet.lease_for(site).await?;
        if !lock(&mut lease, site, "pg_catalog.pg_try_advisory_lock").await? {
            return Err(locked(&mut lease, site).await);
        }
        let dropped = self.drop_rows_locked(&mut lease, record, site, of, options).await;
        lease.settle().await;
        self.fleet.forget(&record.id);
        dropped
    }

    async fn drop_rows_locked(
        &self,
        lease: &mut Lease,
        record: &TenantRecord,
        site: &Site,
        of: &RowsOfTenant,
        options: &DropOptions,
    ) -> Result<Deleted, Error> {
        let tables = tables::read(lease, site, of).await?;
        tables::refuse_unreadable(lease, &site.schema, &tables).await?;
        let rows = Rows { site, of, tables: &tables, options };
        rows.refuse_unseen()?;
        retired::ensure_table_of_keys(lease, site, of).await?;
        let _forget = self.fleet.forget_after(vec![record.id.clone()]);
        let _gate = self.fleet.server().close_gate(&record.id);
        self.suspend_to_drop(lease, record).await?;
        let dropped = self.delete_and_unlist(lease, record, &rows).await;
        dropped.map_err(|error| {
            let left =
                "the tenant is suspended, and not all of its rows are deleted: drop it again";
            Error::new(error.kind(), left).with_source(error)
        })
    }

    /// Suspends the tenant, so that no process serves it any longer, whenever this one ends.
    async fn suspend_to_drop(
        &self,
        conn: &mut PgConnection,
        record: &TenantRecord,
    ) -> Result<(), Error> {
        if record.state != TenantState::Suspended {
            let mut tx = conn.begin().await?;
            let change = CatalogChange::State(&record.id, TenantState::Suspended);
            self.fleet.write(&mut tx, change).await?;
            tx.commit().await?;
        }
        self.fleet.retire(record);
        Ok(())
    }

    async fn delete_and_unlist(
        &self,
        conn: &mut PgConnection,
        record: &TenantRecord,
        rows: &Rows<'_>,
    ) -> Result<Deleted, Error> {
        let mut counts = Counts::new();
        let transactions = delete_all(conn, rows, &mut counts).await?;
        let mut tx = conn.begin().await?;
        forget_rows(&mut tx, rows.site).await?;
        self.fleet.write(&mut tx, CatalogChange::Dropped(&record.id)).await?;
        let number = TransactionNumber::of(&mut tx).await?;
        sqlx::raw_sql(retired::note_key_sql(rows.site, rows.of)).execute(&mut *tx).await?;
        let committed = tx.commit().await;
        self.find_out(&number, committed).await?;
        self.fleet.retire(record);
        Ok((by_table(counts), transactions + 1))
    }
}

impl Provisioner {
    /// Deletes the rows of a tenant that the catalog does not serve, and forgets its seeds. This provisioner works in
    /// the database of the rows.
    pub(in crate::provision) async fn delete_rows(
        &self,
        site: &Site,
        of: &RowsOfTenant,
        options: &DropOptions,
        key: KeyThen,
    ) -> Result<Deleted, Error> {
        let mut lease = self.fleet.lease_for(site).await?;
        if !lock(&mut lease, site, "pg_catalog.pg_try_advisory_lock").await? {
            return Err(locked(&mut lease, site).await);
        }
        let deleted = self.delete_rows_locked(&mut lease, site, of, options, key).await;
        lease.settle().await;
        deleted
    }

    async fn delete_rows_locked(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        of: &RowsOfTenant,
        options: &DropOptions,
        key: KeyThen,
    ) -> Result<Deleted, Error> {
        if key == KeyThen::Kept && !retired::is_given_up(conn, site, of).await? {
            return Ok((Vec::new(), 0));
        }
        let tables = tables::read(conn, site, of).await?;
        tables::refuse_unreadable(conn, &site.schema, &tables).await?;
        let rows = Rows { site, of, tables: &tables, options };
        rows.refuse_unseen()?;
        if key == KeyThen::Reserved {
            retired::ensure_table_of_keys(conn, site, of).await?;
        }
        let mut counts = Counts::new();
        let transactions = delete_all(conn, &rows, &mut counts).await?;
        let mut tx = conn.begin().await?;
        forget_rows(&mut tx, site).await?;
        if key != KeyThen::Free {
            sqlx::raw_sql(retired::note_key_sql(site, of)).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok((by_table(counts), transactions + 1))
    }
}

/// Deletes the rows that the open transaction sees, within it.
pub(super) async fn delete_within(
    conn: &mut PgConnection,
    rows: &Rows<'_>,
) -> Result<Vec<TableRows>, Error> {
    rows.refuse_unseen()?;
    let mut counts = Counts::new();
    rows.delete(conn, &mut counts).await?;
    match rows.count(conn).await?.is_empty() {
        true => Ok(by_table(counts)),
        false => Err(referred_to(rows)),
    }
}

/// Deletes the rows until there are none, whatever transactions were open at the beginning.
async fn delete_all(
    conn: &mut PgConnection,
    rows: &Rows<'_>,
    counts: &mut Counts,
) -> Result<usize, Error> {
    let mut transactions = 0;
    for _ in 0..ROUNDS {
        wait_for_writers(conn, rows).await?;
        match rows.delete(conn, counts).await? {
            0 if rows.count(conn).await?.is_empty() => return Ok(transactions),
            0 => return Err(referred_to(rows)),
            deleted => transactions += deleted,
        }
    }
    let attempted = "another session goes on writing rows of it";
    Err(Error::new(ErrorKind::Busy, attempted))
}

/// Waits for the transactions that have written to one of the tables: they may have written rows of the tenant before
/// it was suspended.
async fn wait_for_writers(conn: &mut PgConnection, rows: &Rows<'_>) -> Result<(), Error> {
    let schema = &rows.site.schema;
    let deadline = Instant::now() + PATIENCE;
    let tables: Vec<_> = rows.tables.iter().map(|table| table.name.as_str()).collect();
    let mut first: Option<Vec<(String, i32)>> = None;
    loop {
        let writers = sqlx::query_as(WRITERS).bind(schema.as_str()).bind(&tables);
        let now: Vec<(String, i32)> = writers.persistent(false).fetch_all(&mut *conn).await?;
        let first = first.get_or_insert_with(|| now.clone());
        first.retain(|writer| now.contains(writer));
        if first.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let pids: Vec<_> = first.iter().map(|(_, pid)| *pid).collect();
            let who = holders::in_words(conn, Held::Processes(&pids)).await;
            let attempted =
                format!("a transaction that has written to its tables is still open{who}");
            return Err(Error::new(ErrorKind::Busy, attempted));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Transactions of other sessions, with their processes, that have changed rows of these tables. They hold the lock until they end.
const WRITERS: &str = "\
    select distinct l.virtualtransaction, l.pid from pg_catalog.pg_locks l \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) l.relation \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) l.database \
    where l.mode operator(pg_catalog.=) 'RowExclusiveLock' and l.granted \
      and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
      and d.datname operator(pg_catalog.=) pg_catalog.current_database() \
      and n.nspname operator(pg_catalog.=) $1 \
      and c.relname::pg_catalog.text operator(pg_catalog.=) any ($2)";

fn referred_to(rows: &Rows<'_>) -> Error {
    let attempted = format!(
        "rows of other tenants in schema {} refer to rows of it, and would be deleted or changed with them: remove \
         these references first, and add the column {} to the foreign keys",
        rows.site.schema,
        rows.of.of.key_column()
    );
    Error::new(ErrorKind::Placement, attempted)
}

/// Takes the lock of a tenant's rows with this function. Returns `false` if another session has it.
pub(super) async fn lock(
    conn: &mut PgConnection,
    site: &Site,
    function: &'static str,
) -> Result<bool, Error> {
    let mut sql = Sql::new("select ");
    sql.text(function).text("(pg_catalog.hashtextextended(");
    sql.literal(&name_of_lock(site)).text(", ");
    sql.integer(LOCK_OF_SCHEMA).text("))");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

fn name_of_lock(site: &Site) -> String {
    let (_, schema, key) = site.spot();
    format!("{schema} {}", key.unwrap_or_default())
}

/// Returns the error of an operation that finds the lock of a tenant's rows taken.
pub(super) async fn locked(conn: &mut PgConnection, site: &Site) -> Error {
    let name = name_of_lock(site);
    busy(&holders::in_words(conn, Held::Lock(&name, LOCK_OF_SCHEMA)).await)
}

fn by_table(counts: Counts) -> Vec<TableRows> {
    counts.into_iter().map(|(table, rows)| TableRows { table: table.into(), rows }).collect()
}
