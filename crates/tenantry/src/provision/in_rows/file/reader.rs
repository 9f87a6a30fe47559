//! Reads a file, and checks that it is whole.

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::{Input, failed, refused};
use crate::{
    error::Error,
    hashed::hexadecimal,
    rows::file::{END_OF_ROWS, End, Header, MAGIC, Part, Rows, next_part, shown},
};

/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// The longest line that describes the file, in bytes.
const LONGEST_HEADER: usize = 16 * 1024 * 1024;

/// The longest of the other lines between rows, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// A file that is being read.
pub(in crate::provision::in_rows) struct FileReader<'a> {
    from: Input<'a>,
    /// What was read, from `taken` on.
    buffer: Vec<u8>,
    taken: usize,
    /// The hash of what was taken.
    hash: Sha256,
    begins_line: bool,
    rows: u64,
    tables: usize,
}

impl<'a> FileReader<'a> {
    /// Reads the lines that describe the file.
    pub(in crate::provision::in_rows) async fn open(
        from: Input<'a>,
    ) -> Result<(Self, Header), Error> {
        let (buffer, hash) = (Vec::new(), Sha256::new());
        let mut file = Self { from, buffer, taken: 0, hash, begins_line: true, rows: 0, tables: 0 };
        while file.left().len() < MAGIC.len() && file.read().await? {}
        if !file.left().starts_with(MAGIC) {
            return Err(refused(match file.left().starts_with(&MAGIC[..MAGIC.len() - 2]) {
                true => "its format is that of another version",
                false => "it is not a file with the rows of a tenant, as export_rows writes it",
            }));
        }
        file.take(MAGIC.len());
        let line = file.line(LONGEST_HEADER, "its header").await?;
        let header = Header::parse(&line);
        let header = header.map_err(|why| refused(format!("its header is damaged: {why}")))?;
        Ok((file, header))
    }

    /// Returns the next piece of a table's rows; `None` after the last one.
    pub(in crate::provision::in_rows) async fn rows(
        &mut self,
        table: &str,
    ) -> Result<Option<&[u8]>, Error> {
        loop {
            match next_part(self.left(), self.begins_line) {
                Part::Rows { bytes, ends_line } => {
                    self.begins_line = ends_line;
                    self.take(bytes);
                    return Ok(Some(&self.buffer[self.taken - bytes..self.taken]));
                }
                Part::End => {
                    self.take(END_OF_ROWS.len());
                    return Ok(None);
                }
                Part::More if self.read().await? => {}
                Part::More => {
                    return Err(refused(format!("it is cut off in the rows of table {table}")));
                }
            }
        }
    }

    /// Reads the line after the rows of a table, which has to count as many.
    pub(in crate::provision::in_rows) async fn end_table(
        &mut self,
        table: &str,
        rows: u64,
    ) -> Result<(), Error> {
        let line = self.line(LONGEST_LINE, "the line after the rows of a table").await?;
        let said = Rows::parse(&line);
        let said = said.map_err(|why| {
            refused(format!("it is damaged after the rows of table {table}: {why}"))
        })?;
        if said != (Rows { table: table.to_owned(), rows }) {
            return Err(refused(format!(
                "it is damaged: it has {rows} rows of table {table}, and {} of table {} by its own count",
                said.rows,
                shown(&said.table)
            )));
        }
        self.rows += rows;
        self.tables += 1;
        Ok(())
    }

    /// Reads the last line, which has to tell the hash of all others.
    pub(in crate::provision::in_rows) async fn end(mut self) -> Result<(), Error> {
        let hash = self.hash.clone();
        let line = self.line(LONGEST_LINE, "its last line").await?;
        let end = End::parse(&line);
        let end = end.map_err(|why| refused(format!("its last line is damaged: {why}")))?;
        let read = End { tables: self.tables, rows: self.rows, sha256: hexadecimal(hash) };
        if end != read {
            return Err(refused("it is damaged: its content is not what was written"));
        }
        if !self.left().is_empty() || self.read().await? {
            return Err(refused("it is damaged: there is more after its last line"));
        }
        Ok(())
    }

    async fn line(&mut self, longest: usize, what: &'static str) -> Result<Vec<u8>, Error> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = self.left()[looked_at..].iter().position(|byte| *byte == b'\n') {
                let line = self.left()[..looked_at + end].to_vec();
                self.take(looked_at + end + 1);
                self.begins_line = true;
                return Ok(line);
            }
            looked_at = self.left().len();
            if looked_at > longest {
                return Err(refused(format!("it is damaged: {what} is too long")));
            }
            if !self.read().await? {
                return Err(refused(format!("it is cut off before the end of {what}")));
            }
        }
    }

    fn left(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    fn take(&mut self, bytes: usize) {
        self.hash.update(&self.buffer[self.taken..self.taken + bytes]);
        self.taken += bytes;
    }

    /// Reads more. Returns `false` at the end.
    async fn read(&mut self) -> Result<bool, Error> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + PIECE, 0);
        let read = self.from.read(&mut self.buffer[before..]).await;
        self.buffer.truncate(before + read.as_ref().map_or(0, |read| *read));
        Ok(read.map_err(|error| failed("reading the file", error))? > 0)
    }
}
