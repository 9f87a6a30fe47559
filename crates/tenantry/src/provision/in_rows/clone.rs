//! Clones a tenant that is isolated by row: its rows, with another key.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{
    super::{
        CreateOptions, Provisioner, commit::roll_back, made::limit_locks,
        retired::claim_key_in_snapshot,
    },
    collected::{Collected, columns},
    copies::{Copies, copies},
    create::{refuse_key_in_use, refuse_missing_tables},
    drop::lock,
    tables::{self, Table},
};
use crate::{
    catalog::{CatalogChange, RowsOfTenant, Site},
    clone::{CloneOptions, ClonedTable, Copied, in_snapshot_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    seed::{copy_rows, ensure_table},
    sql::Sql,
    tenant::{IsolationKind, TenantId, TenantRecord},
};

/// The source and the clone, in the same tables.
struct Pair<'a> {
    from: &'a RowsOfTenant,
    to: &'a RowsOfTenant,
    site: &'a Site,
}

impl Provisioner {
    /// Copies the rows of a tenant to another key, in one transaction with one snapshot, and adds the tenant to the
    /// catalog.
    pub(in crate::provision) async fn clone_rows(
        &self,
        from: &TenantRecord,
        to: &TenantId,
        options: &CloneOptions,
    ) -> Result<(Arc<str>, Copied), Error> {
        if let Some(wrong) = why_not(options) {
            let attempted = format!("cloning a tenant that is isolated by row: {wrong}");
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let create = CreateOptions {
            isolation: Some(IsolationKind::Row),
            key: options.key.clone(),
            attributes: options.attributes.clone(),
            role: options.role.clone(),
            lock_timeout: options.lock_timeout,
            ..CreateOptions::default()
        };
        let source = self.fleet.site_of_rows(from)?;
        let (record, site) = self.new_of_copy(to, &create).await?;
        let mut lease = self.fleet.lease_for(&site).await?;
        ensure_table(&mut lease, &site).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        match self.copy_rows(&mut tx, &source, &site, &record, (options, &create)).await {
            Ok(tables) => {
                self.commit(tx).await?;
                let (objects, remarks) = (0, Vec::new());
                let copied = Copied { objects, tables, anonymized: None, remarks };
                Ok((site.schema.as_str().into(), copied))
            }
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    async fn copy_rows(
        &self,
        tx: &mut TenantTransaction,
        source: &Site,
        site: &Site,
        record: &TenantRecord,
        (options, create): (&CloneOptions, &CreateOptions),
    ) -> Result<Vec<ClonedTable>, Error> {
        let mut sql = Sql::default();
        in_snapshot_sql(&mut sql);
        limit_locks(&mut sql, create);
        sql.text("set local row_security to on");
        sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        if !lock(tx, site, "pg_catalog.pg_try_advisory_xact_lock").await? {
            let attempted = "another session is creating or dropping it";
            return Err(Error::new(ErrorKind::TenantExists, attempted));
        }
        let (Some(from), Some(to)) = (&source.rows, &site.rows) else {
            return Err(Error::new(ErrorKind::Placement, "it has tables of its own"));
        };
        let tables = tables::read(tx, site, to).await?;
        refuse_missing_tables(site, to, &tables)?;
        claim_key_in_snapshot(tx, site, to).await?;
        refuse_key_in_use(tx, site, to, &tables).await?;
        let copied = match options.data {
            true => Pair { from, to, site }.copy(tx, tables).await?,
            false => Vec::new(),
        };
        if options.data {
            copy_rows(tx, source, site).await?;
        }
        self.fleet.write(tx, CatalogChange::Created(record)).await?;
        Ok(copied)
    }
}

/// Returns why these options do not suit tables that all tenants share.
fn why_not(options: &CloneOptions) -> Option<&'static str> {
    if options.anonymize.is_some() {
        return Some(
            "its rows are copied inside the server, where masks are not applied: clone it without them, and mask the \
             rows of the clone with your own statements before anybody gets access to it",
        );
    }
    if !options.exclude.is_empty() || !options.parts.is_empty() {
        return Some("all of its rows are copied: delete from the clone what is not wanted");
    }
    let names_schema = options.container.is_some();
    names_schema.then_some("it has no schema of its own, so there is no container to name")
}

impl Pair<'_> {
    /// Copies the rows of all tables, and compares them.
    async fn copy(
        &self,
        conn: &mut PgConnection,
        mut tables: Vec<Table>,
    ) -> Result<Vec<ClonedTable>, Error> {
        tables::read_columns(conn, self.to, &mut tables).await?;
        let column = self.to.of.key_column().as_str();
        let copies = copies(&tables, column).map_err(|why| Error::new(ErrorKind::Clone, why))?;
        let mut cloned = Vec::new();
        for copies in &copies {
            let rows = self.copy_table(conn, copies).await?;
            cloned.push(ClonedTable { name: copies.table.to_owned(), rows });
        }
        Ok(cloned)
    }

    /// Copies the rows of a table.
    ///
    /// A policy that applies to the session's role shows it the rows of one key at a time, so the rows of the source
    /// are collected first.
    async fn copy_table(&self, conn: &mut PgConnection, copies: &Copies<'_>) -> Result<u64, Error> {
        let collected = Collected { copies, number: 0 };
        let mut sql = Sql::default();
        act_as(&mut sql, self.from);
        collected.create(&mut sql);
        columns(&mut sql, copies).text(" from ");
        collected.table(&mut sql, self.site).text(" x where ");
        tables::is_tenants(&mut sql, "x", self.from).text("; ");
        act_as(&mut sql, self.to);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;

        let mut sql = Sql::default();
        collected.insert(&mut sql, self.site, self.to);
        let rows = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?.rows_affected();
        if !collected.is_inserted(conn, self.site, self.to).await? {
            return Err(changed(copies));
        }
        collected.remove(conn).await?;
        Ok(rows)
    }
}

fn changed(copies: &Copies<'_>) -> Error {
    let attempted = format!(
        "table {} of the clone has other rows than the source: a trigger or a rule changes what is inserted",
        copies.table
    );
    Error::new(ErrorKind::Clone, attempted)
}

/// Appends the statement after which policies show the rows of this key.
fn act_as(sql: &mut Sql, rows: &RowsOfTenant) {
    let setting = rows.of.key_setting();
    sql.text("set local ").ident(&setting.class).text(".").ident(&setting.name);
    sql.text(" to ").literal(&rows.key).text("; ");
}
