//! Lets the sequences of a copy continue at the source's values.

use std::ops::Range;

use sqlx::{PgConnection, Row, SqlStr};

use super::{
    error::failed,
    rows::{Way, qualified},
};
use crate::{error::Error, sql::Sql};

/// Sequences that are read in one statement.
const AT_ONCE: usize = 200;

/// The position of a sequence: its index in the list, its last value, and whether that value was used.
pub(super) type Position = (i64, i64, bool);

/// Reads where the sequences of the source are.
pub(super) async fn read(
    way: Way<'_>,
    sequences: &[String],
    conn: &mut PgConnection,
) -> Result<Vec<Position>, Error> {
    let mut positions = Vec::with_capacity(sequences.len());
    for start in (0..sequences.len()).step_by(AT_ONCE) {
        let end = sequences.len().min(start + AT_ONCE);
        let rows = sqlx::raw_sql(read_sql(way, sequences, start..end)).fetch_all(&mut *conn).await;
        let rows = rows.map_err(|error| failed("reading the sequences".into(), error))?;
        for row in &rows {
            positions.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
    }
    Ok(positions)
}

/// Sets the sequences of the copy to these positions.
pub(super) async fn set(
    way: Way<'_>,
    sequences: &[String],
    positions: &[Position],
    conn: &mut PgConnection,
) -> Result<(), Error> {
    for some in positions.chunks(AT_ONCE) {
        let mut sql = Sql::default();
        for position in some {
            set_sql(&mut sql, way, sequences, *position);
        }
        let set = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
        set.map_err(|error| failed("setting the sequences of the copy".into(), error))?;
    }
    Ok(())
}

fn read_sql(way: Way<'_>, sequences: &[String], part: Range<usize>) -> SqlStr {
    let mut sql = Sql::default();
    for (index, place) in part.enumerate() {
        sql.text(if index == 0 { "select " } else { " union all select " }).number(place as u64);
        sql.text("::pg_catalog.int8, last_value, is_called from ");
        qualified(&mut sql, &way.from.schema, &sequences[place]);
    }
    sql.finish()
}

pub(super) fn set_sql(
    sql: &mut Sql,
    way: Way<'_>,
    sequences: &[String],
    (place, last, called): Position,
) {
    let Some(sequence) = usize::try_from(place).ok().and_then(|place| sequences.get(place)) else {
        return;
    };
    let mut name = Sql::default();
    qualified(&mut name, &way.to.schema, sequence);
    sql.text("select pg_catalog.setval(").literal(name.as_str()).text("::pg_catalog.regclass, ");
    sql.integer(last).text(if called { ", true); " } else { ", false); " });
}
