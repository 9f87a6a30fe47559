//! What each of the two servers knows of a move: the latest attempt, and the schema that belongs to it.
//!
//! A mover that was paused may go on after another one has taken over. The row in this table keeps its statements from
//! having an effect: every transaction that changes something [locks it](lock_sql) first, or as its last act.

use std::error::Error as _;

use sqlx::{PgConnection, Row, postgres::types::Oid};

use super::{failure::Failure, id::MoveId, own_table::OwnTable};
use crate::{error::Error, provision::ensure_schema, sql::Sql, tenant::Ident};

/// The table of the moves in a database, with the attempt that works there.
pub(super) const MOVERS: &str = "tenantry_movers";

const TABLE: OwnTable = OwnTable {
    name: MOVERS,
    columns: "move pg_catalog.text primary key, attempt pg_catalog.int8 not null, schema pg_catalog.oid",
    index: None,
    lock: 7_234_619_037_120,
};

/// One process's work on a move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The schema of the records.
    pub(super) book: &'a Ident,
    pub(super) id: MoveId,
    pub(super) number: i64,
}

impl<'a> Attempt<'a> {
    /// Returns its row on the source.
    pub(super) fn on_source(self) -> Entry<'a> {
        Entry { book: self.book, name: self.id.digits(), number: self.number }
    }

    /// Returns its row on the target, which can be the same database.
    pub(super) fn on_target(self) -> Entry<'a> {
        Entry { name: format!("{} target", self.id.digits()), ..self.on_source() }
    }
}

/// The row of a move at one of its ends.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    book: &'a Ident,
    name: String,
    number: i64,
}

/// Returns `true` for the error of a [guard](Entry::guard_sql): a division by zero.
pub(super) fn is_refused(error: &Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(sqlx::Error::Database(answer)) = cause.downcast_ref() {
            return answer.code().as_deref() == Some("22012");
        }
        next = cause.source();
    }
    false
}

/// How long to wait for the transaction of an earlier attempt.
const LIMITS: &str = "set local lock_timeout = '5s'; set local statement_timeout = '10s'; ";

impl Entry<'_> {
    /// Raises the number on a server, so that earlier attempts have no effect there any more.
    pub(super) async fn enter(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        ensure_schema(conn, self.book).await?;
        TABLE.ensure(conn, self.book).await?;
        let mut sql = Sql::new("begin; ");
        sql.text(LIMITS).text("insert into ");
        TABLE.name(&mut sql, self.book);
        sql.text(" as m (move, attempt) values (").literal(&self.name).text(", ");
        sql.integer(self.number).text(
            ") on conflict (move) do update set attempt = excluded.attempt \
             where m.attempt operator(pg_catalog.<=) excluded.attempt; commit",
        );
        let entered = sqlx::raw_sql(sql.finish()).execute(conn).await?;
        match entered.rows_affected() {
            0 => Err(Failure::Lost),
            _ => Ok(()),
        }
    }

    /// Locks the row until the end of the transaction.
    pub(super) async fn lock(&self, conn: &mut PgConnection) -> Result<(), Failure> {
        let mut sql = Sql::new("select from ");
        self.row(&mut sql);
        sql.text(" for update");
        match sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? {
            None => Err(Failure::Lost),
            Some(_) => Ok(()),
        }
    }

    /// Returns the statement that locks the row until the end of the transaction, and fails unless it is there: for what is
    /// sent in one message. See [`is_refused`].
    pub(super) fn guard_sql(&self) -> Sql {
        let mut sql = Sql::new(
            "select 1 operator(pg_catalog./) pg_catalog.count(*)::pg_catalog.int4 from (select from ",
        );
        self.row(&mut sql);
        sql.text(" for update) as m");
        sql
    }

    /// Records the schema that belongs to the move, and locks the row until the end of the transaction.
    pub(super) async fn note(
        &self,
        conn: &mut PgConnection,
        schema: &Ident,
    ) -> Result<(), Failure> {
        let mut sql = Sql::new("update ");
        TABLE.name(&mut sql, self.book);
        sql.text(
            " as m set schema = (select n.oid from pg_catalog.pg_namespace n \
               where n.nspname operator(pg_catalog.=) ",
        );
        sql.literal(schema.as_str()).text(") where ");
        self.is_its(&mut sql);
        match sqlx::raw_sql(sql.finish()).execute(conn).await?.rows_affected() {
            0 => Err(Failure::Lost),
            _ => Ok(()),
        }
    }

    /// Returns the OID of the recorded schema, whichever attempt has recorded it.
    pub(super) async fn noted(&self, conn: &mut PgConnection) -> Result<Option<u32>, Error> {
        if !TABLE.exists(conn, self.book).await? {
            return Ok(None);
        }
        let mut sql = Sql::new("select m.schema from ");
        self.rows(&mut sql);
        let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
        let oid = row.map(|row| row.try_get::<Option<Oid>, _>(0)).transpose()?.flatten();
        Ok(oid.map(|Oid(oid)| oid))
    }

    /// Returns `true` if there is a row, of whichever attempt.
    pub(super) async fn is_any(&self, conn: &mut PgConnection) -> Result<bool, Error> {
        if !TABLE.exists(conn, self.book).await? {
            return Ok(false);
        }
        let mut sql = Sql::new("select from ");
        self.rows(&mut sql);
        Ok(sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?.is_some())
    }

    /// Removes the row. A mover that was paused finds none, and stops.
    pub(super) async fn leave(&self, conn: &mut PgConnection) -> Result<(), Error> {
        if !TABLE.exists(conn, self.book).await? {
            return Ok(());
        }
        let mut sql = Sql::new("delete from ");
        self.rows(&mut sql);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Appends the table, and the condition of the row of whichever attempt.
    fn rows(&self, sql: &mut Sql) {
        TABLE.name(sql, self.book);
        sql.text(" as m where m.move operator(pg_catalog.=) ").literal(&self.name);
    }

    /// Appends the table, and the condition of this attempt's row.
    fn row(&self, sql: &mut Sql) {
        TABLE.name(sql, self.book);
        sql.text(" as m where ");
        self.is_its(sql);
    }

    fn is_its(&self, sql: &mut Sql) {
        sql.text("m.move operator(pg_catalog.=) ").literal(&self.name);
        sql.text(" and m.attempt operator(pg_catalog.=) ").integer(self.number);
    }
}
