//! Counts the statements that a server has run, by listening between it and its clients.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use crate::failure::Failure;

/// A port that leads to a server.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) port: u16,
    commands: Arc<AtomicU64>,
    listening: JoinHandle<()>,
}

impl Counter {
    pub(super) async fn before(server: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let commands = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&commands);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
                tokio::spawn(count(from_server, to_client, Arc::clone(&counted)));
            }
        });
        Ok(Self { port, commands, listening })
    }

    /// Returns how many statements have ended: each ends with a message of its own, whichever way it was
    /// sent.
    pub(super) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// The message of the server that ends a statement.
const COMMAND_COMPLETE: u8 = b'C';

/// Passes on what the server says, message by message.
async fn count(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, commands: Arc<AtomicU64>) {
    let mut message = Vec::new();
    let mut head = [0_u8; 5];
    // The answer to a question for TLS is one letter without a length.
    if from.read_exact(&mut head[..1]).await.is_err() {
        return;
    }
    if matches!(head[0], b'N' | b'S') {
        if to.write_all(&head[..1]).await.is_err() || from.read_exact(&mut head[..1]).await.is_err()
        {
            return;
        }
    }
    loop {
        if from.read_exact(&mut head[1..]).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        message.resize(length.saturating_sub(4) as usize, 0);
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        if head[0] == COMMAND_COMPLETE {
            commands.fetch_add(1, Ordering::Relaxed);
        }
        let sent = to.write_all(&head).await.is_ok() && to.write_all(&message).await.is_ok();
        if !sent || from.read_exact(&mut head[..1]).await.is_err() {
            return;
        }
    }
}
