//! Walks along the rows of two tenants in the order of their key.

use std::{cmp::Ordering, mem::replace, ops::Range};

use futures_util::{StreamExt, stream::BoxStream};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, SqlStr};

use super::{Compared, RowDiff, RowFound, Side, TableDiff};
use crate::{
    anonymize::decoded_field,
    clone::{KeyOrder, KeyedTable, Reading, failed},
    error::{Error, ErrorKind},
};

/// Compares a table with a key.
pub(super) async fn by_key(
    table: &KeyedTable,
    one: &mut Side<'_>,
    other: &mut Side<'_>,
    most: usize,
) -> Result<TableDiff, Error> {
    let mut walk =
        Walk::begin(table, (one, Reading::default()), (other, Reading::default())).await?;
    let mut diff = TableDiff::new(table, Compared::Key);
    while let Some(pair) = walk.next().await? {
        diff.first_rows += u64::from(pair.first.is_some());
        diff.second_rows += u64::from(pair.second.is_some());
        let Some(found) = pair.found() else { continue };
        *match found {
            RowFound::OnlyInFirst => &mut diff.only_in_first,
            RowFound::OnlyInSecond => &mut diff.only_in_second,
            RowFound::Different => &mut diff.different,
        } += 1;
        if diff.rows.len() < most {
            diff.rows.push(pair.told(found, table));
        }
    }
    Ok(diff)
}

/// The rows of two tenants. It holds one of each.
pub(in crate::archive) struct Walk<'a> {
    one: Rows<'a>,
    other: Rows<'a>,
    left: Option<Row>,
    right: Option<Row>,
}

impl<'a> Walk<'a> {
    pub(in crate::archive) async fn begin(
        table: &'a KeyedTable,
        (one, first): (&'a mut Side<'_>, Reading<'_>),
        (other, second): (&'a mut Side<'_>, Reading<'_>),
    ) -> Result<Self, Error> {
        let places = [first.with_places, second.with_places];
        let [first, second] = [(&*one, first), (&*other, second)]
            .map(|(side, reading)| table.ordered_sql(side.from(), side.to(), reading));
        let mut one = Rows::open(table, one.conn(), first, places[0]).await?;
        let mut other = Rows::open(table, other.conn(), second, places[1]).await?;
        let (left, right) = (one.next().await?, other.next().await?);
        Ok(Self { one, other, left, right })
    }

    /// Returns the next row, of one tenant or of both.
    pub(in crate::archive) async fn next(&mut self) -> Result<Option<Pair>, Error> {
        let order = match (&self.left, &self.right) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.key.cmp(&right.key),
        };
        let first = match order {
            Ordering::Greater => None,
            _ => replace(&mut self.left, self.one.next().await?),
        };
        let second = match order {
            Ordering::Less => None,
            _ => replace(&mut self.right, self.other.next().await?),
        };
        Ok(Some(Pair { first, second }))
    }
}

/// A row of one tenant, or the rows of both with the same key.
pub(in crate::archive) struct Pair {
    pub(in crate::archive) first: Option<Row>,
    pub(in crate::archive) second: Option<Row>,
}

impl Pair {
    /// Returns how the two differ. `None` if they are the same.
    pub(in crate::archive) fn found(&self) -> Option<RowFound> {
        match (&self.first, &self.second) {
            (Some(first), Some(second)) => {
                (first.line != second.line).then_some(RowFound::Different)
            }
            (Some(_), None) => Some(RowFound::OnlyInFirst),
            (None, Some(_)) => Some(RowFound::OnlyInSecond),
            (None, None) => None,
        }
    }

    /// Returns the values of the key, as text.
    pub(in crate::archive) fn key(&self) -> Vec<String> {
        let value = |part: &Part| match part {
            Part::Integer(number) => number.to_string(),
            Part::Text(text) => String::from_utf8_lossy(text).into_owned(),
        };
        let row = self.first.as_ref().or(self.second.as_ref());
        row.map(|row| row.key.iter().map(value).collect()).unwrap_or_default()
    }

    /// Returns the difference in words.
    fn told(&self, found: RowFound, table: &KeyedTable) -> RowDiff {
        RowDiff { key: self.key(), found, columns: self.columns(table), hash: self.hash() }
    }

    /// Returns the columns whose values differ, of a row that both have.
    pub(in crate::archive) fn columns(&self, table: &KeyedTable) -> Vec<String> {
        match (&self.first, &self.second) {
            (Some(first), Some(second)) => first.differing(second, table),
            _ => Vec::new(),
        }
    }

    /// Returns the SHA-256 of both rows. A line has no line break.
    pub(in crate::archive) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for row in [&self.first, &self.second] {
            if let Some(row) = row {
                hash.update(b"+");
                hash.update(&row.line);
            }
            hash.update(b"\n");
        }
        crate::hashed::hexadecimal(hash)
    }
}

/// The rows of a tenant, one at a time.
struct Rows<'a> {
    table: &'a KeyedTable,
    with_places: bool,
    lines: BoxStream<'a, sqlx::Result<Vec<u8>>>,
}

impl<'a> Rows<'a> {
    async fn open(
        table: &'a KeyedTable,
        conn: &'a mut PgConnection,
        sql: SqlStr,
        with_places: bool,
    ) -> Result<Self, Error> {
        let lines = conn.copy_out_raw(sql.as_str()).await.map_err(unread(table))?;
        // Every message is a row.
        let lines = lines.map(|line| line.map(|line| line.to_vec())).boxed();
        Ok(Self { table, with_places, lines })
    }

    async fn next(&mut self) -> Result<Option<Row>, Error> {
        match self.lines.next().await.transpose().map_err(unread(self.table))? {
            None => Ok(None),
            Some(line) => {
                let row = Row::new(line, self.table, self.with_places);
                row.map(Some).ok_or_else(|| unexpected(self.table))
            }
        }
    }
}

fn unread(table: &KeyedTable) -> impl Fn(sqlx::Error) -> Error {
    |error| failed(format!("reading the rows of the table {}", table.name), error)
}

fn unexpected(table: &KeyedTable) -> Error {
    let attempted = format!("reading the rows of the table {}: unexpected format", table.name);
    Error::new(ErrorKind::Database, attempted)
}

/// A row in the text format of `copy`.
pub(in crate::archive) struct Row {
    pub(in crate::archive) line: Vec<u8>,
    /// Its place in the table, if it was read.
    pub(in crate::archive) place: Vec<u8>,
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
    /// Reads a line. `None` if it has not the columns of the table.
    fn new(mut line: Vec<u8>, table: &KeyedTable, with_place: bool) -> Option<Self> {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let mut place = Vec::new();
        if with_place {
            let tab = line.iter().rposition(|byte| *byte == b'\t')?;
            place = line.split_off(tab).split_off(1);
        }
        let mut fields = Vec::with_capacity(table.columns.len());
        let mut start = 0;
        // A tab in a value is written as `\t`.
        for field in line.split(|byte| *byte == b'\t') {
            fields.push(start..start + field.len());
            start += field.len() + 1;
        }
        let key = table.key.iter().map(|column| {
            let value = decoded_field(&line[fields.get(column.place)?.clone()]);
            match column.order {
                KeyOrder::Integer => {
                    let text = std::str::from_utf8(&value).ok()?;
                    text.parse().ok().map(Part::Integer)
                }
                KeyOrder::Uuid | KeyOrder::Text => Some(Part::Text(value.into_owned())),
            }
        });
        let key = key.collect::<Option<_>>()?;
        (fields.len() == table.columns.len()).then_some(Self { line, place, fields, key })
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
}
