//! Files with the rows of tables: what is written to them and read from them, with their hashes.

use std::{io, path::Path};

use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncReadExt};

use super::packed::PackedFile;
use crate::{
    error::{Error, ErrorKind},
    hashed::{Hashed, hexadecimal},
};

/// How much is read at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// A file that is being written.
pub(crate) struct FileWriter {
    name: String,
    to: Hashed<File>,
}

impl FileWriter {
    /// Creates the file. It must not exist.
    pub(crate) async fn create(folder: &Path, name: String) -> Result<Self, Error> {
        let created = File::create_new(folder.join(&name)).await;
        let file = created.map_err(|error| unwritten(&name, error))?;
        Ok(Self { name, to: Hashed::new(file) })
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.to.write(bytes).await.map_err(|error| unwritten(&self.name, error))
    }

    /// Writes everything to the disk.
    pub(crate) async fn end(mut self) -> Result<PackedFile, Error> {
        let ended = self.to.flush().await;
        ended.map_err(|error| unwritten(&self.name, error))?;
        let (bytes, sha256) = (self.to.bytes(), self.to.sha256());
        let synced = self.to.into_inner().sync_all().await;
        synced.map_err(|error| unwritten(&self.name, error))?;
        Ok(PackedFile { name: self.name, bytes, sha256 })
    }
}

/// A file that is being read.
pub(crate) struct FileReader<'a> {
    of: &'a PackedFile,
    from: File,
    hash: Sha256,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> FileReader<'a> {
    pub(crate) async fn open(folder: &Path, of: &'a PackedFile) -> Result<Self, Error> {
        let opened = File::open(folder.join(&of.name)).await;
        let from = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused(format!("its file {} is missing", of.name)),
            _ => unread(&of.name, error),
        })?;
        let buffer = vec![0; PIECE];
        Ok(Self { of, from, hash: Sha256::new(), bytes: 0, buffer })
    }

    /// Returns the next piece; `None` at the end, if the file is as it was written.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        let read = self.from.read(&mut self.buffer).await;
        let read = read.map_err(|error| unread(&self.of.name, error))?;
        self.bytes += read as u64;
        let PackedFile { name, bytes, sha256 } = self.of;
        if self.bytes > *bytes || read == 0 && self.bytes < *bytes {
            return Err(self.wrong_size().await);
        }
        if read == 0 {
            let found = hexadecimal(self.hash.clone());
            return match found == *sha256 {
                true => Ok(None),
                false => Err(refused(format!(
                    "its file {name} is damaged: the SHA-256 is {found}, and was {}",
                    crate::plain::clipped(sha256, 64)
                ))),
            };
        }
        self.hash.update(&self.buffer[..read]);
        Ok(Some(&self.buffer[..read]))
    }

    async fn wrong_size(&self) -> Error {
        let size = self.from.metadata().await.map_or(self.bytes, |found| found.len());
        let PackedFile { name, bytes, .. } = self.of;
        refused(format!("its file {name} is damaged: it has {size} bytes, and had {bytes}"))
    }
}

/// Checks that a file is as it was written.
pub(crate) async fn check_file(folder: &Path, of: &PackedFile) -> Result<(), Error> {
    let mut file = FileReader::open(folder, of).await?;
    while file.next().await?.is_some() {}
    Ok(())
}

/// Refuses an archive.
pub(crate) fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Archive, format!("reading the archive: {}", why.into()))
}

fn unread(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Archive, format!("reading the archive's file {name}")).with_source(error)
}

fn unwritten(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Archive, format!("writing the archive's file {name}")).with_source(error)
}
