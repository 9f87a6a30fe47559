//! Statements with the highest total time, from the extension `pg_stat_statements`.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use sqlx::{Row, SqlStr};

use crate::{db::SharedDb, error::Error, event::serialize_millis, sql::Sql};

/// A normalized statement that was run in the database, with its constants replaced: a row of
/// [`pg_stat_statements`](https://www.postgresql.org/docs/current/pgstatstatements.html).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TopStatement {
    /// Its text, [truncated](super::ActivityOptions::text_length). The same text counts once for
    /// several tenants or roles.
    pub text: String,
    /// Number of runs.
    pub calls: i64,
    /// Total duration of all runs.
    #[serde(rename = "totalMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub total: Duration,
    /// Number of rows read or changed.
    pub rows: i64,
    /// The server that ran it, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
}

/// The result of reading statements.
pub(super) enum Statements {
    Read(Vec<TopStatement>),
    /// The reason why the server does not show them.
    Unreadable(String),
}

/// Reads the statements with the highest total time.
pub(super) async fn read(
    system: &SharedDb,
    most: usize,
    text_length: u16,
) -> Result<Statements, Error> {
    let Some(schema) = schema(system).await? else {
        let why = "the extension pg_stat_statements is not installed in the database";
        return Ok(Statements::Unreadable(why.to_owned()));
    };
    let sql = select(&schema, most, text_length);
    match sqlx::query(sql).persistent(false).fetch_all(system).await {
        Ok(rows) => {
            let statements: Result<_, sqlx::Error> = rows.iter().map(statement).collect();
            Ok(Statements::Read(statements?))
        }
        // The library is not loaded, or the view is not readable or from an old version.
        Err(sqlx::Error::Database(error)) => Ok(Statements::Unreadable(error.message().to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn select(schema: &str, most: usize, text_length: u16) -> SqlStr {
    // One text has a row for each tenant and role, because their tables differ.
    let mut sql = Sql::new("select pg_catalog.left(s.query, ");
    sql.number(text_length.into()).text(
        ") as text, pg_catalog.sum(s.calls)::pg_catalog.int8 as calls, \
         pg_catalog.sum(s.total_exec_time)::pg_catalog.float8 as total, \
         pg_catalog.sum(s.rows)::pg_catalog.int8 as rows from ",
    );
    sql.name(schema).text(
        ".pg_stat_statements s \
         join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) s.dbid \
         where d.datname operator(pg_catalog.=) pg_catalog.current_database() \
         group by s.query order by 3 desc limit ",
    );
    sql.number(most.try_into().unwrap_or(u64::MAX)).text("::pg_catalog.int8");
    sql.finish()
}

fn statement(row: &sqlx::postgres::PgRow) -> Result<TopStatement, sqlx::Error> {
    let text: Option<String> = row.try_get("text")?;
    let millis: f64 = row.try_get("total")?;
    Ok(TopStatement {
        text: text.unwrap_or_default(),
        calls: row.try_get("calls")?,
        total: Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default(),
        rows: row.try_get("rows")?,
        server: None,
    })
}

/// Returns the schema of the extension, which contains only the extension's own view of that name.
async fn schema(system: &SharedDb) -> Result<Option<String>, Error> {
    let schema = sqlx::query_scalar(
        "select n.nspname::pg_catalog.text from pg_catalog.pg_extension e \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_depend d on d.objid operator(pg_catalog.=) c.oid \
           and d.refobjid operator(pg_catalog.=) e.oid \
         where e.extname operator(pg_catalog.=) 'pg_stat_statements' \
         and c.relname operator(pg_catalog.=) 'pg_stat_statements' \
         and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
         and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass",
    );
    Ok(schema.fetch_optional(system).await?)
}
