//! Deletes a tenant's rows in batches.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    super::{DropOptions, patience::patiently},
    order::{How, Reference, Step, plan},
    tables::{ForeignKey, Table, belongs, is_tenants},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    migrate::set_limits,
    sql::Sql,
};

/// The rows of a tenant in the tables of all.
pub(super) struct Rows<'a> {
    pub(super) site: &'a Site,
    pub(super) of: &'a RowsOfTenant,
    pub(super) tables: &'a [Table],
    pub(super) options: &'a DropOptions,
}

/// Numbers of rows by table.
pub(super) type Counts = BTreeMap<String, u64>;

impl Rows<'_> {
    /// Counts the rows of each table that has some.
    pub(super) async fn count(&self, conn: &mut PgConnection) -> Result<Counts, Error> {
        let mut counts = Counts::new();
        for table in self.tables {
            let mut sql = self.begin();
            sql.text("select pg_catalog.count(*) from ");
            table.named(&mut sql, &self.site.schema).text(" t where ");
            table.is_tenants(&mut sql, "t", self.of);
            let rows = self.run(conn, sql.finish()).await?;
            if rows > 0 {
                counts.insert(table.name.clone(), rows);
            }
        }
        Ok(counts)
    }

    /// Deletes all rows, and adds their numbers. Returns the number of transactions that changed something.
    pub(super) async fn delete(
        &self,
        conn: &mut PgConnection,
        counts: &mut Counts,
    ) -> Result<usize, Error> {
        let mut transactions = 0;
        for step in plan(&references(self.tables)) {
            transactions += match step {
                Step::Null { table, key } => {
                    let table = &self.tables[table];
                    let Some(column) = &table.foreign_keys[key].nullable else { continue };
                    self.in_batches(conn, None, || self.null_sql(table, column), counts).await?
                }
                Step::Delete(place) => {
                    let name = Some(&self.tables[place].name);
                    self.in_batches(conn, name, || self.delete_sql(place), counts).await?
                }
                Step::Together(places) => self.together(conn, &places, counts).await?,
            };
        }
        Ok(transactions)
    }

    /// Runs a statement until it has changed fewer rows than a batch.
    async fn in_batches(
        &self,
        conn: &mut PgConnection,
        table: Option<&String>,
        sql: impl Fn() -> SqlStr,
        counts: &mut Counts,
    ) -> Result<usize, Error> {
        let batch = self.options.rows_per_batch() as u64;
        let mut transactions = 0;
        loop {
            let changed = self.run(conn, sql()).await?;
            if let Some(table) = table.filter(|_| changed > 0) {
                *counts.entry(table.clone()).or_default() += changed;
            }
            transactions += usize::from(changed > 0);
            if changed < batch {
                return Ok(transactions);
            }
        }
    }

    /// Runs statements of which the last returns a number.
    async fn run(&self, conn: &mut PgConnection, sql: SqlStr) -> Result<u64, Error> {
        let rows = patiently(conn, sql, self.options).await?;
        let number: Option<i64> = rows.last().map(|row| row.try_get(0)).transpose()?;
        Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
    }

    /// Begins a transaction's statements. Policies keep the role to the tenant's rows where they apply to it;
    /// elsewhere the condition of each statement does.
    fn begin(&self) -> Sql {
        let mut sql = Sql::default();
        set_limits(&mut sql, "set local ", self.options.lock_timeout, None);
        sql.text("set local row_security to on; ");
        sql
    }

    fn null_sql(&self, table: &Table, column: &str) -> SqlStr {
        let mut sql = self.begin();
        sql.text("with d as (update ");
        table.named(&mut sql, &self.site.schema).text(" d set ").assign(column);
        sql.text("null where ");
        self.batch(&mut sql, table);
        sql.text(" and x.").name(column).text(" is not null");
        self.end_of_batch(&mut sql);
        sql.finish()
    }

    fn delete_sql(&self, place: usize) -> SqlStr {
        let table = &self.tables[place];
        let mut sql = self.begin();
        sql.text("with d as (delete from ");
        table.named(&mut sql, &self.site.schema).text(" d where ");
        self.batch(&mut sql, table);
        self.without_strangers(&mut sql, place);
        self.end_of_batch(&mut sql);
        sql.finish()
    }

    /// Appends the condition that a row is the tenant's and in the batch, whose rows are called `x`.
    fn batch(&self, sql: &mut Sql, table: &Table) {
        table.is_tenants(sql, "d", self.of);
        sql.text(" and d.ctid operator(pg_catalog.=) any (array(select x.ctid from ");
        table.named(sql, &self.site.schema).text(" x where ");
        table.is_tenants(sql, "x", self.of);
    }

    fn end_of_batch(&self, sql: &mut Sql) {
        sql.text(" limit ").number(self.options.rows_per_batch() as u64);
        sql.text(")) returning 1) select pg_catalog.count(*) from d");
    }

    /// Excludes rows whose deletion would also delete or change rows of other tenants.
    fn without_strangers(&self, sql: &mut Sql, place: usize) {
        for table in self.tables {
            for key in keys_that_reach(table, place, self.tables) {
                sql.text(" and not exists (select from ");
                table.named(sql, &self.site.schema).text(" s where (");
                is_tenants(sql, "s", self.of).text(") is not true");
                belongs(sql, "s", &table.elsewhere);
                for (own, theirs) in &key.columns {
                    sql.text(" and s.").name(own).text(" operator(pg_catalog.=) x.").name(theirs);
                }
                sql.text(")");
            }
        }
    }

    async fn together(
        &self,
        conn: &mut PgConnection,
        places: &[usize],
        counts: &mut Counts,
    ) -> Result<usize, Error> {
        let rows = patiently(conn, self.together_sql(places), self.options).await?;
        let Some(row) = rows.last() else { return Ok(0) };
        let mut any = false;
        for (column, place) in places.iter().enumerate() {
            let deleted = u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default();
            if deleted > 0 {
                *counts.entry(self.tables[*place].name.clone()).or_default() += deleted;
                any = true;
            }
        }
        Ok(usize::from(any))
    }

    /// Deletes all rows of some tables in one statement, since each would violate a foreign key of another.
    fn together_sql(&self, places: &[usize]) -> SqlStr {
        let mut sql = self.begin();
        sql.text("set constraints all deferred; with ");
        for (index, place) in places.iter().enumerate() {
            sql.text(if index == 0 { "d" } else { ", d" }).number(index as u64);
            sql.text(" as (delete from ");
            let table = &self.tables[*place];
            table.named(&mut sql, &self.site.schema).text(" x where ");
            table.is_tenants(&mut sql, "x", self.of);
            self.without_strangers(&mut sql, *place);
            sql.text(" returning 1)");
        }
        for index in 0..places.len() {
            sql.text(if index == 0 { " select " } else { ", " });
            sql.text("(select pg_catalog.count(*) from d").number(index as u64).text(")");
        }
        sql.finish()
    }

    /// Refuses foreign keys whose effect on other tenants' rows cannot be seen.
    pub(super) fn refuse_unseen(&self) -> Result<(), Error> {
        let is_unseen = |key: &&ForeignKey| key.acts_on_delete && !key.is_keyed && key.is_filtered;
        let mut unseen = self.tables.iter().flat_map(|table| {
            table.foreign_keys.iter().filter(is_unseen).map(move |key| (table, key))
        });
        let Some((table, key)) = unseen.next() else { return Ok(()) };
        let attempted = format!(
            "foreign key {} of table {}.{} changes rows when those that it refers to are deleted, does not contain \
             the column {}, and policies hide from the maintenance role which rows of other tenants that would be: \
             add the column to the key, or grant the role bypassrls",
            key.name,
            self.site.schema,
            table.name,
            self.of.of.key_column()
        );
        Err(Error::new(ErrorKind::Placement, attempted))
    }
}

/// Returns the foreign keys of a table that delete or change its rows, possibly those of other tenants, when rows of
/// another table are deleted.
fn keys_that_reach<'a>(
    table: &'a Table,
    place: usize,
    tables: &'a [Table],
) -> impl Iterator<Item = &'a ForeignKey> {
    table
        .foreign_keys
        .iter()
        .filter(move |key| key.acts_on_delete && !key.is_keyed && key.target(tables) == Some(place))
}

fn references(tables: &[Table]) -> Vec<Vec<Reference>> {
    let how = |key: &ForeignKey| match key {
        _ if key.acts_on_delete => How::Acts,
        _ if key.nullable.is_some() => How::CanBeNull,
        _ => How::Stops,
    };
    let of = |table: &Table| {
        let keys = table.foreign_keys.iter();
        // Every foreign key that was read refers to one of the tables.
        keys.map(|key| Reference { to: key.target(tables).unwrap_or_default(), how: how(key) })
            .collect()
    };
    tables.iter().map(of).collect()
}
