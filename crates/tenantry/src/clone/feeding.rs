//! Lets sequences continue after values that were written beside them.

use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{error::Error, sql::Sql, tenant::Ident};

/// The greatest number of values to draw from a sequence one by one.
const DRAWN: u64 = 10_000;

/// Sequences that are read in one statement.
const AT_ONCE: usize = 200;

/// A sequence that provides the values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feeding {
    oid: i64,
    schema: String,
    /// The oid of the column's table; 0 without one.
    pub(crate) table: i64,
    pub(crate) name: String,
    pub(crate) column: String,
    /// The last value, or the one before the next.
    pub(crate) last: i64,
    position: Position,
    /// Negative if it counts down.
    increment: i64,
    /// Where its values begin.
    first: i64,
    /// The last value that both the sequence and the column can have.
    end: i64,
}

/// What is known of the position of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// It was read, and the role can read the sequence again.
    Readable,
    /// It is known from a value that was drawn. The role can use the sequence, and not read it.
    Drawn,
    /// No value was drawn since the sequence was created or set: it is assumed to be at its start.
    Unknown,
}

/// What moves a sequence past a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Nothing,
    /// Draws this many values. This never sets the sequence back, whatever other sessions draw meanwhile.
    Draw(u64),
    /// Sets the sequence, which other sessions cannot have moved as far meanwhile.
    Set,
}

impl Feeding {
    fn counts_down(&self) -> bool {
        self.increment < 0
    }

    /// Returns how far it is from one value to another, in the direction of the sequence.
    fn distance(&self, from: i64, to: i64) -> i128 {
        let up = i128::from(to) - i128::from(from);
        if self.counts_down() { -up } else { up }
    }

    /// Returns the aggregate of the latest of some values in the order of the sequence, up to its parenthesis.
    pub(crate) fn latest(&self) -> &'static str {
        if self.counts_down() { "pg_catalog.min(" } else { "pg_catalog.max(" }
    }

    fn move_past(&self, value: i64) -> Move {
        let distance = self.distance(self.last, value);
        if distance <= 0 {
            return Move::Nothing;
        }
        let step = i128::from(self.increment.unsigned_abs().max(1));
        match u64::try_from((distance - 1) / step + 1) {
            Ok(draws) if draws <= DRAWN => Move::Draw(draws),
            _ => Move::Set,
        }
    }

    /// Returns `true` if the sequence has to be moved to be past a value, and less than a tenth of its values would
    /// be left.
    pub(crate) fn would_run_short(&self, value: i64) -> bool {
        let all = self.distance(self.first, self.end);
        self.move_past(value) != Move::Nothing && self.distance(value, self.end) < all / 10
    }

    /// Moves the sequence past a value. It is never set back, and a rollback does not undo it. Returns `true` if it was
    /// moved.
    pub(crate) async fn advance(&self, conn: &mut PgConnection, value: i64) -> sqlx::Result<bool> {
        let value = if self.distance(value, self.end) < 0 { self.end } else { value };
        if self.position != Position::Unknown {
            return self.advance_from_last(conn, value).await;
        }
        if self.distance(self.first, value) < 0 {
            return Ok(false);
        }
        // A number is lost, and an assumption could set the sequence back.
        let mut sql = Sql::new("select pg_catalog.nextval(");
        sql.integer(self.oid).text("::pg_catalog.oid::pg_catalog.regclass)");
        let last = sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)?;
        let drawn = Self { last, position: Position::Drawn, ..self.clone() };
        drawn.advance_from_last(conn, value).await.map(|_| true)
    }

    async fn advance_from_last(&self, conn: &mut PgConnection, value: i64) -> sqlx::Result<bool> {
        let mut sql = Sql::default();
        match self.move_past(value) {
            Move::Nothing => return Ok(false),
            Move::Draw(values) => {
                sql.text("select pg_catalog.count(pg_catalog.nextval(").integer(self.oid);
                sql.text(
                    "::pg_catalog.oid::pg_catalog.regclass)) from pg_catalog.generate_series(1, ",
                );
                sql.number(values).text(")");
            }
            Move::Set => self.set_sql(&mut sql, value),
        }
        sqlx::raw_sql(sql.finish()).execute(conn).await.map(|_| true)
    }

    /// Appends a statement that sets the sequence to a value, unless it is past it already: another column may have the
    /// same sequence, and another session may have moved it.
    fn set_sql(&self, sql: &mut Sql, value: i64) {
        let (latest, is_before) = match self.counts_down() {
            true => ("::pg_catalog.regclass, least(", "operator(pg_catalog.>=) "),
            false => ("::pg_catalog.regclass, greatest(", "operator(pg_catalog.<=) "),
        };
        sql.text("select pg_catalog.setval(").integer(self.oid).text("::pg_catalog.oid");
        sql.text(latest).integer(value);
        match self.position {
            Position::Readable => {
                // A value that was not used yet is the next one.
                sql.text(", s.last_value), s.is_called or s.last_value ").text(is_before);
                sql.integer(value).text(") from ").name(&self.schema).text(".").name(&self.name);
                sql.text(" as s");
            }
            Position::Drawn | Position::Unknown => {
                sql.text(", pg_catalog.pg_sequence_last_value(").integer(self.oid);
                sql.text("::pg_catalog.oid::pg_catalog.regclass)))");
            }
        }
    }
}

/// Reads the sequences that provide values of some tables' integer columns.
pub(crate) async fn feeding(
    conn: &mut PgConnection,
    tables: &[i64],
) -> Result<Vec<Feeding>, Error> {
    let query = sqlx::query(SEQUENCES).bind(tables).persistent(false);
    let rows = query.fetch_all(&mut *conn).await?;
    read(conn, &rows).await
}

/// Reads all sequences of a schema that the role may use, as if each had a column without a name and of its own type.
pub(crate) async fn sequences_of(
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<Vec<Feeding>, Error> {
    let query = sqlx::query(ALL).bind(schema.as_str()).persistent(false);
    let rows = query.fetch_all(&mut *conn).await?;
    read(conn, &rows).await
}

/// Completes the sequences with the positions of those that have no last value: as the server tells it, a sequence has
/// none until a value is drawn, also if it was restarted at another value.
async fn read(conn: &mut PgConnection, rows: &[PgRow]) -> Result<Vec<Feeding>, Error> {
    let mut sequences = Vec::with_capacity(rows.len());
    let mut unused = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let last: Option<i64> = row.try_get("last")?;
        let is_readable: bool = row.try_get("readable")?;
        let (start, increment): (i64, i64) = (row.try_get("start")?, row.try_get("increment")?);
        let position = match (last, is_readable) {
            (_, true) => Position::Readable,
            (Some(_), false) => Position::Drawn,
            (None, false) => Position::Unknown,
        };
        if last.is_none() && is_readable {
            unused.push(place);
        }
        sequences.push(Feeding {
            oid: row.try_get("oid")?,
            schema: row.try_get("schema")?,
            table: row.try_get("of_table")?,
            name: row.try_get("name")?,
            column: row.try_get("column")?,
            last: last.unwrap_or_else(|| start.saturating_sub(increment)),
            position,
            increment,
            first: row.try_get("first")?,
            end: row.try_get("end")?,
        });
    }
    for some in unused.chunks(AT_ONCE) {
        let mut sql = Sql::default();
        for (index, place) in some.iter().enumerate() {
            let Some(Feeding { schema, name, .. }) = sequences.get(*place) else { continue };
            sql.text(if index == 0 { "select " } else { " union all select " });
            sql.number(*place as u64).text("::pg_catalog.int8, s.last_value, s.is_called from ");
            sql.name(schema).text(".").name(name).text(" as s");
        }
        for row in sqlx::raw_sql(sql.finish()).fetch_all(&mut *conn).await? {
            let place = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
            let Some(sequence) = sequences.get_mut(place) else { continue };
            let (value, is_called): (i64, bool) = (row.try_get(1)?, row.try_get(2)?);
            let before = value.saturating_sub(sequence.increment);
            sequence.last = if is_called { value } else { before };
        }
    }
    Ok(sequences)
}

/// The sequences of a schema. Parameter: its name.
const ALL: &str = "\
    select s.seqrelid::pg_catalog.int8 as oid, 0::pg_catalog.int8 as of_table, c.relname::pg_catalog.text as name, \
      '' as column, \
      s.seqincrement as increment, \
      case when s.seqincrement operator(pg_catalog.>) 0 \
        then case when s.seqmax operator(pg_catalog.>) 0 then greatest(s.seqmin, 0) else s.seqmin end \
        else case when s.seqmin operator(pg_catalog.<) 0 then least(s.seqmax, 0) else s.seqmax end end as first, \
      case when s.seqincrement operator(pg_catalog.>) 0 then s.seqmax else s.seqmin end as end, \
      s.seqstart as start, pg_catalog.pg_sequence_last_value(s.seqrelid::pg_catalog.regclass) as last, \
      n.nspname::pg_catalog.text as schema, pg_catalog.has_sequence_privilege(s.seqrelid, 'select') \
        and pg_catalog.has_schema_privilege(n.oid, 'usage') as readable \
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
      case when s.seqincrement operator(pg_catalog.>) 0 \
        then case when s.seqmax operator(pg_catalog.>) 0 then greatest(s.seqmin, 0) else s.seqmin end \
        else case when s.seqmin operator(pg_catalog.<) 0 then least(s.seqmax, 0) else s.seqmax end end as first, \
      case when s.seqincrement operator(pg_catalog.>) 0 then least(s.seqmax, case \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int2'::pg_catalog.regtype then 32767 \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int4'::pg_catalog.regtype then 2147483647 end) \
      else greatest(s.seqmin, case \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int2'::pg_catalog.regtype then -32768 \
        when a.atttypid operator(pg_catalog.=) 'pg_catalog.int4'::pg_catalog.regtype then -2147483648 end) end as end, \
      s.seqstart as start, pg_catalog.pg_sequence_last_value(s.seqrelid::pg_catalog.regclass) as last, \
      n.nspname::pg_catalog.text as schema, pg_catalog.has_sequence_privilege(s.seqrelid, 'select') \
        and pg_catalog.has_schema_privilege(n.oid, 'usage') as readable \
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
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
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
            schema: "tenant_a".into(),
            table: 2,
            name: "users_id_seq".into(),
            column: "id".into(),
            last: 10,
            position: Position::Readable,
            increment: 1,
            first: 1,
            end: 2_147_483_647,
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
        let down = Feeding { increment: -1, last: -1, first: -1, end: -2_147_483_648, ..sequence };
        let moves = [5, -1, -2, -10_001, -10_002, i64::MIN].map(|at| down.move_past(at));
        let expected =
            [Move::Nothing, Move::Nothing, Move::Draw(1), Move::Draw(10_000), Move::Set, Move::Set];
        assert_eq!(moves, expected);
        let short = [5, -10_002, -2_000_000_000, i64::MIN].map(|at| down.would_run_short(at));
        assert_eq!(short, [false, false, true, true]);
    }
}
