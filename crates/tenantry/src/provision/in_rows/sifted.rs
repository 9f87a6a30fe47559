//! Clones a tenant that is isolated by row with masks, or a part of its rows.
//!
//! ```text
//!   session that reads                                   session that writes, with the same snapshot
//!   tables of all tenants ─▶ temporary tables ─▶ masks ─▶ temporary tables ─▶ search for source values ─▶ tables of all
//!                              with the source's rows                                                       tenants
//! ```
//!
//! So no value that is to be masked reaches the tables of all tenants, not even in a dead row.

use sqlx::PgConnection;

use super::{
    super::Provisioner,
    collected::Collected,
    columns::read_columns,
    copies::copies,
    create::refuse_missing_tables,
    pair::{Pair, act_as, changed},
    tables::{self, Table},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    clone::{
        CloneOptions, Copied, Copying, Ends, Masking, Plan, Shared, Source, export, failed,
        failed_in_secret, in_snapshot_sql, of_tables, read_model, session_sql, unlimited_sql,
        unpartitioned,
    },
    db::TenantTransaction,
    error::{Error, ErrorKind},
    schema::{ObjectKind, SchemaModel, read::Subject},
    sql::Sql,
    tenant::Ident,
};

/// The schema of a session's temporary tables.
const TEMPORARY: &str = "pg_temp";

/// The rows of the source, in temporary tables of an open transaction, which have the names of the tables.
pub(super) struct SourceRows {
    tx: TenantTransaction,
    pub(super) snapshot: String,
    /// The search path for names in the expressions of masks.
    path: Vec<Ident>,
    model: SchemaModel,
    plan: Plan,
    masking: Option<Masking>,
    shared: Shared,
}

impl SourceRows {
    /// Ends the transaction, and with it the temporary tables.
    pub(super) async fn end(self) {
        drop(self.tx.rollback().await);
    }
}

impl Provisioner {
    /// Collects the rows of the source, and checks the options for them.
    pub(super) async fn collect_source(
        &self,
        source: &Site,
        options: &CloneOptions,
    ) -> Result<SourceRows, Error> {
        if self.fleet.server().places_for_upkeep() < 2 {
            let attempted = "masking rows, or copying a part of them: it needs two connections, and the manager's budget \
                             has room for one";
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let Some(of) = &source.rows else {
            return Err(Error::new(ErrorKind::Placement, "it has tables of its own"));
        };
        let mut lease = self.fleet.lease_for(source).await?;
        let known = tables::read(&mut lease, source, of).await?;
        refuse_missing_tables(source, of, &known)?;
        let mut tx = TenantTransaction::open(lease).await?;
        let snapshot = begin(&mut tx, source, of, &known, options).await?;
        let mut tables = tables::read(&mut tx, source, of).await?;
        tables::refuse_altered(&known, &tables)?;
        tables::refuse_unreadable(&mut tx, &source.schema, &tables).await?;
        read_columns(&mut tx, of, &mut tables).await?;
        let subject = Subject { schema: source.schema.clone(), role: None };
        let names: Vec<_> = tables.iter().map(|table| &*table.name).collect();
        let key = of.of.key_column();
        copies(&tables, key.as_str()).map_err(|why| Error::new(ErrorKind::Clone, why))?;
        let model = of_tables(&read_model(&mut tx, &subject).await?, &names);
        refuse_unmodelled(&tables, &model)?;
        let (plan, masking, model) = sieve(&model, options, key)?;
        if options.data {
            collect(&mut tx, source, of, &tables, options.anonymize.is_some()).await?;
        }
        let rows = tables.iter().map(|table| {
            let mut sql = Sql::default();
            rows_of(&mut sql, source, of, table);
            (table.name.clone(), sql.finish())
        });
        let shared =
            Shared { schema: source.schema.clone(), key: key.clone(), rows: rows.collect() };
        let path = source.occupant.binding.search_path.to_vec();
        Ok(SourceRows { tx, snapshot, path, model, plan, masking, shared })
    }
}

/// Locks the tables, and exports the snapshot that is taken after that.
async fn begin(
    conn: &mut PgConnection,
    source: &Site,
    of: &RowsOfTenant,
    tables: &[Table],
    options: &CloneOptions,
) -> Result<String, Error> {
    let mut sql = Sql::default();
    in_snapshot_sql(&mut sql);
    session_sql(&mut sql, options.lock_timeout);
    sql.text("set local row_security to on; ");
    act_as(&mut sql, of);
    tables::hold_sql(&mut sql, source, tables);
    unlimited_sql(&mut sql);
    let begun = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
    begun.map_err(|error| failed("locking the tables of the source".into(), error))?;
    export(conn).await
}

/// Plans which rows are copied, and how they are masked. Returns the model that goes with the temporary tables, too.
fn sieve(
    model: &SchemaModel,
    options: &CloneOptions,
    key: &Ident,
) -> Result<(Plan, Option<Masking>, SchemaModel), Error> {
    let masking = options.anonymize.as_ref().map(|rules| Masking::new(rules, model));
    let masking = masking.transpose()?;
    if let Some(masking) = &masking {
        masking.refuse_masks_of_key(key)?;
    }
    let model = unpartitioned(model);
    let plan = Plan::of_rows(&model, options, &temporary()?).map_err(|wrong| {
        Error::new(ErrorKind::Config, "checking the options of the clone").with_source(wrong)
    });
    let mut plan = plan?;
    if let Some(masking) = &masking {
        plan.mask(&masking.plan);
    }
    Ok((plan, masking, model))
}

/// Refuses a table that the model of the schema lacks, such as one of an extension: its rows would be left out.
fn refuse_unmodelled(tables: &[Table], model: &SchemaModel) -> Result<(), Error> {
    let has = |table: &Table| {
        model.of_kind(ObjectKind::Table).any(|(relation, _)| *relation.name == *table.name)
    };
    let Some(table) = tables.iter().find(|table| !has(table)) else { return Ok(()) };
    let attempted = format!(
        "table {} belongs to an extension: clone without masks and limits, or without the tenant column there",
        table.name
    );
    Err(Error::new(ErrorKind::Clone, attempted))
}

fn temporary() -> Result<Ident, Error> {
    Ident::parse(TEMPORARY).map_err(|error| Error::new(ErrorKind::Config, error.to_string()))
}

/// Appends the query of a tenant's rows.
fn rows_of(sql: &mut Sql, site: &Site, of: &RowsOfTenant, table: &Table) {
    table.named(sql.text("select x.* from "), &site.schema).text(" x where ");
    table.is_tenants(sql, "x", of);
}

/// Collects the rows of a tenant. Generated columns are searched for values that look personal, and become ordinary ones.
async fn collect(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
    tables: &[Table],
    in_secret: bool,
) -> Result<(), Error> {
    for (number, table) in tables.iter().enumerate() {
        let mut sql = Sql::new("create temporary table ");
        numbered(sql.text("pg_temp."), number).text(" on commit drop as ");
        rows_of(&mut sql, site, of, table);
        numbered(sql.text("; analyze pg_temp."), number);
        let collected = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
        let attempted = || format!("collecting the rows of the table {}", table.name);
        collected.map_err(|error| match in_secret {
            true => failed_in_secret(attempted(), error),
            false => failed(attempted(), error),
        })?;
    }
    // Not before: functions of policies must not take the temporary tables for those of all tenants.
    let mut sql = Sql::default();
    for (number, table) in tables.iter().enumerate() {
        numbered(sql.text("alter table pg_temp."), number).text(" rename to ");
        sql.name(&table.name).text("; ");
    }
    let named = sqlx::raw_sql(sql.finish()).execute(conn).await;
    named.map(drop).map_err(|error| failed("naming the collected rows".into(), error))
}

fn numbered(sql: &mut Sql, number: usize) -> &mut Sql {
    sql.text("tenantry_rows_").number(number as u64)
}

/// Appends the name of a temporary table.
fn named<'s>(sql: &'s mut Sql, table: &str) -> &'s mut Sql {
    sql.text("pg_temp.").name(table)
}

impl Pair<'_> {
    /// Copies the rows that are collected, as the options say, and compares what was inserted.
    pub(super) async fn sift(
        &self,
        conn: &mut PgConnection,
        mut tables: Vec<Table>,
        rows: &mut SourceRows,
        options: &CloneOptions,
    ) -> Result<Copied, Error> {
        read_columns(conn, self.to, &mut tables).await?;
        let column = self.to.of.key_column().as_str();
        let copies = copies(&tables, column).map_err(|why| Error::new(ErrorKind::Clone, why))?;
        self.receive(conn, &tables).await?;
        let there = Subject { schema: temporary()?, role: None };
        let SourceRows { tx, path, model, plan, masking, shared, .. } = rows;
        let ends = Ends { from: &there, model, to: &there };
        let copying = Copying::new(ends, plan, options, masking.take());
        let mut source = Source { conn: &mut *tx, path };
        let copied = copying.between_sessions(shared, &mut source, conn).await?;

        // Functions of triggers must not take the temporary tables for those of all tenants.
        let mut sql = Sql::default();
        for (number, copies) in copies.iter().enumerate() {
            named(sql.text("alter table "), copies.table).text(" rename to ");
            numbered(&mut sql, number).text("; ");
        }
        act_as(&mut sql, self.to);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        for (number, copies) in copies.iter().enumerate() {
            let collected = Collected { copies, number: number as u64 };
            let mut sql = Sql::default();
            collected.insert(&mut sql, self.site, self.to);
            let inserted = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
            let attempted = || format!("inserting the rows of the table {}", copies.table);
            inserted.map_err(|error| match options.anonymize {
                Some(_) => failed_in_secret(attempted(), error),
                None => failed(attempted(), error),
            })?;
            if !collected.is_inserted(conn, self.site, self.to, &Sql::default()).await? {
                return Err(changed(copies));
            }
            collected.remove(conn).await?;
        }
        Ok(copied)
    }

    /// Creates the temporary tables for the rows of the clone. Generated columns are computed from masked values.
    async fn receive(&self, conn: &mut PgConnection, tables: &[Table]) -> Result<(), Error> {
        let mut sql = Sql::default();
        act_as(&mut sql, self.from);
        for table in tables {
            named(sql.text("create temporary table "), &table.name).text(" (like ");
            table.named(&mut sql, &self.site.schema);
            sql.text(" including generated) on commit drop; ");
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }
}
