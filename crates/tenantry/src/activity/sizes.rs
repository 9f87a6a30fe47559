//! Disk space of tenants.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde::Serialize;
use sqlx::Row;
use tokio::time::Instant;

use super::Unseen;
use crate::{error::Error, event::serialize_millis, fleet::Fleet, tenant::TenantId, timestamp};

/// How sizes are determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SizeMethod {
    /// As of the last `vacuum` or `analyze` of each table, by autovacuum or manual: one statement
    /// over the server's catalogs, about a second for a million tables and indexes.
    #[default]
    Estimate,
    /// The current size of the files. The server reads the size of every file, and waits up to 2 s
    /// for a table that is locked exclusively.
    Exact,
}

/// Disk space of each tenant's tables, including indexes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantSizes {
    /// The time of the reading.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub at: SystemTime,
    /// Duration of the reading.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// `true` if they are exact, not estimates.
    pub is_exact: bool,
    /// Every tenant that the catalog lists, the largest first.
    pub tenants: Vec<TenantSize>,
    /// Missing information.
    pub unseen: Vec<Unseen>,
}

/// Disk space of one tenant's tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantSize {
    /// The tenant.
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub tenant_id: TenantId,
    /// Bytes of tables, indexes and TOAST; `None` if unknown, such as for a tenant without a
    /// schema.
    pub bytes: Option<u64>,
    /// Number of rows, always as of the last `vacuum` or `analyze`.
    pub rows: u64,
    /// Number of tables, including partitions and materialized views.
    pub tables: u64,
    /// Number of those that were never analyzed: their rows, and in an estimate their bytes, are
    /// not counted.
    pub never_analyzed: u64,
}

/// Catalog data of one schema.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    bytes: Option<u64>,
    rows: u64,
    tables: u64,
    never_analyzed: u64,
}

/// Number of schemas per statement for exact sizes.
const PAGE: usize = 500;

/// Reads the sizes of all tenants.
///
/// # Cancel safety
///
/// Safe.
pub(crate) async fn read(fleet: &Fleet, method: SizeMethod) -> Result<TenantSizes, Error> {
    let began = Instant::now();
    let records = fleet.list().await?;
    let mut found = estimates(fleet).await?;
    let schema = |record| fleet.site(record).ok().map(|site| site.schema.to_string());
    let schemas: Vec<_> = records.iter().map(schema).collect();
    let mut unseen = Vec::new();
    if method == SizeMethod::Exact {
        let named: Vec<_> = schemas.iter().flatten().map(String::as_str).collect();
        for page in named.chunks(PAGE) {
            if let Some(why) = exact(fleet, page, &mut found).await? {
                unseen.push(Unseen::new(format!("the sizes of {} tenants", page.len()), why));
            }
        }
    }
    let tenants = sorted(records.into_iter().map(|record| record.id).zip(schemas), &found);
    let never: u64 = tenants.iter().map(|of| of.never_analyzed).sum();
    if never > 0 {
        let why = "autovacuum has not processed them, or is off: run analyze";
        unseen.push(Unseen::new(format!("the rows of {never} tables"), why));
    }
    let is_exact = method == SizeMethod::Exact;
    Ok(TenantSizes { at: SystemTime::now(), duration: began.elapsed(), is_exact, tenants, unseen })
}

/// Returns the size of each tenant, by its schema, the largest first.
fn sorted(
    tenants: impl Iterator<Item = (TenantId, Option<String>)>,
    found: &HashMap<String, Found>,
) -> Vec<TenantSize> {
    let tenants = tenants.map(|(tenant_id, schema)| {
        let found = schema.and_then(|schema| found.get(&schema)).copied().unwrap_or_default();
        let Found { bytes, rows, tables, never_analyzed } = found;
        TenantSize { tenant_id, bytes, rows, tables, never_analyzed }
    });
    let mut tenants: Vec<_> = tenants.collect();
    tenants.sort_by(|one, other| {
        let key = |of: &TenantSize| Reverse(of.bytes);
        key(one).cmp(&key(other)).then_with(|| one.tenant_id.cmp(&other.tenant_id))
    });
    tenants
}

async fn estimates(fleet: &Fleet) -> Result<HashMap<String, Found>, Error> {
    let rows = sqlx::query(ESTIMATES).persistent(false).fetch_all(fleet.system()).await?;
    let count = |row: &sqlx::postgres::PgRow, column| {
        let count: Option<i64> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
    };
    let schema = |row: &sqlx::postgres::PgRow| {
        let found = Found {
            bytes: Some(count(row, "bytes")?),
            rows: count(row, "rows")?,
            tables: count(row, "tables")?,
            never_analyzed: count(row, "never_analyzed")?,
        };
        Ok((row.try_get("schema")?, found))
    };
    let found: Result<_, sqlx::Error> = rows.iter().map(schema).collect();
    Ok(found?)
}

/// Replaces the estimates by the sizes of the files. If they cannot be read, removes the estimates and returns the
/// reason.
async fn exact(
    fleet: &Fleet,
    schemas: &[&str],
    found: &mut HashMap<String, Found>,
) -> Result<Option<String>, Error> {
    let mut lease = fleet.system().acquire().await?;
    sqlx::raw_sql("set lock_timeout to 2000").execute(&mut *lease).await?;
    let sizes = sqlx::query_as(EXACT).bind(schemas).persistent(false).fetch_all(&mut *lease).await;
    let sizes: Vec<(String, Option<i64>)> = match sizes {
        Ok(sizes) => sizes,
        Err(sqlx::Error::Database(error)) => {
            for schema in schemas {
                if let Some(found) = found.get_mut(*schema) {
                    found.bytes = None;
                }
            }
            return Ok(Some(error.message().to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    for (schema, bytes) in sizes {
        let bytes = u64::try_from(bytes.unwrap_or_default()).unwrap_or_default();
        found.entry(schema).or_default().bytes = Some(bytes);
    }
    Ok(None)
}

/// TOAST tables are in a schema of PostgreSQL's own; their index, which is small, is omitted. A
/// table that was never analyzed has -1 rows, and before version 14 neither rows nor pages.
const ESTIMATES: &str = "\
    select n.nspname::pg_catalog.text as schema, \
      coalesce(pg_catalog.sum(c.relpages::pg_catalog.int8 operator(pg_catalog.+) \
        coalesce(t.relpages, 0)::pg_catalog.int8), 0)::pg_catalog.int8 operator(pg_catalog.*) \
        pg_catalog.current_setting('block_size')::pg_catalog.int8 as bytes, \
      pg_catalog.sum(c.reltuples) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m}'::pg_catalog.\"char\"[]) and c.reltuples operator(pg_catalog.>) 0)::pg_catalog.int8 as rows, \
      pg_catalog.count(c.oid) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m,p}'::pg_catalog.\"char\"[])) as tables, \
      pg_catalog.count(c.oid) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m}'::pg_catalog.\"char\"[]) and c.reltuples operator(pg_catalog.<) 0) as never_analyzed \
    from pg_catalog.pg_namespace n \
    left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
      and c.relkind operator(pg_catalog.=) any ('{r,m,p,i}'::pg_catalog.\"char\"[]) \
    left join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) c.reltoastrelid \
      and c.reltoastrelid operator(pg_catalog.<>) 0::pg_catalog.oid \
    where n.nspname operator(pg_catalog.<>) all (array['pg_catalog', 'information_schema', \
      'pg_toast']::pg_catalog.name[]) \
    group by n.oid, n.nspname";

const EXACT: &str = "\
    select n.nspname::pg_catalog.text, \
      pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid))::pg_catalog.int8 \
    from pg_catalog.pg_namespace n \
    left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
      and c.relkind operator(pg_catalog.=) any ('{r,m}'::pg_catalog.\"char\"[]) \
    where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
    group by n.oid, n.nspname";
