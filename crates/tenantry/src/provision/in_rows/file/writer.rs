//! Writes a file, and hashes it.

use super::{Output, failed, refused};
use crate::{
    error::Error,
    hashed::Hashed,
    rows::file::{END_OF_ROWS, End, Header, MAGIC, Rows, line},
};

/// A file that is being written.
pub(in crate::provision::in_rows) struct FileWriter<'a>(Hashed<Output<'a>>);

impl<'a> FileWriter<'a> {
    pub(in crate::provision::in_rows) async fn begin(
        to: Output<'a>,
        header: &Header,
    ) -> Result<Self, Error> {
        let mut file = Self(Hashed::new(to));
        file.write(MAGIC).await?;
        file.write(&json(header)?).await?;
        Ok(file)
    }

    /// Writes rows, or a part of one.
    pub(in crate::provision::in_rows) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write(bytes).await.map_err(unwritten)
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
        self.0.spill().await.map_err(unwritten)?;
        let sha256 = self.0.sha256();
        self.write(&json(&End { tables, rows, sha256 })?).await?;
        self.0.flush().await.map_err(unwritten)?;
        Ok(self.0.bytes())
    }
}

fn unwritten(error: std::io::Error) -> Error {
    failed("writing the file", error)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    line(value).map_err(|error| refused(error.to_string()))
}
