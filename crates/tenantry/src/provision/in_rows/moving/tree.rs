//! The partitions of tables whose changes are logged: rows come and go with them, and no trigger of a row fires.

use sqlx::{PgConnection, Row};

use super::{
    super::tables::{self, Table},
    RowsAt,
    keys::Key,
    log::ChangeLog,
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
};

/// Each table and its partitions, with the file that it is in: truncating or rewriting it begins another one. Parameter:
/// the oids of the tables.
const TREE: &str = "\
    with recursive below as ( \
      select o.oid as top, o.oid from pg_catalog.unnest($1::pg_catalog.int8[]) as o (oid) \
      union \
      select b.top, c.oid::pg_catalog.int8 from below b \
      join pg_catalog.pg_inherits i on i.inhparent::pg_catalog.int8 operator(pg_catalog.=) b.oid \
      join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.inhrelid where c.relispartition) \
    select b.top, b.oid, c.relfilenode::pg_catalog.int8 as file, c.relname::pg_catalog.text as name, \
      n.nspname::pg_catalog.text as schema \
    from below b join pg_catalog.pg_class c on c.oid::pg_catalog.int8 operator(pg_catalog.=) b.oid \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace";

/// A table that lacks an enabled trigger of the log. A trigger that was disabled for a while does not fire for replicated
/// changes afterwards. Parameters: the oids of tables and partitions, the schema of the log, and the number of triggers.
const UNLOGGED: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and $3 operator(pg_catalog.<>) ( \
      select pg_catalog.count(*) from pg_catalog.pg_trigger t \
      join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
      join pg_catalog.pg_namespace l on l.oid operator(pg_catalog.=) p.pronamespace \
      where t.tgrelid operator(pg_catalog.=) c.oid and l.nspname operator(pg_catalog.=) $2 \
        and t.tgenabled operator(pg_catalog.=) 'A') \
    order by 1 limit 1";

/// A table below others that has no triggers of its own. Parameter: the oids of the tables and their partitions.
pub(super) const INHERITING: &str = "\
    select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
    from pg_catalog.pg_class c where not c.relispartition \
      and c.oid::pg_catalog.int8 operator(pg_catalog.<>) all ($1) and exists (select from pg_catalog.pg_inherits i \
        where i.inhrelid operator(pg_catalog.=) c.oid \
          and i.inhparent::pg_catalog.int8 operator(pg_catalog.=) any ($1))";

/// A table or a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    top: i64,
    oid: i64,
    file: i64,
    name: String,
    schema: String,
}

/// Records what belongs to the tables.
pub(super) async fn record(
    conn: &mut PgConnection,
    tables: &[Table],
    log: ChangeLog<'_>,
) -> Result<(), Error> {
    let nodes = read(conn, tables).await?;
    let mut sql = Sql::default();
    sql.sql(log.guard).text("; ");
    nodes.iter().for_each(|node| note(&mut sql, node, log));
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

async fn read(conn: &mut PgConnection, tables: &[Table]) -> Result<Vec<Node>, Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let rows = sqlx::query(TREE).bind(oids).persistent(false).fetch_all(conn).await?;
    let node = |row: &sqlx::postgres::PgRow| {
        let (top, oid, file) = (row.try_get("top")?, row.try_get("oid")?, row.try_get("file")?);
        Ok(Node { top, oid, file, name: row.try_get("name")?, schema: row.try_get("schema")? })
    };
    Ok(rows.iter().map(node).collect::<sqlx::Result<_>>()?)
}

fn note(sql: &mut Sql, node: &Node, log: ChangeLog<'_>) {
    log.tree(sql.text("insert into ")).text(" values (").integer(node.top).text(", ");
    sql.integer(node.oid).text(", ").integer(node.file).text(", ");
    sql.literal(&node.name).text("); ");
}

impl RowsAt<'_> {
    /// Refuses tables whose changes the log does not have, and logs all rows of partitions that are new.
    ///
    /// # Errors
    ///
    /// [`Move`](ErrorKind::Move), with what has happened.
    pub(super) async fn check_log(
        &self,
        conn: &mut PgConnection,
        (tables, keys): (&[Table], &[Key]),
        log: ChangeLog<'_>,
    ) -> Result<(), Error> {
        let nodes = read(conn, tables).await?;
        let oids: Vec<_> = nodes.iter().map(|node| node.oid).collect();
        let inheriting = sqlx::query_scalar(INHERITING).bind(&oids).persistent(false);
        let inheriting: Option<String> = inheriting.fetch_one(&mut *conn).await?;
        let each = ChangeLog::triggers_of_each(self.are_shared);
        let unlogged = sqlx::query_scalar(UNLOGGED).bind(&oids).bind(log.schema.as_str());
        let unlogged = unlogged.bind(each).persistent(false);
        let unlogged: Option<String> = unlogged.fetch_optional(&mut *conn).await?;
        let mut sql = Sql::new("select r.top, r.oid, r.file, r.name from ");
        log.tree(&mut sql).text(" as r");
        let mut recorded = Vec::new();
        for row in sqlx::raw_sql(sql.finish()).fetch_all(&mut *conn).await? {
            let found: (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            recorded.push((found, row.try_get::<String, _>(3)?));
        }
        let is_there =
            |of: (i64, i64, i64)| nodes.iter().any(|node| (node.top, node.oid, node.file) == of);
        let gone = recorded.iter().find(|(of, _)| !is_there(*of));
        let what = if let Some((_, table)) = gone {
            format!("table {table} was truncated, rewritten, detached or dropped")
        } else if let Some(table) = unlogged {
            format!("table {table} was created, or its triggers were disabled or dropped,")
        } else if let Some(table) = inheriting {
            format!("table {table}, which inherits from others, was created")
        } else {
            let is_new = |node: &&Node| {
                recorded.iter().all(|((top, oid, _), _)| (*top, *oid) != (node.top, node.oid))
            };
            let new: Vec<_> = nodes.iter().filter(is_new).collect();
            return self.log_all(conn, (tables, keys), &new, log).await;
        };
        let attempted = format!("{what} while its rows were being copied: move it again");
        Err(Error::new(ErrorKind::Move, attempted))
    }

    /// Logs the keys of all rows of some partitions.
    async fn log_all(
        &self,
        conn: &mut PgConnection,
        (tables, keys): (&[Table], &[Key]),
        new: &[&Node],
        log: ChangeLog<'_>,
    ) -> Result<(), Error> {
        let mut sql = Sql::default();
        for node in new {
            note(&mut sql, node, log);
            let key = tables.iter().zip(keys).find(|(table, _)| table.oid == node.top);
            let Some((_, key)) = key else { continue };
            log.table(sql.text("insert into "), node.top).text(" select ");
            key.of_row(&mut sql, "x");
            sql.text("::pg_catalog.text from ").name(&node.schema).text(".").name(&node.name);
            sql.text(" as x where ");
            tables::is_tenants(&mut sql, "x", self.of()?).text("; ");
        }
        if sql.len() > 0 {
            sqlx::raw_sql(sql.finish()).execute(conn).await?;
        }
        Ok(())
    }
}
