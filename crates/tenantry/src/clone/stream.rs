//! Copies the rows of a table from one session to another, through this process.

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    error::{failed, failed_in_secret, refused},
    plan::Table,
    progress::Counter,
    rows::{Kept, Way, copy_in_sql, copy_out_sql},
};
use crate::{
    anonymize::{MaskError, RowMasker},
    error::Error,
};

/// The size of a chunk, in bytes.
const CHUNK: usize = 256 * 1024;

/// Copies the rows of a table. Returns their number, and the masks.
///
/// While a chunk is masked on a blocking thread, the previous one is sent and the next one is read.
///
/// If dropped midway, both sessions are in the middle of a copy, which the pool handles.
pub(super) async fn stream(
    way: Way<'_>,
    table: &Table,
    kept: Option<Kept>,
    reader: &mut PgConnection,
    writer: &mut PgConnection,
    counter: &mut Counter,
    masker: Option<RowMasker>,
) -> Result<(u64, Option<RowMasker>), Error> {
    let out = copy_out_sql(way, table, kept);
    let mut rows = reader.copy_out_raw(out.as_str()).await.map_err(|e| unread(table, e))?;
    let into = copy_in_sql(way, table);
    let copy = writer.copy_in_raw(into.as_str()).await;
    let mut copy = copy.map_err(|error| failed(writing(table), error))?;
    let mut masks = Masks::new(table, masker);
    let streamed = async {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            // Every message is a row.
            while chunk.len() < CHUNK
                && let Some(row) = rows.try_next().await.map_err(|e| unread(table, e))?
            {
                chunk.extend_from_slice(&row);
            }
            let is_last = chunk.is_empty();
            if let Some(masked) = masks.exchange(chunk).await? {
                copy.send(&*masked).await.map_err(|e| failed_in_secret(writing(table), e))?;
                counter.add(&table.name, masked.len() as u64);
            }
            if is_last {
                return Ok(());
            }
        }
    };
    match streamed.await {
        Ok(()) => {
            let rows = copy.finish().await.map_err(|e| failed_in_secret(writing(table), e))?;
            Ok((rows, masks.masker))
        }
        Err(error) => {
            // The server only responds that the copy was aborted.
            drop(copy.abort("the rows could not be read").await);
            Err(error)
        }
    }
}

fn unread(table: &Table, error: sqlx::Error) -> Error {
    let attempted = format!("reading the rows of the table {}", table.name);
    // An expression of a mask can fail with a message that quotes a value.
    match table.is_masked {
        true => failed_in_secret(attempted, error),
        false => failed(attempted, error),
    }
}

fn writing(table: &Table) -> String {
    format!("writing the rows of the table {} of the copy", table.name)
}

/// The masks, and a chunk that they were applied to.
type Masked = (RowMasker, Result<Vec<u8>, MaskError>);

/// Masks chunks, one behind the reader.
struct Masks<'a> {
    table: &'a Table,
    masker: Option<RowMasker>,
    at_work: Option<JoinHandle<Masked>>,
}

impl<'a> Masks<'a> {
    fn new(table: &'a Table, masker: Option<RowMasker>) -> Self {
        Self { table, masker, at_work: None }
    }

    /// Takes a chunk and returns one that can be sent: the previous one, masked. An empty one marks the end.
    async fn exchange(&mut self, chunk: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let ready = match self.at_work.take() {
            None => None,
            Some(at_work) => {
                let (masker, masked) = at_work.await.map_err(|_| self.failed("a mask panicked"))?;
                self.masker = Some(masker);
                Some(masked.map_err(|error| self.failed(&error.to_string()))?)
            }
        };
        match self.masker.take() {
            None => Ok(Some(chunk).filter(|chunk| !chunk.is_empty())),
            Some(masker) if chunk.is_empty() => {
                self.masker = Some(masker);
                Ok(ready)
            }
            Some(mut masker) => {
                self.at_work = Some(spawn_blocking(move || {
                    let mut masked = Vec::new();
                    let done = masker.mask_chunk(&chunk, &mut masked);
                    (masker, done.map(|()| masked))
                }));
                Ok(ready)
            }
        }
    }

    fn failed(&self, why: &str) -> Error {
        refused(format!("masking the rows of the table {}: {why}", self.table.name))
    }
}
