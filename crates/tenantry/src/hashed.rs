//! Writes and hashes at the same time.

use std::io;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The size of a piece, in bytes.
const PIECE: usize = 64 * 1024;

/// A buffered writer that computes the SHA-256 of what it writes.
pub(crate) struct Hashed<W> {
    to: W,
    buffer: Vec<u8>,
    hash: Sha256,
    bytes: u64,
}

impl<W: AsyncWrite + Unpin> Hashed<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, buffer: Vec::with_capacity(PIECE), hash: Sha256::new(), bytes: 0 }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.spill().await
    }

    /// Writes what is buffered. What is written to is not flushed: it may buffer, or compress, more than a piece.
    pub(crate) async fn spill(&mut self) -> io::Result<()> {
        self.to.write_all(&self.buffer).await?;
        self.hash.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is buffered, and flushes what is written to.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.spill().await?;
        self.to.flush().await
    }

    /// Returns the hash of what was [spilled](Self::spill), as hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        hexadecimal(self.hash.clone())
    }

    /// Returns how many bytes were spilled.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn into_inner(self) -> W {
        self.to
    }
}

/// Returns a hash as hexadecimal digits.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_hash_is_that_of_all_pieces() {
        let mut hashed = Hashed::new(Vec::new());
        let text = vec![b'x'; PIECE - 1];
        for piece in [&text[..], b"ab", b"", b"c"] {
            hashed.write(piece).await.unwrap();
        }
        hashed.flush().await.unwrap();
        assert_eq!(hashed.bytes(), PIECE as u64 + 2);
        let sha256 = hashed.sha256();
        assert_eq!(sha256, hexadecimal(Sha256::new().chain_update(hashed.into_inner())));
    }
}
