//! Copies the rows of a table from one session to another, through this process.

use futures_util::TryStreamExt;
use sqlx::PgConnection;

use super::{
    error::{failed, failed_in_secret, refused},
    plan::Table,
    progress::Counter,
    rows::{Kept, Way, copy_in_sql, copy_out_sql},
};
use crate::{anonymize::RowMasker, error::Error};

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
    mut masker: Option<&mut RowMasker>,
) -> Result<u64, Error> {
    let reading = |error| {
        let attempted = format!("reading the rows of the table {}", table.name);
        // An expression of a mask may fail with a value in its words.
        match table.is_masked {
            true => failed_in_secret(attempted, error),
            false => failed(attempted, error),
        }
    };
    let writing = || format!("writing the rows of the table {} of the copy", table.name);
    let out = copy_out_sql(way, table, kept);
    let mut rows = reader.copy_out_raw(out.as_str()).await.map_err(reading)?;
    let into = copy_in_sql(way, table);
    let mut copy = writer.copy_in_raw(into.as_str()).await.map_err(|e| failed(writing(), e))?;
    let (mut chunk, mut masked) = (Vec::with_capacity(CHUNK), Vec::new());
    let mut untold = 0;
    // Every message is a row.
    let mut mask = |chunk: &mut Vec<u8>| {
        if let Some(masker) = masker.as_deref_mut() {
            masked.clear();
            masker.mask_chunk(chunk, &mut masked).map_err(|error| {
                refused(format!("masking the rows of the table {}: {error}", table.name))
            })?;
            std::mem::swap(chunk, &mut masked);
        }
        Ok::<_, Error>(())
    };
    let streamed = async {
        while let Some(row) = rows.try_next().await.map_err(reading)? {
            chunk.extend_from_slice(&row);
            if chunk.len() < CHUNK {
                continue;
            }
            mask(&mut chunk)?;
            copy.send(&*chunk).await.map_err(|e| failed_in_secret(writing(), e))?;
            counter.bytes += chunk.len() as u64;
            untold += chunk.len() as u64;
            chunk.clear();
            if untold >= TOLD {
                untold = 0;
                counter.tell(Some(&table.name));
            }
        }
        mask(&mut chunk)?;
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
