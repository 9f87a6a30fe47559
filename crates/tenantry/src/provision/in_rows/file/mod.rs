//! Writes and reads a file with the rows of a tenant.

mod reader;
mod writer;

use crate::error::{Error, ErrorKind};

pub(super) use reader::FileReader;
pub(super) use writer::FileWriter;

/// Where a file comes from.
pub(super) type Input<'a> = &'a mut (dyn tokio::io::AsyncRead + Send + Unpin);

/// Where a file goes.
pub(super) type Output<'a> = &'a mut (dyn tokio::io::AsyncWrite + Send + Unpin);

/// Refuses a file.
pub(super) fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::RowsFile, why.into())
}

fn failed(doing: &'static str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::RowsFile, doing).with_source(error)
}
