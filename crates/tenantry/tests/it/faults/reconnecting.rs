use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

use crate::support::eventually;

/// A proxy that keeps the connection of its client when that to the server ends: it opens another one
/// in its place, with the startup message of the first. Its URL must turn TLS off.
pub(crate) struct Reconnecting {
    address: SocketAddr,
    rounds: Arc<watch::Sender<u64>>,
    reconnected: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl Reconnecting {
    /// Puts one before the server at this port. A connection to the server that it leaves stays open
    /// for this long.
    pub(crate) async fn before(port: u16, lingers: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let rounds = Arc::new(watch::channel(0).0);
        let told = Arc::clone(&rounds);
        let reconnected = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reconnected);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (told, count) = (told.subscribe(), Arc::clone(&count));
                tokio::spawn(async move {
                    let _ = serve(client, port, lingers, told, &count).await;
                });
            }
        });
        Self { address, rounds, reconnected, listening }
    }

    /// Has every connection that there is reconnect to the server, and waits until all have.
    pub(crate) async fn reconnect(&self) {
        let reconnected = self.reconnected.load(Ordering::SeqCst);
        let connections = self.rounds.receiver_count();
        self.rounds.send_modify(|round| *round += 1);
        eventually("all have reconnected", async || {
            self.reconnected.load(Ordering::SeqCst) >= reconnected + connections
        })
        .await;
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres?sslmode=disable", self.address)
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(
    mut client: TcpStream,
    port: u16,
    lingers: Duration,
    mut told: watch::Receiver<u64>,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    told.mark_unchanged();
    client.set_nodelay(true)?;
    let length = client.read_u32().await?;
    let mut startup = length.to_be_bytes().to_vec();
    startup.resize(length as usize, 0);
    client.read_exact(&mut startup[4..]).await?;
    let mut server = connect(port).await?;
    server.write_all(&startup).await?;
    let (mut unread, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut buffer) => match read? {
                0 => return Ok(()),
                count => server.write_all(&buffer[..count]).await?,
            },
            read = server.read_buf(&mut unread) => {
                let lost = !matches!(read, Ok(1..)) | is_farewell(&unread);
                if lost {
                    unread.clear();
                    server = reconnected(port, &startup).await?;
                } else {
                    client.write_all(&unread).await?;
                    unread.clear();
                }
            }
            changed = told.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let next = reconnected(port, &startup).await?;
                let former = std::mem::replace(&mut server, next);
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    sleep(lingers).await;
                    drop(former);
                });
            }
        }
    }
}

/// Says whether the server ends the session because it was told to. It says so by itself, so nothing
/// else is in the way.
fn is_farewell(message: &[u8]) -> bool {
    message.first() == Some(&b'E') && message.windows(5).any(|code| code == b"57P01")
}

/// Connects and swallows what the server says until it is ready.
async fn reconnected(port: u16, startup: &[u8]) -> std::io::Result<TcpStream> {
    let mut server = connect(port).await?;
    server.write_all(startup).await?;
    loop {
        let kind = server.read_u8().await?;
        let length = server.read_u32().await?;
        let mut message = vec![0; length as usize - 4];
        server.read_exact(&mut message).await?;
        if kind == b'Z' {
            return Ok(server);
        }
    }
}

async fn connect(port: u16) -> std::io::Result<TcpStream> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    Ok(server)
}
