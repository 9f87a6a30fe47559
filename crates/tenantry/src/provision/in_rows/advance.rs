//! Lets sequences continue after ids that came with restored rows.

use sqlx::{PgConnection, Row};

use super::{collected::Collected, tables::Table};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
};

/// The greatest number of values to draw from a sequence one by one.
const DRAWN: i64 = 10_000;

/// A sequence that provides the values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sequence {
    oid: i64,
    name: String,
    column: String,
    /// The last value, or the one before the first.
    last: i64,
    increment: i64,
    /// The greatest value of the sequence that the column can have.
    greatest: i64,
}

/// What moves a sequence past a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Nothing,
    /// Draws this many values. This never sets the sequence back, whatever other sessions draw meanwhile.
    Draw(i64),
    /// Sets the sequence, which other sessions cannot have moved as far meanwhile.
    Set,
    /// Too few values would be left for all tenants.
    Refuse,
}

impl Sequence {
    fn move_past(&self, value: i64) -> Move {
        let distance = value.saturating_sub(self.last);
        if self.increment <= 0 || distance <= 0 {
            return Move::Nothing;
        }
        if value > self.greatest - self.greatest / 10 {
            return Move::Refuse;
        }
        let draws = (distance - 1) / self.increment + 1;
        if draws <= DRAWN { Move::Draw(draws) } else { Move::Set }
    }
}

/// Moves the sequences of a table past the ids that were inserted.
///
/// # Errors
///
/// [`RowsFile`](ErrorKind::RowsFile) if an id would use up the values of a sequence, which all tenants draw from.
pub(super) async fn advance(
    conn: &mut PgConnection,
    table: &Table,
    collected: &Collected<'_>,
) -> Result<(), Error> {
    for sequence in read(conn, table).await? {
        if !collected.copies.columns.contains(&sequence.column.as_str()) {
            continue;
        }
        let mut sql = Sql::new("select pg_catalog.max(x.");
        sql.name(&sequence.column).text(")::pg_catalog.int8 from ");
        collected.name(&mut sql).text(" x");
        let greatest: Option<i64> =
            sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
        let Some(greatest) = greatest else { continue };
        let mut sql = Sql::default();
        match sequence.move_past(greatest) {
            Move::Nothing => continue,
            Move::Draw(values) => {
                sql.text("select pg_catalog.count(pg_catalog.nextval(").integer(sequence.oid);
                sql.text(
                    "::pg_catalog.oid::pg_catalog.regclass)) from pg_catalog.generate_series(1, ",
                );
                sql.integer(values).text(")");
            }
            Move::Set => {
                // Another column may have the same sequence, and another restore may have moved it.
                sql.text("select pg_catalog.setval(s.oid, greatest(").integer(greatest);
                sql.text(", pg_catalog.pg_sequence_last_value(s.oid))) from (select ");
                sql.integer(sequence.oid).text("::pg_catalog.oid::pg_catalog.regclass as oid) s");
            }
            Move::Refuse => return Err(used_up(table, &sequence, greatest)),
        }
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    }
    Ok(())
}

fn used_up(table: &Table, sequence: &Sequence, value: i64) -> Error {
    let attempted = format!(
        "table {} has {value} as its {}, which would leave the sequence {} with less than a tenth of its values for \
         all tenants",
        table.name, sequence.column, sequence.name
    );
    Error::new(ErrorKind::RowsFile, attempted)
}

async fn read(conn: &mut PgConnection, table: &Table) -> Result<Vec<Sequence>, Error> {
    let rows = sqlx::query(SEQUENCES).bind(table.oid).persistent(false).fetch_all(conn).await?;
    let sequence = |row: &sqlx::postgres::PgRow| {
        Ok(Sequence {
            oid: row.try_get("oid")?,
            name: row.try_get("name")?,
            column: row.try_get("column")?,
            last: row.try_get("last")?,
            increment: row.try_get("increment")?,
            greatest: row.try_get("greatest")?,
        })
    };
    rows.iter().map(sequence).collect()
}

/// The sequences of a table's integer columns: of its identity columns, and in its defaults. Parameter: its oid.
const SEQUENCES: &str = "\
    select distinct s.seqrelid::pg_catalog.int8 as oid, c.relname::pg_catalog.text as name, \
      a.attname::pg_catalog.text as column, s.seqincrement as increment, \
      least(s.seqmax, case \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int2'::pg_catalog.regtype then 32767 \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int4'::pg_catalog.regtype then 2147483647 \
        end) as greatest, \
      coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid::pg_catalog.regclass), \
        s.seqstart operator(pg_catalog.-) s.seqincrement) as last \
    from pg_catalog.pg_attribute a \
    left join pg_catalog.pg_attrdef f on f.adrelid operator(pg_catalog.=) a.attrelid \
      and f.adnum operator(pg_catalog.=) a.attnum \
    join pg_catalog.pg_depend d on \
      (a.attidentity operator(pg_catalog.<>) '' \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.refobjid operator(pg_catalog.=) a.attrelid and d.refobjsubid operator(pg_catalog.=) a.attnum) \
      or (d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
        and d.objid operator(pg_catalog.=) f.oid \
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass) \
    join pg_catalog.pg_sequence s on s.seqrelid operator(pg_catalog.=) \
      case when a.attidentity operator(pg_catalog.<>) '' then d.objid else d.refobjid end \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) s.seqrelid \
    where a.attrelid::pg_catalog.int8 operator(pg_catalog.=) $1 and a.attnum operator(pg_catalog.>) 0 \
      and not a.attisdropped and a.attgenerated operator(pg_catalog.=) '' \
      and a.atttypid operator(pg_catalog.=) any (array['pg_catalog.int2', 'pg_catalog.int4', \
        'pg_catalog.int8']::pg_catalog.regtype[]) \
    order by 2, 3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_moved_past_a_value_and_never_back() {
        let sequence = Sequence {
            oid: 1,
            name: "users_id_seq".into(),
            column: "id".into(),
            last: 10,
            increment: 1,
            greatest: 2_147_483_647,
        };
        let moves =
            [5, 10, 11, 10_010, 10_011, 2_000_000_000, i64::MAX].map(|at| sequence.move_past(at));
        let expected = [
            Move::Nothing,
            Move::Nothing,
            Move::Draw(1),
            Move::Draw(10_000),
            Move::Set,
            Move::Refuse,
            Move::Refuse,
        ];
        assert_eq!(moves, expected);
        let by_ten = Sequence { increment: 10, ..sequence.clone() };
        assert_eq!([11, 20, 21].map(|at| by_ten.move_past(at)), [1, 1, 2].map(Move::Draw));
        let down = Sequence { increment: -1, last: -1, ..sequence };
        assert_eq!(down.move_past(5), Move::Nothing);
    }
}
