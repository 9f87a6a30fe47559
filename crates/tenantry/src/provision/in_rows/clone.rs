//! Clones a tenant that is isolated by row: its rows, with another key.

use std::sync::Arc;

use sqlx::PgConnection;

use super::{
    super::{
        CreateOptions, Provisioner, commit::roll_back, made::limit_locks,
        retired::claim_key_in_snapshot,
    },
    collected::{Collected, columns},
    columns::read_columns,
    copies::{Copies, copies},
    create::{refuse_key_in_use, refuse_missing_tables},
    drop::lock,
    pair::{Pair, act_as, changed},
    sifted::SourceRows,
    tables::{self, Table},
};
use crate::{
    catalog::{CatalogChange, Site},
    clone::{CloneOptions, ClonedTable, Copied, in_snapshot_sql, share_sql},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    seed::{copy_rows, ensure_table},
    sql::Sql,
    tenant::{IsolationKind, TenantId, TenantRecord},
};

/// The tenant that the clone becomes.
struct To<'a> {
    source: &'a Site,
    site: &'a Site,
    record: &'a TenantRecord,
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
        // First: otherwise, the work of collecting is lost if there is no second connection.
        let mut lease = self.fleet.lease_for(&site).await?;
        ensure_table(&mut lease, &site).await?;
        let mut collected = match is_sifted(options) {
            true => Some(self.collect_source(&source, options).await?),
            false => None,
        };
        let mut tx = TenantTransaction::open(lease).await?;
        let to = To { source: &source, site: &site, record: &record };
        let copied = self.copy_rows(&mut tx, to, collected.as_mut(), (options, &create)).await;
        if let Some(collected) = collected {
            collected.end().await;
        }
        match copied {
            Ok(copied) => {
                self.commit(tx).await?;
                Ok((site.schema.as_str().into(), copied))
            }
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    async fn copy_rows(
        &self,
        tx: &mut TenantTransaction,
        To { source, site, record }: To<'_>,
        collected: Option<&mut SourceRows>,
        (options, create): (&CloneOptions, &CreateOptions),
    ) -> Result<Copied, Error> {
        let mut sql = Sql::default();
        match &collected {
            Some(collected) => share_sql(&mut sql, &collected.snapshot),
            None => in_snapshot_sql(&mut sql),
        }
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
        tables::refuse_unreadable(tx, &site.schema, &tables).await?;
        claim_key_in_snapshot(tx, site, to).await?;
        refuse_key_in_use(tx, site, to, &tables).await?;
        let pair = Pair { from, to, site };
        let mut copied =
            Copied { objects: 0, tables: Vec::new(), anonymized: None, remarks: Vec::new() };
        match collected {
            _ if !options.data => {}
            Some(collected) => copied = pair.sift(tx, tables, collected, options).await?,
            None => copied.tables = pair.copy(tx, tables).await?,
        }
        if options.data {
            copy_rows(tx, source, site).await?;
        }
        self.fleet.write(tx, CatalogChange::Created(record)).await?;
        Ok(copied)
    }
}

/// Returns why these options do not suit tables that all tenants share.
fn why_not(options: &CloneOptions) -> Option<&'static str> {
    let names_schema = options.container.is_some();
    names_schema.then_some("it has no schema of its own, so there is no container to name")
}

/// Returns `true` if rows are masked, or not all of them are copied.
fn is_sifted(options: &CloneOptions) -> bool {
    options.anonymize.is_some() || !options.exclude.is_empty() || !options.parts.is_empty()
}

impl Pair<'_> {
    /// Copies the rows of all tables, and compares them.
    async fn copy(
        &self,
        conn: &mut PgConnection,
        mut tables: Vec<Table>,
    ) -> Result<Vec<ClonedTable>, Error> {
        read_columns(conn, self.to, &mut tables).await?;
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
        tables::is_tenants(&mut sql, "x", self.from);
        tables::belongs(&mut sql, "x", copies.elsewhere).text("; ");
        act_as(&mut sql, self.to);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;

        let mut sql = Sql::default();
        collected.insert(&mut sql, self.site, self.to);
        let rows = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?.rows_affected();
        if !collected.is_inserted(conn, self.site, self.to, &Sql::default()).await? {
            return Err(changed(copies));
        }
        collected.remove(conn).await?;
        Ok(rows)
    }
}
