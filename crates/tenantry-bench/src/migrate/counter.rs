//! Counts the statements that a server executes, by parsing its responses.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use crate::failure::Failure;

/// A port that forwards to a server. Clients must not request TLS.
#[derive(Debug)]
pub(super) struct Counter {
    port: u16,
    statements: Arc<AtomicU64>,
    listener: JoinHandle<()>,
}

impl Counter {
    pub(super) async fn before(server: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let statements = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&statements);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                let (mut asked, answers) = client.into_split();
                let (answered, mut asks) = server.into_split();
                tokio::spawn(async move { copy(&mut asked, &mut asks).await });
                tokio::spawn(pass_on(answered, answers, Arc::clone(&counted)));
            }
        });
        Ok(Self { port, statements, listener })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many statements have ended so far.
    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::SeqCst)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Forwards the server's messages: each has a type byte, and its length.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    statements: Arc<AtomicU64>,
) -> io::Result<()> {
    let mut body = Vec::new();
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        body.resize(usize::try_from(length).unwrap_or_default().saturating_sub(4), 0);
        from.read_exact(&mut body).await?;
        if ends_statement(kind) {
            statements.fetch_add(1, Ordering::SeqCst);
        }
        let mut message = vec![kind];
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&body);
        to.write_all(&message).await?;
    }
}

/// Returns `true` if a message ends a statement. Each statement has exactly one such message, including those of
/// multi-statement strings and prepared ones.
fn ends_statement(kind: u8) -> bool {
    // Completed, empty, or failed.
    matches!(kind, b'C' | b'I' | b'E')
}
