//! Measures how fast rows get from one server to another.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row};

use crate::{catalog::RowsOfTenant, error::Error, seed::set_key, sql::Sql, tenant::Ident};

/// Bytes of a sample.
const SAMPLE: i64 = 4 * 1024 * 1024;

/// The table that the sample is taken from: the largest one, with the number of rows to take.
fn table_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select c.relname::pg_catalog.text, case when c.reltuples operator(pg_catalog.>) 0 then \
           (c.reltuples::pg_catalog.float8 operator(pg_catalog.*) ",
    );
    sql.integer(SAMPLE);
    sql.text(
        "::pg_catalog.float8 operator(pg_catalog./) s.bytes::pg_catalog.float8)::pg_catalog.int8 \
           else 1000 end \
         from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         cross join lateral (select pg_catalog.pg_table_size(c.oid) as bytes) s \
         where c.relkind operator(pg_catalog.=) 'r' and s.bytes operator(pg_catalog.>) 0 \
           and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str()).text(" order by s.bytes desc limit 1");
    sql
}

/// Samples with fewer bytes say nothing about the rate.
const LEAST: u64 = 64 * 1024;

/// What a sample has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    /// How long a table without rows takes.
    pub(super) per_table: Duration,
    /// Bytes per second; `None` if there are too few rows.
    pub(super) rate: Option<f64>,
}

/// Streams a sample of rows into a temporary table: with the tenant's key if it has one, since policies may apply.
pub(super) async fn take(
    from: &mut PgConnection,
    to: &mut PgConnection,
    schema: &Ident,
    rows: Option<&RowsOfTenant>,
) -> Result<Sample, Error> {
    let mut sql = Sql::new("begin; set local row_security to on; ");
    if let Some(rows) = rows {
        set_key(&mut sql, rows);
    }
    sqlx::raw_sql(sql.finish()).execute(&mut *from).await?;
    let found = sqlx::raw_sql(table_sql(schema).finish()).fetch_optional(&mut *from).await?;
    let Some(found) = found else {
        sqlx::raw_sql("rollback").execute(from).await?;
        return Ok(Sample::default());
    };
    let (table, rows): (&str, i64) = (found.try_get(0)?, found.try_get(1)?);
    let make = "begin; create temporary table pg_temp.tenantry_sample (line pg_catalog.text) on commit drop";
    sqlx::raw_sql(make).execute(&mut *to).await?;
    let (_, per_table) = stream(from, to, (schema, table), 0).await?;
    let (bytes, took) = stream(from, to, (schema, table), rows.clamp(1, 50_000)).await?;
    sqlx::raw_sql("rollback").execute(to).await?;
    sqlx::raw_sql("rollback").execute(from).await?;
    let took = took.saturating_sub(per_table).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rate = bytes as f64 / took.max(1e-6);
    Ok(Sample { per_table, rate: (bytes >= LEAST).then_some(rate) })
}

/// Streams rows of a table. Returns their bytes, and how long it took.
async fn stream(
    from: &mut PgConnection,
    to: &mut PgConnection,
    (schema, table): (&Ident, &str),
    rows: i64,
) -> Result<(u64, Duration), Error> {
    let mut out = Sql::new("copy (select (t.*)::pg_catalog.text from only ");
    out.ident(schema).text(".").name(table).text(" as t limit ").integer(rows).text(") to stdout");
    let out = out.finish();
    let began = Instant::now();
    let mut lines = from.copy_out_raw(out.as_str()).await?;
    let mut copy = to.copy_in_raw("copy pg_temp.tenantry_sample from stdin").await?;
    let (mut bytes, mut chunk) = (0_u64, Vec::new());
    while let Some(line) = lines.try_next().await? {
        bytes += line.len() as u64;
        chunk.extend_from_slice(&line);
        if chunk.len() > 256 * 1024 {
            copy.send(std::mem::take(&mut chunk)).await?;
        }
    }
    copy.send(chunk).await?;
    copy.finish().await?;
    Ok((bytes, began.elapsed()))
}
