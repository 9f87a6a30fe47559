//! Lets sequences continue after values that were written beside them.

use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{error::Error, sql::Sql, tenant::Ident};

/// The greatest number of values to draw from a sequence one by one.
const DRAWN: i64 = 10_000;

/// A sequence that provides the values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feeding {
    oid: i64,
    /// The oid of the column's table; 0 without one.
    pub(crate) table: i64,
    pub(crate) name: String,
    pub(crate) column: String,
    /// The last value, or the one before the first.
    pub(crate) last: i64,
    increment: i64,
    /// The greatest value of the sequence that the column can have.
    pub(crate) greatest: i64,
}

/// What moves a sequence past a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Nothing,
    /// Draws this many values. This never sets the sequence back, whatever other sessions draw meanwhile.
    Draw(i64),
    /// Sets the sequence, which other sessions cannot have moved as far meanwhile.
    Set,
}

impl Feeding {
    fn move_past(&self, value: i64) -> Move {
        let distance = value.saturating_sub(self.last);
        if self.increment <= 0 || distance <= 0 {
            return Move::Nothing;
        }
        let draws = (distance - 1) / self.increment + 1;
        if draws <= DRAWN { Move::Draw(draws) } else { Move::Set }
    }

    /// Returns `true` if the sequence has to be moved to be past a value, and less than a tenth of its values would
    /// be left.
    pub(crate) fn would_run_short(&self, value: i64) -> bool {
        self.move_past(value) != Move::Nothing && value > self.greatest - self.greatest / 10
    }

    /// Moves the sequence past a value. It is never set back, and a rollback does not undo it. Returns `true` if it was
    /// moved.
    pub(crate) async fn advance(&self, conn: &mut PgConnection, value: i64) -> sqlx::Result<bool> {
        let value = value.min(self.greatest);
        let mut sql = Sql::default();
        match self.move_past(value) {
            Move::Nothing => return Ok(false),
            Move::Draw(values) => {
                sql.text("select pg_catalog.count(pg_catalog.nextval(").integer(self.oid);
                sql.text(
                    "::pg_catalog.oid::pg_catalog.regclass)) from pg_catalog.generate_series(1, ",
                );
                sql.integer(values).text(")");
            }
            Move::Set => {
                // Another column may have the same sequence, and another session may have moved it.
                sql.text("select pg_catalog.setval(s.oid, greatest(").integer(value);
                sql.text(", pg_catalog.pg_sequence_last_value(s.oid))) from (select ");
                sql.integer(self.oid).text("::pg_catalog.oid::pg_catalog.regclass as oid) s");
            }
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await.map(|_| true)
    }
}

/// Reads the sequences that provide values of some tables' integer columns.
pub(crate) async fn feeding(
    conn: &mut PgConnection,
    tables: &[i64],
) -> Result<Vec<Feeding>, Error> {
    let rows = sqlx::query(SEQUENCES).bind(tables).persistent(false).fetch_all(conn).await?;
    rows.iter().map(read).collect()
}

/// Reads all sequences of a schema that the role may use, as if each had a column without a name and of its own type.
pub(crate) async fn sequences_of(
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<Vec<Feeding>, Error> {
    let rows = sqlx::query(ALL).bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<Feeding, Error> {
    Ok(Feeding {
        oid: row.try_get("oid")?,
        table: row.try_get("of_table")?,
        name: row.try_get("name")?,
        column: row.try_get("column")?,
        last: row.try_get("last")?,
        increment: row.try_get("increment")?,
        greatest: row.try_get("greatest")?,
    })
}

/// The sequences of a schema. Parameter: its name.
const ALL: &str = "\
    select s.seqrelid::pg_catalog.int8 as oid, 0::pg_catalog.int8 as of_table, c.relname::pg_catalog.text as name, \
      '' as column, \
      s.seqincrement as increment, s.seqmax as greatest, \
      coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid::pg_catalog.regclass), \
        s.seqstart operator(pg_catalog.-) s.seqincrement) as last \
    from pg_catalog.pg_sequence s \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) s.seqrelid \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname::pg_catalog.text operator(pg_catalog.=) $1 \
      and pg_catalog.has_sequence_privilege(s.seqrelid, 'usage') order by 2";

/// The sequences of tables' integer columns: of identity columns, and in defaults. Parameter: the oids of the tables.
const SEQUENCES: &str = "\
    select distinct s.seqrelid::pg_catalog.int8 as oid, a.attrelid::pg_catalog.int8 as of_table, \
      c.relname::pg_catalog.text as name, \
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
    where a.attrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and a.attnum operator(pg_catalog.>) 0 \
      and not a.attisdropped and a.attgenerated operator(pg_catalog.=) '' \
      and a.atttypid operator(pg_catalog.=) any (array['pg_catalog.int2', 'pg_catalog.int4', \
        'pg_catalog.int8']::pg_catalog.regtype[]) \
    order by 3, 4";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_moved_past_a_value_and_never_back() {
        let sequence = Feeding {
            oid: 1,
            table: 2,
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
            Move::Set,
            Move::Set,
        ];
        assert_eq!(moves, expected);
        let short = [5, 10_011, 2_000_000_000, i64::MAX].map(|at| sequence.would_run_short(at));
        assert_eq!(short, [false, false, true, true]);
        let by_ten = Feeding { increment: 10, ..sequence.clone() };
        assert_eq!([11, 20, 21].map(|at| by_ten.move_past(at)), [1, 1, 2].map(Move::Draw));
        let down = Feeding { increment: -1, last: -1, ..sequence };
        assert_eq!(down.move_past(5), Move::Nothing);
    }
}
