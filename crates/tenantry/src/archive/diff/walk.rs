//! Walks along the rows of two tenants in the order of their key.

use std::{cmp::Ordering, ops::Range};

use futures_util::{StreamExt, stream::BoxStream};
use sqlx::{PgConnection, SqlStr};

use super::{Compared, RowDiff, RowFound, Side, TableDiff};
use crate::{
    anonymize::decoded_field,
    clone::{KeyOrder, KeyedTable},
    error::{Error, ErrorKind},
};

/// Compares a table with a key.
pub(super) async fn by_key(
    table: &KeyedTable,
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    most: usize,
) -> Result<TableDiff, Error> {
    let [first, second] = [&*one, &*other].map(|side| table.ordered_sql(side.from(), side.to()));
    let mut one = Rows::open(table, one.conn(), first).await?;
    let mut other = Rows::open(table, other.conn(), second).await?;
    let mut diff = TableDiff::new(table, Compared::Key);
    let (mut left, mut right) = (one.next().await?, other.next().await?);
    loop {
        let order = match (&left, &right) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.key.cmp(&right.key),
        };
        let has_room = diff.rows.len() < most;
        match (order, &left, &right) {
            (Ordering::Less, Some(row), _) => {
                diff.only_in_first += 1;
                if has_room {
                    diff.rows.push(row.told(RowFound::OnlyInFirst, Vec::new()));
                }
            }
            (Ordering::Greater, _, Some(row)) => {
                diff.only_in_second += 1;
                if has_room {
                    diff.rows.push(row.told(RowFound::OnlyInSecond, Vec::new()));
                }
            }
            (_, Some(row), Some(same)) if row.line != same.line => {
                diff.different += 1;
                if has_room {
                    diff.rows.push(row.told(RowFound::Different, row.differing(same, table)));
                }
            }
            _ => {}
        }
        if order != Ordering::Greater {
            diff.first_rows += 1;
            left = one.next().await?;
        }
        if order != Ordering::Less {
            diff.second_rows += 1;
            right = other.next().await?;
        }
    }
    Ok(diff)
}

/// The rows of a tenant, one at a time.
struct Rows<'a> {
    table: &'a KeyedTable,
    lines: BoxStream<'a, sqlx::Result<Vec<u8>>>,
}

impl<'a> Rows<'a> {
    async fn open(
        table: &'a KeyedTable,
        conn: &'a mut PgConnection,
        sql: SqlStr,
    ) -> Result<Self, Error> {
        let lines = conn.copy_out_raw(sql.as_str()).await.map_err(unread(table))?;
        // Every message is a row.
        let lines = lines.map(|line| line.map(|line| line.to_vec())).boxed();
        Ok(Self { table, lines })
    }

    async fn next(&mut self) -> Result<Option<Row>, Error> {
        match self.lines.next().await.transpose().map_err(unread(self.table))? {
            None => Ok(None),
            Some(line) => Row::new(line, self.table).map(Some),
        }
    }
}

fn unread(table: &KeyedTable) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        let error = Error::from(error);
        let attempted = format!("reading the rows of the table {}", table.name);
        Error::new(error.kind(), attempted).with_source(error)
    }
}

/// A row in the text format of `copy`.
struct Row {
    line: Vec<u8>,
    fields: Vec<Range<usize>>,
    key: Vec<Part>,
}

/// A value of a key, in the order in which the server reads rows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Integer(i64),
    Text(Vec<u8>),
}

impl Row {
    fn new(line: Vec<u8>, table: &KeyedTable) -> Result<Self, Error> {
        let mut line = line;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let mut fields = Vec::with_capacity(table.columns.len());
        let mut start = 0;
        // A tab in a value is written as `\t`.
        for field in line.split(|byte| *byte == b'\t') {
            fields.push(start..start + field.len());
            start += field.len() + 1;
        }
        let unexpected = || {
            let attempted =
                format!("reading the rows of the table {}: unexpected format", table.name);
            Error::new(ErrorKind::Database, attempted)
        };
        let key = table.key.iter().map(|column| {
            let field = fields.get(column.place).ok_or_else(unexpected)?;
            let value = decoded_field(&line[field.clone()]);
            match column.order {
                KeyOrder::Integer => {
                    let number =
                        std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                    number.map(Part::Integer).ok_or_else(unexpected)
                }
                KeyOrder::Uuid | KeyOrder::Text => Ok(Part::Text(value.into_owned())),
            }
        });
        let key = key.collect::<Result<_, Error>>()?;
        match fields.len() == table.columns.len() {
            true => Ok(Self { line, fields, key }),
            false => Err(unexpected()),
        }
    }

    fn field(&self, place: usize) -> &[u8] {
        self.fields.get(place).map_or(&[], |field| &self.line[field.clone()])
    }

    /// Returns the columns whose values differ.
    fn differing(&self, other: &Self, table: &KeyedTable) -> Vec<String> {
        let columns = table.columns.iter().enumerate();
        let differing = columns.filter(|(place, _)| self.field(*place) != other.field(*place));
        differing.map(|(_, name)| name.clone()).collect()
    }

    fn told(&self, found: RowFound, columns: Vec<String>) -> RowDiff {
        let value = |part: &Part| match part {
            Part::Integer(number) => number.to_string(),
            Part::Text(text) => String::from_utf8_lossy(text).into_owned(),
        };
        RowDiff { key: self.key.iter().map(value).collect(), found, columns }
    }
}
