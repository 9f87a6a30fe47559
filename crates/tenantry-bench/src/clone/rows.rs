//! A tenant, cloned with its rows.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use sqlx::Connection;
use tenantry::clone::CloneOptions;

use super::{
    server::{Database, Server},
    source::{self, SCHEMA, SCHEMA_OF_COPY, clone_tenant},
};
use crate::{
    args::CloneSizes,
    failure::Failure,
    times::{self, Times},
    trusted,
};

/// Sums up the bytes of all tables, with their indexes, of the schema that follows.
const SIZE: &str = "select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class \
                    where relkind = 'r' and relnamespace = ";

pub(super) struct Copied {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) times: Vec<Times>,
}

/// Clones the tenant with its rows with `clone_tenant` on a new manager, and copies its rows with `insert … select`.
///
/// `insert_select` is measured without its tables, which are created before each run by
/// `create table … (like … including all)`. They have all indexes, which every row is added to, and no foreign keys.
/// So it does less than a clone: it does not create tables, check foreign keys, set sequences or compare anything.
/// Both include their connections, and each copies in one transaction.
pub(super) async fn run(
    server: &Server,
    rounds: u32,
    sizes: &CloneSizes,
) -> Result<Copied, Failure> {
    let database = server.database("rows").await?;
    let tables = sizes.tables;
    eprintln!("rows: filling {tables} tables");
    source::create(&database, tables).await?;
    source::fill(&database, tables, sizes.large_rows).await?;
    let rows = database.number(source::count_rows(SCHEMA, tables)).await?;
    let bytes = database.number(format!("{SIZE} '{SCHEMA}'::regnamespace")).await?;
    let contenders = ["tenantry", "insert_select"];
    let times = times::run("rows", &contenders, rounds, async |contender, _| {
        let took = match contender {
            0 => clone_tenant(&database, CloneOptions::default().data(true)).await?.0,
            _ => insert_select(&database, tables).await?,
        };
        let copied = database.number(source::count_rows(SCHEMA_OF_COPY, tables)).await?;
        if copied != rows {
            return Err(format!("{copied} of {rows} rows were copied").into());
        }
        database.drop_schemas(&[SCHEMA_OF_COPY.to_owned()]).await?;
        Ok(took)
    });
    Ok(Copied { rows, bytes, times: times.await? })
}

fn create_like(tables: usize) -> Result<String, Failure> {
    let mut sql = format!("create schema {SCHEMA_OF_COPY}; ");
    for table in 1..=tables {
        write!(
            sql,
            "create table {SCHEMA_OF_COPY}.things{table} (like {SCHEMA}.things{table} including all); "
        )?;
    }
    Ok(sql)
}

/// Copies the rows into new tables, and returns how long it took without creating them.
async fn insert_select(database: &Database, tables: usize) -> Result<Duration, Failure> {
    database.run(create_like(tables)?).await?;
    let began = Instant::now();
    let mut sql = "begin; ".to_owned();
    for table in 1..=tables {
        write!(
            sql,
            "insert into {SCHEMA_OF_COPY}.things{table} select * from {SCHEMA}.things{table}; "
        )?;
    }
    sql += "commit";
    let mut conn = database.connect().await?;
    trusted::run(&mut conn, sql).await?;
    conn.close().await?;
    Ok(began.elapsed())
}
