//! Looks at rows before they move.

use sqlx::{PgConnection, Row};

use super::{
    super::{
        columns::read_columns,
        create::{refuse_missing_tables, table_with_rows},
        export::described_all,
        fit::fit,
        tables::{self, Table},
    },
    RowsAt,
};
use crate::{error::Error, rows::file::Header, sql::Sql};

/// What rows were found at a place.
#[derive(Debug)]
pub(crate) struct RowsFound {
    /// The tables with the column of the tenant's key.
    pub(crate) tables: Vec<String>,
    /// Bytes of the tenant's rows, as text.
    pub(crate) bytes: u64,
    /// What would be lost, in words.
    pub(crate) left_behind: Vec<String>,
    /// Tables with rows that every tenant has in common at the target.
    pub(crate) in_common: Vec<String>,
}

impl RowsAt<'_> {
    /// Looks at the rows before they leave, and measures them.
    pub(crate) async fn examine(&self) -> Result<RowsFound, Error> {
        let of = self.of()?;
        let mut lease = self.fleet.lease_for(self.site).await?;
        let known = self.read(&mut lease).await?;
        refuse_missing_tables(self.site, of, &known)?;
        tables::refuse_unreadable(&mut lease, &self.site.schema, &known).await?;
        let (left_behind, in_common) = match self.are_shared {
            true => Default::default(),
            false => self.left_behind(&mut lease, &known.iter().collect::<Vec<_>>()).await?,
        };
        let mut sql = Sql::new("set row_security to on; select (");
        for (place, table) in known.iter().enumerate() {
            sql.text(if place == 0 { "" } else { " operator(pg_catalog.+) " });
            sql.text(
                "(select coalesce(pg_catalog.sum(pg_catalog.length((t.*)::pg_catalog.text)), 0) from ",
            );
            table.named(&mut sql, &self.site.schema).text(" t where ");
            table.is_tenants(&mut sql, "t", of).text(")");
        }
        sql.text(")::pg_catalog.int8");
        let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?;
        let bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        lease.settle().await;
        let tables = known.into_iter().map(|table| table.name).collect();
        Ok(RowsFound { tables, bytes, left_behind, in_common })
    }

    /// Names what a tenant with tables of its own would lose: rows of tables without the column of the key, and rows with
    /// another key in some tables. Also returns the former tables that are shared at the target.
    pub(super) async fn left_behind(
        &self,
        conn: &mut PgConnection,
        keyed: &[&Table],
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        let (of, schema) = (self.of()?, &self.site.schema);
        let unkeyed = sqlx::query_scalar(UNKEYED)
            .bind(schema.as_str())
            .bind(of.of.key_column().as_str())
            .persistent(false);
        let unkeyed: Vec<String> = unkeyed.fetch_all(&mut *conn).await?;
        let is_shared = |table: &str| of.of.shared_names().iter().any(|of| of.as_str() == table);
        let (mut left, mut in_common) = (Vec::new(), Vec::new());
        if unkeyed.is_empty() && keyed.is_empty() {
            return Ok((left, in_common));
        }
        let mut sql = Sql::new("set row_security to on; select t.name, t.other from (");
        for (place, table) in unkeyed.iter().enumerate() {
            sql.text(if place == 0 { "select " } else { " union all select " });
            sql.literal(table).text(" as name, false as other where exists (select from ");
            sql.ident(schema).text(".").name(table).text(")");
        }
        for (place, table) in keyed.iter().enumerate() {
            sql.text(if place == 0 && unkeyed.is_empty() {
                "select "
            } else {
                " union all select "
            });
            sql.literal(&table.name).text(" as name, true as other where exists (select from ");
            table.named(&mut sql, schema).text(" t where (");
            tables::is_tenants(&mut sql, "t", of).text(") is not true");
            tables::belongs(&mut sql, "t", &table.elsewhere);
            sql.text(")");
        }
        sql.text(") t");
        for row in sqlx::raw_sql(sql.finish()).fetch_all(conn).await? {
            let (table, is_other): (&str, bool) = (row.try_get(0)?, row.try_get(1)?);
            let key = of.of.key_column();
            match is_other {
                true => {
                    left.push(format!("table {table} has rows with another {key} than {:?}", of.key));
                }
                false if is_shared(table) => in_common.push(table.to_owned()),
                false => left.push(format!(
                    "table {table} has rows, and no column {key}; list it with Rows::shared_tables if the tables of all \
                     tenants have these rows"
                )),
            }
        }
        Ok((left, in_common))
    }

    /// Names what keeps the tables of a place from taking the rows of another one.
    pub(crate) async fn refusals(&self, from: RowsAt<'_>) -> Result<Vec<String>, Error> {
        let of = self.of()?;
        let mut lease = from.fleet.lease_for(from.site).await?;
        let mut theirs = from.read(&mut lease).await?;
        read_columns(&mut lease, from.of()?, &mut theirs).await?;
        drop(lease);
        let mut lease = self.fleet.lease_for(self.site).await?;
        let mut own = self.read(&mut lease).await?;
        if own.is_empty() {
            let refused = refuse_missing_tables(self.site, of, &own);
            return Ok(refused.err().map(|error| error.to_string()).into_iter().collect());
        }
        read_columns(&mut lease, of, &mut own).await?;
        let mut found = Vec::new();
        let header = Header {
            tenant_id: self.id().to_string(),
            key: of.key.to_string(),
            key_column: of.of.key_column().to_string(),
            server_version: String::new(),
            seeds: Vec::new(),
            tables: described_all(&theirs),
        };
        found.extend(fit(&header, &own, of.of.key_column().as_str(), false).err());
        if let Some(table) = table_with_rows(&mut lease, self.site, of, &own).await? {
            let (schema, key) = (&self.site.schema, &of.key);
            found.push(format!("table {schema}.{table} has rows with its key {key:?} already"));
        }
        lease.settle().await;
        Ok(found)
    }
}

/// Tables of a schema without the column of the key, except for the library's records. A partition belongs to its table.
const UNKEYED: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1 \
      and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) and not c.relispartition \
      and c.relname operator(pg_catalog.<>) all (array['_sqlx_migrations', '_tenantry_seeds']::pg_catalog.name[]) \
      and not exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) c.oid \
        and a.attname operator(pg_catalog.=) $2 and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped) \
    order by 1";
