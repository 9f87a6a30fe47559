//! Writes a file, and hashes it.

use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{Output, failed, refused};
use crate::{
    error::Error,
    rows::file::{END_OF_ROWS, End, Header, MAGIC, Rows, line},
};

/// The size of a piece, in bytes.
const PIECE: usize = 64 * 1024;

/// A file that is being written.
pub(in crate::provision::in_rows) struct FileWriter<'a> {
    to: Output<'a>,
    buffer: Vec<u8>,
    hash: Sha256,
    bytes: u64,
}

impl<'a> FileWriter<'a> {
    pub(in crate::provision::in_rows) async fn begin(
        to: Output<'a>,
        header: &Header,
    ) -> Result<Self, Error> {
        let (buffer, hash) = (Vec::with_capacity(PIECE), Sha256::new());
        let mut file = Self { to, buffer, hash, bytes: 0 };
        file.write(MAGIC).await?;
        file.write(&json(header)?).await?;
        Ok(file)
    }

    /// Writes rows, or a part of one.
    pub(in crate::provision::in_rows) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.flush().await
    }

    /// Ends the rows of a table.
    pub(in crate::provision::in_rows) async fn end_table(
        &mut self,
        table: &str,
        rows: u64,
    ) -> Result<(), Error> {
        self.write(END_OF_ROWS).await?;
        self.write(&json(&Rows { table: table.to_owned(), rows })?).await
    }

    /// Ends the file. Returns its size in bytes.
    pub(in crate::provision::in_rows) async fn end(
        mut self,
        tables: usize,
        rows: u64,
    ) -> Result<u64, Error> {
        self.flush().await?;
        let sha256 = hexadecimal(self.hash.clone());
        self.write(&json(&End { tables, rows, sha256 })?).await?;
        self.flush().await?;
        self.to.flush().await.map_err(|error| failed("writing the file", error))?;
        Ok(self.bytes)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let written = self.to.write_all(&self.buffer).await;
        written.map_err(|error| failed("writing the file", error))?;
        self.hash.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

pub(super) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    line(value).map_err(|error| refused(error.to_string()))
}
