//! The partitions of tables whose changes are logged: rows come and go with them, and no trigger of a row fires.

use std::collections::HashMap;

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

/// Each table and its partitions, with the file that each is in and the triggers of the log: truncating or rewriting a table
/// begins another file, and what was detached or disabled has other triggers, or other versions of them. Parameters: the
/// oids of the tables, and the schema of the log.
const TREE: &str = "\
    with recursive below as ( \
      select o.oid as top, o.oid from pg_catalog.unnest($1::pg_catalog.int8[]) as o (oid) \
      union \
      select b.top, c.oid::pg_catalog.int8 from below b \
      join pg_catalog.pg_inherits i on i.inhparent::pg_catalog.int8 operator(pg_catalog.=) b.oid \
      join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.inhrelid \
      where c.relispartition and not i.inhdetachpending) \
    select b.top, b.oid, c.relfilenode::pg_catalog.text as file, c.relname::pg_catalog.text as name, \
      (select pg_catalog.string_agg(pg_catalog.format('%s:%s', t.oid, t.xmin), ' ' order by t.oid) \
        from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
        join pg_catalog.pg_namespace l on l.oid operator(pg_catalog.=) p.pronamespace \
        where t.tgrelid operator(pg_catalog.=) c.oid and l.nspname operator(pg_catalog.=) $2) as triggers \
    from below b join pg_catalog.pg_class c on c.oid::pg_catalog.int8 operator(pg_catalog.=) b.oid";

/// A table that lacks an enabled trigger of the log. Parameters: the oids of tables and partitions, the schema of the log,
/// and the number of triggers.
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

/// Tables with their partitions, each as the oid of the table and its own. A table is among its parts.
pub(super) struct Parts {
    pub(super) tops: Vec<i64>,
    pub(super) oids: Vec<i64>,
}

impl Parts {
    pub(super) async fn of(conn: &mut PgConnection, tables: &[i64]) -> Result<Self, Error> {
        let rows =
            sqlx::query(TREE).bind(tables).bind("").persistent(false).fetch_all(conn).await?;
        let mut parts = Self { tops: Vec::new(), oids: Vec::new() };
        for row in &rows {
            parts.tops.push(row.try_get("top")?);
            parts.oids.push(row.try_get("oid")?);
        }
        Ok(parts)
    }
}

/// A table or a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    top: i64,
    oid: i64,
    /// What changes if changes are not logged: the key, the file and the triggers.
    state: String,
    name: String,
}

/// Records what belongs to the tables.
pub(super) async fn record(
    conn: &mut PgConnection,
    keyed: (&[Table], &[Key]),
    log: ChangeLog<'_>,
) -> Result<(), Error> {
    let nodes = read(conn, keyed, log).await?;
    let mut sql = Sql::default();
    sql.sql(log.guard).text("; ");
    nodes.iter().for_each(|node| note(&mut sql, node, log));
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

async fn read(
    conn: &mut PgConnection,
    (tables, keys): (&[Table], &[Key]),
    log: ChangeLog<'_>,
) -> Result<Vec<Node>, Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let rows = sqlx::query(TREE).bind(oids).bind(log.schema.as_str()).persistent(false);
    let rows = rows.fetch_all(conn).await?;
    let mut nodes = Vec::with_capacity(rows.len());
    for row in &rows {
        let (top, oid): (i64, i64) = (row.try_get("top")?, row.try_get("oid")?);
        let key = tables.iter().zip(keys).find(|(table, _)| table.oid == top);
        let key = key.map(|(_, key)| key.described()).unwrap_or_default();
        let (file, triggers): (&str, Option<&str>) =
            (row.try_get("file")?, row.try_get("triggers")?);
        let state = format!("{key}; {file}; {}", triggers.unwrap_or_default());
        nodes.push(Node { top, oid, state, name: row.try_get("name")? });
    }
    Ok(nodes)
}

fn note(sql: &mut Sql, node: &Node, log: ChangeLog<'_>) {
    log.tree(sql.text("insert into ")).text(" values (").integer(node.top).text(", ");
    sql.integer(node.oid).text(", ").literal(&node.state).text(", ");
    sql.literal(&node.name).text("); ");
}

/// Tells how a state came to be another one.
fn what_changed(before: &str, now: &str) -> &'static str {
    let [before, now] = [before, now].map(|state| {
        let mut parts = state.rsplitn(3, "; ");
        let (_triggers, file, key) = (parts.next(), parts.next(), parts.next());
        (key, file)
    });
    match (before.0 == now.0, before.1 == now.1) {
        (false, _) => "got another primary key",
        (true, false) => "was truncated or rewritten",
        (true, true) => "was detached for a while, or its triggers were disabled,",
    }
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
        let nodes = read(conn, (tables, keys), log).await?;
        let oids: Vec<_> = nodes.iter().map(|node| node.oid).collect();
        let inheriting = sqlx::query_scalar(INHERITING).bind(&oids).persistent(false);
        let inheriting: Option<String> = inheriting.fetch_one(&mut *conn).await?;
        let each = ChangeLog::triggers_of_each(self.are_shared);
        let unlogged = sqlx::query_scalar(UNLOGGED).bind(&oids).bind(log.schema.as_str());
        let unlogged = unlogged.bind(each).persistent(false);
        let unlogged: Option<String> = unlogged.fetch_optional(&mut *conn).await?;
        let mut sql = Sql::new("select r.top, r.oid, r.state, r.name from ");
        log.tree(&mut sql).text(" as r");
        let mut recorded = HashMap::new();
        for row in sqlx::raw_sql(sql.finish()).fetch_all(&mut *conn).await? {
            let (top, oid): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let of: (String, String) = (row.try_get(2)?, row.try_get(3)?);
            recorded.insert((top, oid), of);
        }
        let there: HashMap<_, _> =
            nodes.iter().map(|node| ((node.top, node.oid), &*node.state)).collect();
        let gone = recorded.iter().find(|(of, _)| !there.contains_key(*of));
        let changed =
            recorded.iter().find(|(of, (state, _))| there.get(*of).is_some_and(|now| now != state));
        let what = if let Some((_, (_, table))) = gone {
            format!("table {table} was detached or dropped")
        } else if let Some((of, (before, table))) = changed {
            let now = there.get(of).copied().unwrap_or_default();
            format!("table {table} {}", what_changed(before, now))
        } else if let Some(table) = unlogged {
            format!("table {table} was created, or has no triggers,")
        } else if let Some(table) = inheriting {
            format!("table {table}, which inherits from others, was created")
        } else {
            let is_new = |node: &&Node| !recorded.contains_key(&(node.top, node.oid));
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
            let top = tables.iter().zip(keys).find(|(table, _)| table.oid == node.top);
            let Some((table, key)) = top else { continue };
            if !self.are_shared {
                log.note_others(&mut sql, node.top);
            }
            log.table(sql.text("insert into "), node.top).text(" select ");
            key.of_row(&mut sql, "x");
            // The rights and policies of the table apply, and not those of its partition.
            table.named(sql.text("::pg_catalog.text from "), &self.site.schema);
            sql.text(" as x where x.tableoid operator(pg_catalog.=) ").integer(node.oid);
            tables::is_tenants(sql.text("::pg_catalog.oid and "), "x", self.of()?).text("; ");
        }
        if sql.len() > 0 {
            sqlx::raw_sql(sql.finish()).execute(conn).await?;
        }
        Ok(())
    }
}
