//! The rows of a file, on their way into the tables of all tenants.

use sqlx::{PgConnection, Row, postgres::PgDatabaseError};

use super::{
    advance::advance,
    collected::Collected,
    copies::in_order,
    file::{FileReader, refused},
    fit::Fit,
    tables::{ForeignKey, Table},
};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::Error,
    rows::file::{Counter, rows_in},
    sql::Sql,
};

/// The rows of a file, in a temporary table for each table.
pub(super) struct Received<'a> {
    pub(super) site: &'a Site,
    pub(super) of: &'a RowsOfTenant,
    pub(super) tables: &'a [Table],
    pub(super) fits: &'a [Fit<'a>],
}

impl<'a> Received<'a> {
    /// Reads the rows of all tables into temporary ones. Returns the number of rows of each.
    pub(super) async fn read(
        &self,
        conn: &mut PgConnection,
        file: &mut FileReader<'_>,
        mut counter: Counter<'_>,
    ) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::new();
        for (number, fit) in self.fits.iter().enumerate() {
            let before = counter.rows();
            self.create(conn, number, fit).await?;
            let copied = self.copy(conn, number, fit, file, &mut counter).await?;
            let (table, rows) = (fit.copies.table, counter.rows() - before);
            if copied != rows {
                return Err(refused(format!(
                    "the file is damaged: PostgreSQL reads {copied} of {rows} rows of table {table}"
                )));
            }
            file.end_table(table, rows).await?;
            counter.end(table);
            numbers.push(rows);
        }
        Ok(numbers)
    }

    async fn create(
        &self,
        conn: &mut PgConnection,
        number: usize,
        fit: &Fit<'_>,
    ) -> Result<(), Error> {
        let collected = self.collected(number);
        let mut sql = Sql::default();
        collected.create(&mut sql);
        for (place, column) in fit.columns.iter().enumerate() {
            sql.text(if place == 0 { "x." } else { ", x." }).name(column);
        }
        collected.table(sql.text(" from "), self.site).text(" x with no data");
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        Ok(())
    }

    /// Copies the rows of a table. Returns how many the server has read.
    async fn copy(
        &self,
        conn: &mut PgConnection,
        number: usize,
        fit: &Fit<'_>,
        file: &mut FileReader<'_>,
        counter: &mut Counter<'_>,
    ) -> Result<u64, Error> {
        let table = fit.copies.table;
        let unfit = |error| unfit(table, error);
        let mut sql = Sql::new("copy ");
        self.collected(number).name(&mut sql).text(" from stdin");
        let mut copy = conn.copy_in_raw(sql.finish().as_str()).await.map_err(unfit)?;
        let sent = async {
            while let Some(rows) = file.rows(table).await? {
                copy.send(rows).await.map_err(unfit)?;
                counter.add(table, rows_in(rows), rows.len());
            }
            Ok(())
        };
        match sent.await {
            Ok(()) => copy.finish().await.map_err(unfit),
            Err(error) => {
                // The server only responds that the copy was aborted.
                drop(copy.abort("the file cannot be used").await);
                Err(error)
            }
        }
    }

    /// Inserts the rows into the tables of all tenants: tables that are referred to first, and those that refer to each
    /// other in a circle in one statement, after which foreign keys are checked.
    pub(super) async fn insert(&self, conn: &mut PgConnection, rows: &[u64]) -> Result<(), Error> {
        for together in in_order(self.tables) {
            let has_place = |place: &usize| self.fits.iter().position(|fit| fit.place == *place);
            let numbers: Vec<_> = together.iter().filter_map(has_place).collect();
            if numbers.is_empty() {
                continue;
            }
            let inserted = sqlx::raw_sql(self.insert_sql(&numbers)).fetch_one(&mut *conn).await;
            let inserted = inserted.map_err(|error| self.not_inserted(&numbers, error))?;
            for (place, number) in numbers.iter().enumerate() {
                let count = u64::try_from(inserted.try_get::<i64, _>(place)?).unwrap_or_default();
                if count != rows[*number] {
                    return Err(changed(self.fits[*number].copies.table));
                }
            }
        }
        Ok(())
    }

    fn insert_sql(&self, numbers: &[usize]) -> sqlx::SqlStr {
        let alias = |place: usize| format!("i{place}");
        let mut sql = Sql::default();
        for (place, number) in numbers.iter().enumerate() {
            sql.text(if place == 0 { "with " } else { ", " }).name(&alias(place)).text(" as (");
            self.collected(*number).insert(&mut sql, self.site, self.of);
            sql.text(" returning 1)");
        }
        for place in 0..numbers.len() {
            sql.text(if place == 0 { " select " } else { ", " });
            sql.text("(select pg_catalog.count(*) from ").name(&alias(place)).text(")");
        }
        sql.finish()
    }

    /// Checks what was inserted, and moves the sequences.
    pub(super) async fn check(&self, conn: &mut PgConnection) -> Result<(), Error> {
        for (number, fit) in self.fits.iter().enumerate() {
            let (collected, table) = (self.collected(number), &self.tables[fit.place]);
            if !collected.is_inserted(conn, self.site, self.of, &Sql::default()).await? {
                return Err(changed(fit.copies.table));
            }
            self.refuse_strangers(conn, table, &Sql::default()).await?;
        }
        let all = self.fits.iter().enumerate();
        let all = all.map(|(number, fit)| (&self.tables[fit.place], self.collected(number)));
        advance(conn, &all.collect::<Vec<_>>()).await
    }

    /// Refuses rows that refer to rows of another tenant, which a foreign key without the tenant column allows; of the
    /// rows `x` for which the rest of a condition holds.
    pub(super) async fn refuse_strangers(
        &self,
        conn: &mut PgConnection,
        table: &Table,
        only: &Sql,
    ) -> Result<(), Error> {
        for key in table.foreign_keys.iter().filter(|key| !key.is_keyed) {
            self.refuse_strangers_by(conn, table, key, only).await?;
        }
        Ok(())
    }

    async fn refuse_strangers_by(
        &self,
        conn: &mut PgConnection,
        table: &Table,
        key: &ForeignKey,
        only: &Sql,
    ) -> Result<(), Error> {
        let Some(target) = key.target(self.tables) else { return Ok(()) };
        let mut sql = Sql::new("select exists (select from ");
        table.named(&mut sql, &self.site.schema).text(" x where ");
        table.is_tenants(&mut sql, "x", self.of).sql(only);
        for (own, _) in &key.columns {
            sql.text(" and x.").name(own).text(" is not null");
        }
        sql.text(" and not exists (select from ");
        self.tables[target].named(&mut sql, &self.site.schema).text(" y where ");
        self.tables[target].is_tenants(&mut sql, "y", self.of);
        for (own, theirs) in &key.columns {
            sql.text(" and y.").name(theirs).text(" operator(pg_catalog.=) x.").name(own);
        }
        sql.text("))");
        match sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)? {
            false => Ok(()),
            true => Err(refused(format!(
                "rows of table {} refer to rows of table {} that are another tenant's, by the foreign key {}",
                table.name, self.tables[target].name, key.name
            ))),
        }
    }

    fn collected(&self, number: usize) -> Collected<'a> {
        Collected { copies: &self.fits[number].copies, number: number as u64 }
    }

    /// Tells why rows cannot be inserted.
    fn not_inserted(&self, numbers: &[usize], error: sqlx::Error) -> Error {
        let names: Vec<_> = numbers.iter().map(|number| self.fits[*number].copies.table).collect();
        let answer = error.as_database_error().and_then(|error| error.try_downcast_ref());
        let constraint = answer.and_then(|answer: &PgDatabaseError| answer.constraint());
        let unique = numbers.iter().flat_map(|number| {
            let table = &self.tables[self.fits[*number].place];
            table.unique_keys.iter().map(move |unique| (table, unique))
        });
        let mut shared = unique.filter(|(_, unique)| !unique.is_keyed);
        let taken = shared.find(|(_, unique)| Some(&*unique.name) == constraint);
        let attempted = match taken {
            Some((table, unique)) => format!(
                "another tenant has values of table {} that its unique key {} allows once among all tenants: restore \
                 with new ids, or in another database",
                table.name, unique.name
            ),
            None => format!("inserting the rows of table {}", names.join(", ")),
        };
        let error = Error::from(error);
        Error::new(error.kind(), attempted).with_source(error)
    }
}

fn unfit(table: &str, error: sqlx::Error) -> Error {
    let error = Error::from(error);
    let attempted = format!("reading the rows of table {table} in the file");
    Error::new(error.kind(), attempted).with_source(error)
}

fn changed(table: &str) -> Error {
    refused(format!(
        "table {table} has other rows than the file: a trigger or a rule changes what is inserted"
    ))
}
