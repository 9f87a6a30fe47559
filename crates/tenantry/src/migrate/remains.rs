//! Finds and removes what a statement that works in several transactions has left half made.

use std::time::Duration;

use sqlx::{Executor, Row, SqlStr, postgres::PgRow};
use tokio::time::{Instant, sleep};

use super::{
    Failure, FailureReason, Invalid,
    lint::{Concurrent, Constraint, Name, NewIndex, Reindexed},
    survey::run,
    tracking::table,
};
use crate::{pool::Lease, sql::Sql, tenant::Ident};

/// What is known about a statement before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// It has not run yet.
    NotRun,
    /// It may have run since the record was last written.
    SinceRecord,
    /// It may have run at any time.
    AnyTime,
}

/// Where and how to look for remains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remains<'a> {
    pub(super) schema: &'a Ident,
    /// The version of the file, where it is on record.
    pub(super) record: Option<i64>,
    /// How long to wait for another session that is building the index.
    pub(super) patience: Duration,
}

/// How to proceed after looking for remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cured {
    /// The statement can be run.
    Ready,
    /// The statement is already completely done.
    Done,
}

/// An index that a statement may have created.
#[derive(Debug)]
struct Index {
    schema: Ident,
    name: Ident,
    is_valid: bool,
    /// Whether it was made after the record was last written.
    is_new: bool,
    /// Whether another session is building it, or another index on its table.
    in_work: bool,
    table: String,
    columns: Vec<Option<String>>,
    is_unique: bool,
    method: String,
    is_partial: bool,
    /// Whether it is on the statement's table, and does not just have the statement's index name.
    is_of_table: bool,
}

/// The columns of a query for indexes; two more follow.
const INDEX: &str = "select n.nspname::pg_catalog.text as schema, c.relname::pg_catalog.text as name, \
    i.indisvalid and i.indisready and i.indislive as is_valid, \
    pg_catalog.age(c.xmin) as age, exists (select from pg_catalog.pg_locks l \
      join pg_catalog.pg_stat_progress_create_index p on p.pid operator(pg_catalog.=) l.pid \
      where l.relation operator(pg_catalog.=) i.indrelid \
        and l.database operator(pg_catalog.=) ( \
          select d.oid from pg_catalog.pg_database d \
          where d.datname operator(pg_catalog.=) pg_catalog.current_database()) \
        and l.mode operator(pg_catalog.=) 'ShareUpdateExclusiveLock' and l.granted \
        and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()) as in_work, \
    (select pg_catalog.array_agg(a.attname::pg_catalog.text order by k.place) \
      from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as k (attnum, place) \
      left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) i.indrelid \
        and a.attnum operator(pg_catalog.=) k.attnum) as columns, \
    t.relname::pg_catalog.text as table_name, i.indisunique as is_unique, m.amname::pg_catalog.text as method, \
    i.indpred is not null as is_partial, ";

/// The interval for checking whether the other session has finished building.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Remains<'_> {
    /// Removes what a statement has left half made, so that it can run again.
    ///
    /// # Cancel safety
    ///
    /// Safe: anything not yet removed is found the next time.
    pub(super) async fn cure(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
        before: Before,
    ) -> Result<Cured, Failure> {
        match statement {
            Concurrent::CreateIndex(made) => self.cure_index(lease, statement, made, before).await,
            Concurrent::Reindex(_) => {
                self.drop_invalid(lease, statement).await?;
                Ok(Cured::Ready)
            }
            Concurrent::DropIndex(name) => {
                let is_gone = before != Before::NotRun && !exists(lease, name).await?;
                Ok(if is_gone { Cured::Done } else { Cured::Ready })
            }
            Concurrent::Detach { table, partition } => {
                let found = detaching(lease, table, partition).await?;
                match found {
                    Some(Attached { pending: false, .. }) => Ok(Cured::Ready),
                    Some(attached) => {
                        attached.finalize(lease).await?;
                        Ok(Cured::Done)
                    }
                    None if before == Before::NotRun => Ok(Cured::Ready),
                    None => Ok(Cured::Done),
                }
            }
        }
    }

    /// Removes an invalid index, unless the statement has built a valid one.
    async fn cure_index(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
        made: &NewIndex,
        before: Before,
    ) -> Result<Cured, Failure> {
        let (found, waited) = self.drop_invalid(lease, statement).await?;
        let is_ours = |index: &Index| match before {
            // Another session has built a similar index, which is ours only if the names match.
            Before::NotRun => waited && made.name.is_some(),
            Before::SinceRecord => waited || index.is_new,
            Before::AnyTime => made.is_known(),
        };
        let is_done =
            found.iter().any(|index| index.is_valid && index.may_be(made) && is_ours(index));
        // The statement itself skips an existing object.
        Ok(if is_done && !made.if_not_exists { Cured::Done } else { Cured::Ready })
    }

    /// Returns `true` if an index that a statement has built under an explicit name is missing.
    pub(super) async fn lacks(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
    ) -> Result<bool, Failure> {
        let Concurrent::CreateIndex(NewIndex { name: Some(_), .. }) = statement else {
            return Ok(false);
        };
        Ok(self.find(lease, statement).await?.is_empty())
    }

    /// Checks that an index is valid or does not exist.
    pub(super) async fn check(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
    ) -> Result<(), Failure> {
        let Concurrent::CreateIndex(made) = statement else { return Ok(()) };
        let found = self.find(lease, statement).await?;
        match found.iter().find(|index| !index.is_valid) {
            Some(index) if !index.is_of_table => Err(index.in_the_way(made)),
            None => Ok(()),
            Some(index) => Err(Failure::invalid_index(&index.name)),
        }
    }

    /// Returns what a failed statement has left half made.
    pub(super) async fn half_made(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
    ) -> Result<Option<Invalid>, Failure> {
        if let Concurrent::Detach { table, partition } = statement {
            let found = detaching(lease, table, partition).await?;
            return Ok(found.filter(|attached| attached.pending).map(|attached| {
                let ([_, table], [_, partition]) = (&attached.table, &attached.partition);
                let (table, partition) = (table.as_str().into(), partition.as_str().into());
                Invalid::PendingDetach { table, partition }
            }));
        }
        let found = self.find(lease, statement).await?;
        let left = found.into_iter().find(|index| !index.is_valid && index.is_of_table);
        Ok(left.map(|left| {
            let (table, index) = (left.table.as_str().into(), left.name.as_str().into());
            Invalid::Index { table, index }
        }))
    }

    /// Drops the invalid indexes that a statement has created. Returns the valid ones, and whether it had to wait for
    /// another session that was building.
    async fn drop_invalid(
        &self,
        lease: &mut Lease,
        statement: &Concurrent,
    ) -> Result<(Vec<Index>, bool), Failure> {
        let (deadline, mut waited, mut seen) = (Instant::now() + self.patience, false, None);
        loop {
            let (valid, invalid): (Vec<_>, Vec<_>) =
                self.find(lease, statement).await?.into_iter().partition(|index| index.is_valid);
            // The server process of a run that was killed goes on until it has something to say.
            if invalid.iter().any(|index| index.in_work) {
                if Instant::now() >= deadline {
                    let message = "another session has been building this index for too long";
                    return Err(Failure::new(FailureReason::LockTimeout, message).for_good());
                }
                waited = true;
                sleep(LOOK_AGAIN).await;
                continue;
            }
            // An index that is invalid in a snapshot may have been completed before its builder was looked for.
            let seen_before = seen.replace(invalid.len());
            if seen_before.is_none() && !invalid.is_empty() {
                continue;
            }
            waited |= seen_before.is_some_and(|before| invalid.len() < before);
            for index in &invalid {
                match statement {
                    Concurrent::CreateIndex(made) if !index.is_of_table => {
                        return Err(index.in_the_way(made));
                    }
                    _ => index.drop(lease).await?,
                }
            }
            let ours = valid.into_iter().filter(|index| index.is_of_table);
            return Ok((ours.collect(), waited));
        }
    }

    /// Finds the indexes that a statement may have created, or was to drop.
    async fn find(&self, lease: &mut Lease, statement: &Concurrent) -> Result<Vec<Index>, Failure> {
        let Some(sql) = self.select(statement) else { return Ok(Vec::new()) };
        let rows =
            run(lease, async |conn| sqlx::query(sql).persistent(false).fetch_all(conn).await);
        let rows = rows.await?;
        let mut found = Vec::new();
        for row in &rows {
            // The names come from the server, so they are not too long.
            found.extend(Index::from_row(row).map_err(Failure::from)?);
        }
        if let Concurrent::CreateIndex(made) = statement
            && made.name.is_none()
        {
            found.retain(|index| index.may_be(made) && index.has_chosen_name());
        }
        Ok(found)
    }

    /// Returns the query for the indexes of a statement, if it can create or drop some.
    fn select(&self, statement: &Concurrent) -> Option<SqlStr> {
        let mut sql = Sql::new(INDEX);
        match self.record {
            Some(version) => {
                sql.text("(select pg_catalog.age(r.xmin) from ");
                table(&mut sql, self.schema).text(" r where r.version operator(pg_catalog.=) ");
                sql.integer(version).text(") as age_of_record");
            }
            None => {
                sql.text("null::pg_catalog.int4 as age_of_record");
            }
        }
        match statement {
            Concurrent::CreateIndex(made) => {
                regclass(sql.text(", i.indrelid operator(pg_catalog.=) "), &made.table);
            }
            _ => {
                sql.text(", true");
            }
        }
        sql.text(
            " as is_of_table from pg_catalog.pg_index i \
             join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) i.indrelid \
             join pg_catalog.pg_am m on m.oid operator(pg_catalog.=) c.relam \
             where ",
        );
        match statement {
            Concurrent::CreateIndex(made) => made_by(&mut sql, made),
            Concurrent::Reindex(reindexed) => made_anew_by(&mut sql, reindexed),
            Concurrent::DropIndex(name) => {
                regclass(sql.text("i.indexrelid operator(pg_catalog.=) "), name);
            }
            Concurrent::Detach { .. } => return None,
        }
        Some(sql.finish())
    }
}

/// Appends a condition for the indexes that `create index concurrently` may have created; without a name, those of
/// its table. The index of its name can be on another table.
fn made_by(sql: &mut Sql, made: &NewIndex) {
    let Some(name) = &made.name else {
        regclass(sql.text("i.indrelid operator(pg_catalog.=) "), &made.table);
        return;
    };
    sql.text("c.relname operator(pg_catalog.=) ").literal(name).text("::pg_catalog.name");
    sql.text(
        " and c.relnamespace operator(pg_catalog.=) (select x.relnamespace from pg_catalog.pg_class x \
         where x.oid operator(pg_catalog.=) ",
    );
    regclass(sql, &made.table).text(")");
}

/// The minimum part of a table's name that remains in an index name chosen by PostgreSQL, in bytes.
const KEPT: usize = 28;

impl NewIndex {
    /// Returns `true` if its known properties distinguish it from every other index that a file can create.
    /// Expressions and conditions are only known to exist.
    fn is_known(&self) -> bool {
        self.name.is_some() || !self.is_partial && self.columns.iter().all(Option::is_some)
    }
}

/// Appends a condition for the invalid indexes that `reindex concurrently` may have left.
fn made_anew_by(sql: &mut Sql, reindexed: &Reindexed) {
    sql.text("not i.indisvalid and c.relname operator(pg_catalog.~) '_cc(new|old)[0-9]*$'");
    match reindexed {
        Reindexed::Index(name) => {
            sql.text(
                " and exists (select from pg_catalog.pg_index x \
                 join pg_catalog.pg_class y on y.oid operator(pg_catalog.=) x.indexrelid \
                 where x.indrelid operator(pg_catalog.=) i.indrelid \
                   and pg_catalog.starts_with(y.relname::pg_catalog.text, pg_catalog.regexp_replace( \
                     c.relname::pg_catalog.text, '_cc(new|old)[0-9]*$', '')) \
                   and x.indexrelid operator(pg_catalog.=) any (",
            );
            with_partitions(sql, name);
            sql.text("))");
        }
        Reindexed::Table(name) => {
            sql.text(
                " and exists (select from pg_catalog.pg_class t \
                 where i.indrelid operator(pg_catalog.=) any (array[t.oid, t.reltoastrelid]) \
                   and t.oid operator(pg_catalog.=) any (",
            );
            with_partitions(sql, name);
            sql.text("))");
        }
        Reindexed::Schema(name) => {
            sql.text(
                " and exists (select from pg_catalog.pg_class t \
                 join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) t.relnamespace \
                 where i.indrelid operator(pg_catalog.=) any (array[t.oid, t.reltoastrelid]) \
                   and s.nspname operator(pg_catalog.=) ",
            );
            sql.literal(name).text("::pg_catalog.name)");
        }
        Reindexed::Database => {}
    }
}

/// Appends a query for a relation and its partitions.
fn with_partitions(sql: &mut Sql, name: &Name) {
    sql.text("select ");
    regclass(sql, name).text(" union all select p.relid from pg_catalog.pg_partition_tree(");
    regclass(sql, name).text(") p");
}

/// Appends an expression that finds a relation by its name along the search path, as the statement does.
fn regclass<'s>(sql: &'s mut Sql, name: &Name) -> &'s mut Sql {
    sql.text("pg_catalog.to_regclass(").literal(&name.to_string()).text(")")
}

impl Index {
    fn from_row(row: &PgRow) -> sqlx::Result<Option<Self>> {
        let (schema, name): (String, String) = (row.try_get("schema")?, row.try_get("name")?);
        let (Ok(schema), Ok(name)) = (Ident::parse(&schema), Ident::parse(&name)) else {
            return Ok(None);
        };
        let age: i32 = row.try_get("age")?;
        let age_of_record: Option<i32> = row.try_get("age_of_record")?;
        let is_new = age_of_record.is_some_and(|record| age < record);
        let columns: Option<Vec<Option<String>>> = row.try_get("columns")?;
        Ok(Some(Self {
            schema,
            name,
            is_valid: row.try_get("is_valid")?,
            is_new,
            in_work: row.try_get("in_work")?,
            table: row.try_get("table_name")?,
            columns: columns.unwrap_or_default(),
            is_unique: row.try_get("is_unique")?,
            method: row.try_get("method")?,
            is_partial: row.try_get("is_partial")?,
            is_of_table: row.try_get("is_of_table")?,
        }))
    }

    /// Creates the failure of a statement that would skip this index of another table, or be refused because of it.
    fn in_the_way(&self, made: &NewIndex) -> Failure {
        let Self { name, table, .. } = self;
        let message = format!(
            "index {name} of table {table} is invalid, and has the name of the index that the statement creates \
             on {}: drop or rename it, then run the file",
            made.table
        );
        Failure::new(FailureReason::InvalidIndex, message)
    }

    /// Returns `true` if it can be the index that a statement creates, as far as this can be determined.
    fn may_be(&self, made: &NewIndex) -> bool {
        self.columns == made.columns
            && (self.is_unique, self.is_partial) == (made.is_unique, made.is_partial)
            && self.method == made.method
    }

    /// Returns `true` if PostgreSQL may have chosen its name: `orders_total_idx`, `orders_total_idx1`.
    fn has_chosen_name(&self) -> bool {
        let (name, table) = (self.name.as_str(), self.table.as_str());
        let kept = (0..=KEPT.min(table.len())).rev().find(|end| table.is_char_boundary(*end));
        name.trim_end_matches(|digit: char| digit.is_ascii_digit()).ends_with("_idx")
            && name.starts_with(&table[..kept.unwrap_or_default()])
    }

    async fn drop(&self, lease: &mut Lease) -> Result<(), Failure> {
        let mut sql = Sql::new("drop index concurrently if exists ");
        sql.ident(&self.schema).text(".").ident(&self.name);
        match execute(lease, sql).await {
            // Only a superuser can drop what `reindex` leaves of a TOAST index.
            Err(failure)
                if failure.sqlstate.as_deref() == Some("42501")
                    && self.schema.as_str() == "pg_toast" =>
            {
                Ok(())
            }
            dropped => dropped,
        }
    }
}

async fn exists(lease: &mut Lease, name: &Name) -> Result<bool, Failure> {
    let mut sql = Sql::new("select ");
    regclass(&mut sql, name).text(" is not null");
    let sql = sql.finish();
    let row = run(lease, async |conn| sqlx::raw_sql(sql).fetch_one(conn).await).await?;
    row.try_get(0).map_err(Failure::from)
}

/// A partition that is one still, or half.
struct Attached {
    table: [Ident; 2],
    partition: [Ident; 2],
    pending: bool,
}

impl Attached {
    async fn finalize(&self, lease: &mut Lease) -> Result<(), Failure> {
        let mut sql = Sql::new("alter table ");
        sql.ident(&self.table[0]).text(".").ident(&self.table[1]).text(" detach partition ");
        sql.ident(&self.partition[0]).text(".").ident(&self.partition[1]).text(" finalize");
        execute(lease, sql).await
    }
}

async fn detaching(
    lease: &mut Lease,
    table: &Name,
    partition: &Name,
) -> Result<Option<Attached>, Failure> {
    let mut sql = Sql::new(
        "select h.inhdetachpending, tn.nspname::pg_catalog.text, t.relname::pg_catalog.text, \
         pn.nspname::pg_catalog.text, p.relname::pg_catalog.text \
         from pg_catalog.pg_inherits h \
         join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) h.inhparent \
         join pg_catalog.pg_namespace tn on tn.oid operator(pg_catalog.=) t.relnamespace \
         join pg_catalog.pg_class p on p.oid operator(pg_catalog.=) h.inhrelid \
         join pg_catalog.pg_namespace pn on pn.oid operator(pg_catalog.=) p.relnamespace \
         where h.inhparent operator(pg_catalog.=) ",
    );
    regclass(&mut sql, table).text(" and h.inhrelid operator(pg_catalog.=) ");
    regclass(&mut sql, partition);
    let Some(row) = fetch_optional(lease, sql).await? else { return Ok(None) };
    let Some([table, partition]) = names(&row, 1)?.zip(names(&row, 3)?).map(<[_; 2]>::from) else {
        return Ok(None);
    };
    let pending = row.try_get(0).map_err(Failure::from)?;
    Ok(Some(Attached { table, partition, pending }))
}

/// Appends statements that drop an invalid constraint of this name, if there is one.
pub(super) async fn drop_not_valid(
    lease: &mut Lease,
    constraint: &Constraint,
    sql: &mut Sql,
) -> Result<(), Failure> {
    let mut look = Sql::new(
        "select n.nspname::pg_catalog.text, t.relname::pg_catalog.text, k.conname::pg_catalog.text, \
         k.conname::pg_catalog.text \
         from pg_catalog.pg_constraint k \
         join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) k.conrelid \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) t.relnamespace \
         where not k.convalidated and k.conrelid operator(pg_catalog.=) ",
    );
    regclass(&mut look, &constraint.table).text(" and k.conname operator(pg_catalog.=) ");
    look.literal(&constraint.name).text("::pg_catalog.name");
    let Some(row) = fetch_optional(lease, look).await? else { return Ok(()) };
    if let (Some([schema, table]), Some([name, _])) = (names(&row, 0)?, names(&row, 2)?) {
        sql.text("alter table ").ident(&schema).text(".").ident(&table);
        sql.text(" drop constraint ").ident(&name).text("; ");
    }
    Ok(())
}

/// Reads two names, which come from the server.
fn names(row: &PgRow, column: usize) -> Result<Option<[Ident; 2]>, Failure> {
    let name = |column| row.try_get::<String, _>(column).map_err(Failure::from);
    let (first, second) = (Ident::parse(&name(column)?), Ident::parse(&name(column + 1)?));
    Ok(first.ok().zip(second.ok()).map(<[_; 2]>::from))
}

async fn fetch_optional(lease: &mut Lease, sql: Sql) -> Result<Option<PgRow>, Failure> {
    let sql = sql.finish();
    run(lease, async |conn| sqlx::raw_sql(sql).fetch_optional(conn).await).await
}

async fn execute(lease: &mut Lease, sql: Sql) -> Result<(), Failure> {
    let sql = sql.finish();
    run(lease, async |conn| conn.execute(sqlx::raw_sql(sql)).await.map(drop)).await
}
