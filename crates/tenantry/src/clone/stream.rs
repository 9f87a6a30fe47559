//! Copies the rows of a table from one session to another, through this process.

use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::{
    error::{failed, failed_in_secret},
    plan::Table,
    progress::Counter,
    rows::{Kept, Way, copy_in_sql, copy_out_sql},
};
use crate::error::Error;

/// What is collected before it is sent on, in bytes.
const CHUNK: usize = 256 * 1024;

/// How often progress is told, in bytes.
const TOLD: u64 = 1024 * 1024;

/// Copies the rows of a table. Returns how many.
///
/// When dropped in the middle, both sessions are in the middle of a copy, which the pool sees to.
pub(super) async fn stream(
    way: Way<'_>,
    table: &Table,
    kept: Option<Kept>,
    reader: &mut PgConnection,
    writer: &mut PgConnection,
    counter: &mut Counter,
) -> Result<u64, Error> {
    let reading = || format!("reading the rows of the table {}", table.name);
    let writing = || format!("writing the rows of the table {} of the copy", table.name);
    let out = copy_out_sql(way, table, kept);
    let mut rows = reader.copy_out_raw(out.as_str()).await.map_err(|e| failed(reading(), e))?;
    let into = copy_in_sql(way, table);
    let mut copy = writer.copy_in_raw(into.as_str()).await.map_err(|e| failed(writing(), e))?;
    let (mut chunk, mut untold) = (Vec::with_capacity(CHUNK), 0);
    let streamed = async {
        while let Some(row) = rows.try_next().await.map_err(|e| failed(reading(), e))? {
            chunk.extend_from_slice(&row);
            if chunk.len() < CHUNK {
                continue;
            }
            copy.send(&*chunk).await.map_err(|e| failed_in_secret(writing(), e))?;
            counter.bytes += chunk.len() as u64;
            untold += chunk.len() as u64;
            chunk.clear();
            if untold >= TOLD {
                untold = 0;
                counter.tell(Some(&table.name));
            }
        }
        copy.send(&*chunk).await.map_err(|e| failed_in_secret(writing(), e))?;
        counter.bytes += chunk.len() as u64;
        Ok(())
    };
    match streamed.await {
        Ok(()) => copy.finish().await.map_err(|e| failed_in_secret(writing(), e)),
        Err(error) => {
            // What the server says to that is that it was aborted.
            drop(copy.abort("the rows could not be read").await);
            Err(error)
        }
    }
}
