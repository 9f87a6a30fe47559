//! Temporary tables with rows to write, and the statements that write them.

use sqlx::{PgConnection, Row, SqlStr};

use super::{feeding::feeding, keyed::KeyedTable, plan::Values, rows::qualified};
use crate::{error::Error, schema::read::Subject, sql::Sql};

/// What to do with a row in a temporary table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Insert,
    Update,
    Delete,
}

impl Write {
    pub(super) const ALL: [Self; 3] = [Self::Delete, Self::Update, Self::Insert];

    /// Returns the letter for it.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Insert => "i",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }

    /// Returns the name of its part of the statement, without the number of the table.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::Insert => "tenantry_inserted_",
            Self::Update => "tenantry_updated_",
            Self::Delete => "tenantry_deleted_",
        }
    }
}

/// A table, and its rows in a temporary one: the place of each in the table, unless it is new, what to do with it, and
/// its values.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) table: KeyedTable,
    /// Tells temporary tables apart.
    pub(crate) number: u64,
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
}

impl Staged {
    pub(crate) fn new(table: KeyedTable, number: u64) -> Self {
        Self { table, number, inserts: 0, updates: 0, deletes: 0 }
    }

    /// Counts a row.
    pub(crate) fn note(&mut self, write: Write) {
        *match write {
            Write::Insert => &mut self.inserts,
            Write::Update => &mut self.updates,
            Write::Delete => &mut self.deletes,
        } += 1;
    }

    pub(super) fn rows(&self, write: Write) -> u64 {
        match write {
            Write::Insert => self.inserts,
            Write::Update => self.updates,
            Write::Delete => self.deletes,
        }
    }

    fn name<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.text("pg_temp.tenantry_merged_").number(self.number)
    }

    /// Returns the names of the two columns before those of the table, which must not be those of the table.
    fn own_columns(&self) -> [String; 2] {
        ["tenantry_place", "tenantry_write"].map(|name| {
            let mut name = name.to_owned();
            while self.table.columns.contains(&name) {
                name.push('_');
            }
            name
        })
    }

    /// Creates the temporary table.
    pub(crate) fn create_sql(&self, to: &Subject) -> SqlStr {
        let [place, write] = self.own_columns();
        let mut sql = Sql::new("create temporary table ");
        self.name(&mut sql).text(" on commit drop as select null::pg_catalog.tid as ").name(&place);
        sql.text(", null::pg_catalog.\"char\" as ").name(&write);
        for column in &self.table.table.columns {
            sql.text(", s.").name(&column.name);
            if matches!(column.values, Values::Names(_)) {
                sql.text("::pg_catalog.text as ").name(&column.name);
            }
        }
        sql.text(" from only ");
        qualified(&mut sql, &to.schema, &self.table.name);
        sql.text(" as s with no data");
        sql.finish()
    }

    /// Fills it.
    pub(crate) fn copy_sql(&self) -> SqlStr {
        let mut sql = Sql::new("copy ");
        self.name(&mut sql).text(" from stdin");
        sql.finish()
    }

    fn value(&self, sql: &mut Sql, place: usize) {
        let column = &self.table.table.columns[place];
        sql.text("s.").name(&column.name);
        if let Values::Names(of_type) = column.values {
            sql.text("::pg_catalog.").text(of_type);
        }
    }

    /// Appends a statement that writes some of the rows, after the statement `after` on the same table.
    pub(super) fn write_sql(
        &self,
        sql: &mut Sql,
        to: &Subject,
        write: Write,
        after: Option<Write>,
    ) {
        let [place, letter] = self.own_columns();
        let columns = || self.table.columns.iter().enumerate();
        match write {
            Write::Delete => {
                sql.text("delete from only ");
                qualified(sql, &to.schema, &self.table.name);
                sql.text(" as t where t.ctid operator(pg_catalog.=) any (array(select s.")
                    .name(&place);
                sql.text(" from ");
            }
            Write::Update => {
                sql.text("update only ");
                qualified(sql, &to.schema, &self.table.name);
                sql.text(" as t set ");
                let mut is_first = true;
                for (index, column) in columns() {
                    let is_key = self.table.key.iter().any(|key| key.place == index);
                    if !is_key && !self.table.fixed.contains(column) {
                        sql.text(if is_first { "" } else { ", " }).assign(column);
                        self.value(sql, index);
                        is_first = false;
                    }
                }
                sql.text(" from ");
            }
            Write::Insert => {
                sql.text("insert into ");
                qualified(sql, &to.schema, &self.table.name);
                for (index, column) in columns() {
                    sql.text(if index == 0 { " as t (" } else { ", " }).name(column);
                }
                sql.text(") overriding system value select ");
                for (index, _) in columns() {
                    sql.text(if index == 0 { "" } else { ", " });
                    self.value(sql, index);
                }
                sql.text(" from ");
            }
        }
        self.name(sql).text(" as s where s.").name(&letter);
        sql.text(" operator(pg_catalog.=) ").literal(write.letter());
        sql.text("::pg_catalog.\"char\"");
        match write {
            Write::Delete => _ = sql.text("))"),
            Write::Update => _ = sql.text(" and t.ctid operator(pg_catalog.=) s.").name(&place),
            Write::Insert => {}
        }
        if let Some(after) = after {
            // The server runs the other statement to its end to answer this.
            sql.text(" and (select pg_catalog.count(*) from ").text(after.part());
            sql.number(self.number).text(") operator(pg_catalog.>=) 0");
        }
        sql.text(" returning 1");
    }

    /// Moves the sequences of the table's columns past the values that were written. Returns the names of those that
    /// were moved.
    pub(crate) async fn advance(
        &self,
        conn: &mut PgConnection,
        to: &Subject,
    ) -> Result<Vec<String>, Error> {
        let mut moved = Vec::new();
        let mut names = vec![&*self.table.name];
        // A partition's identity column has the sequence of the partitioned table.
        names.extend(Some(self.table.unit()).filter(|unit| *unit != self.table.name));
        for name in names {
            let mut sql = Sql::default();
            qualified(&mut sql, &to.schema, name);
            let mut oid = Sql::new("select ");
            oid.literal(sql.as_str())
                .text("::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int8");
            let row = sqlx::raw_sql(oid.finish()).fetch_one(&mut *conn).await?;
            for sequence in feeding(conn, &[row.try_get(0)?]).await? {
                if !self.table.columns.contains(&sequence.column) {
                    continue;
                }
                let [_, letter] = self.own_columns();
                let mut sql = Sql::new("select ");
                sql.text(sequence.latest())
                    .text("s.")
                    .name(&sequence.column)
                    .text(")::pg_catalog.int8 from ");
                self.name(&mut sql).text(" as s where s.").name(&letter);
                sql.text(" operator(pg_catalog.<>) 'd'::pg_catalog.\"char\"");
                let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?;
                if let Some(latest) = row.try_get(0)?
                    && sequence.advance(conn, latest).await?
                {
                    moved.push(sequence.name);
                }
            }
        }
        Ok(moved)
    }
}
