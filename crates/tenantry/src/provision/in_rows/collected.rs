//! Rows that are collected in a temporary table before they become those of a tenant.

use sqlx::{PgConnection, Row};

use super::{copies::Copies, tables};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::Error,
    sql::Sql,
};

/// The rows of a table, in a temporary table with a number.
pub(super) struct Collected<'a> {
    pub(super) copies: &'a Copies<'a>,
    pub(super) number: u64,
}

impl Collected<'_> {
    /// Appends the beginning of the statement that creates the temporary table, up to the columns.
    pub(super) fn create(&self, sql: &mut Sql) {
        sql.text("create temporary table ");
        self.name(sql).text(" on commit drop as select ");
    }

    /// Appends the name of the temporary table.
    pub(super) fn name<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.text("pg_temp.tenantry_rows_").number(self.number)
    }

    /// Appends the name of the table that all tenants use.
    pub(super) fn table<'s>(&self, sql: &'s mut Sql, site: &Site) -> &'s mut Sql {
        sql.ident(&site.schema).text(".").name(self.copies.table)
    }

    /// Appends the statement that inserts the rows as those of a tenant.
    pub(super) fn insert(&self, sql: &mut Sql, site: &Site, of: &RowsOfTenant) {
        sql.text("insert into ");
        self.table(sql, site).text(" (").ident(of.of.key_column());
        for column in &self.copies.columns {
            sql.text(", ").name(column);
        }
        sql.text(") overriding system value select ");
        tables::key(sql, of);
        for column in &self.copies.columns {
            sql.text(", x.").name(column);
        }
        self.name(sql.text(" from ")).text(" x");
    }

    /// Returns `true` if the tenant has exactly these rows, of those `x` for which the rest of a condition holds.
    pub(super) async fn is_inserted(
        &self,
        conn: &mut PgConnection,
        site: &Site,
        of: &RowsOfTenant,
        only: &Sql,
    ) -> Result<bool, Error> {
        let rows = |sql: &mut Sql| {
            sql.text("select (d.*)::pg_catalog.text from (select ");
            columns(sql, self.copies);
        };
        let source = |sql: &mut Sql| {
            rows(sql);
            self.name(sql.text(" from ")).text(" x) d");
        };
        let copy = |sql: &mut Sql| {
            rows(sql);
            self.table(sql.text(" from "), site).text(" x where ");
            tables::is_tenants(sql, "x", of);
            tables::belongs(sql, "x", self.copies.elsewhere).sql(only).text(") d");
        };
        let mut sql = Sql::new("select pg_catalog.count(*) from ((");
        source(&mut sql);
        sql.text(" except all ");
        copy(&mut sql);
        sql.text(") union all (");
        copy(&mut sql);
        sql.text(" except all ");
        source(&mut sql);
        sql.text(")) d");
        let different: i64 = sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?;
        Ok(different == 0)
    }

    pub(super) async fn remove(&self, conn: &mut PgConnection) -> Result<(), Error> {
        let mut sql = Sql::new("drop table ");
        self.name(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }
}

/// Appends the columns of a row `x`.
pub(super) fn columns<'s>(sql: &'s mut Sql, copies: &Copies<'_>) -> &'s mut Sql {
    for (place, column) in copies.columns.iter().enumerate() {
        sql.text(if place == 0 { "x." } else { ", x." }).name(column);
    }
    sql
}
