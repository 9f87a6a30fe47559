use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// What a [`Proxy`] does to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes them on.
    Pass,
    /// Passes them on after a while.
    Delay(Duration),
    /// Takes connections and lets nothing through, in either direction.
    BlackHole,
    /// Cuts every connection, new ones at once.
    Cut,
    /// Cuts new connections at once, and lets those go on that there are.
    CutNew,
    /// Cuts new connections once they have sent something.
    CutAtFirstWord,
    /// Takes new connections and lets nothing through on them, and lets those go on that there are.
    HoldNew,
    /// Lets nothing through any more on the connections that there are, and passes on what comes on new
    /// ones, as a gateway does that has forgotten the former.
    ForgetOld,
}

/// A TCP proxy in front of a server.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    ports: Arc<Mutex<Vec<u16>>>,
    taken: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn before(port: u16) -> Self {
        Self::before_all(&[port]).await
    }

    /// A proxy in front of several servers, which get new connections in turn.
    pub(crate) async fn before_all(ports: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (mode, _) = watch::channel(Mode::Pass);
        let mode = Arc::new(mode);
        let modes = Arc::clone(&mode);
        let ports = Arc::new(Mutex::new(ports.to_vec()));
        let turns = Arc::clone(&ports);
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let mode = modes.subscribe();
                let port = {
                    let mut ports = turns.lock().expect("nobody panics");
                    ports.rotate_left(1);
                    ports[0]
                };
                tokio::spawn(serve(client, port, mode));
            }
        });
        Self { address, mode, ports, taken, listening }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Sends new connections to this server from now on.
    pub(crate) fn turn_to(&self, port: u16) {
        *self.ports.lock().expect("nobody panics") = vec![port];
    }

    /// How many connections it has been asked for.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The URL of the database `postgres` behind the proxy.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Cut);
        self.listening.abort();
    }
}

async fn serve(client: TcpStream, port: u16, mut mode: watch::Receiver<Mode>) {
    let first = *mode.borrow_and_update();
    if matches!(first, Mode::Cut | Mode::CutNew) {
        return;
    }
    if first == Mode::CutAtFirstWord {
        let mut client = client;
        let _ = client.read(&mut [0; 8]).await;
        return;
    }
    if first == Mode::HoldNew {
        let _ = mode.wait_for(|mode| *mode == Mode::Cut).await;
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (there, back) = (mode.clone(), mode.clone());
    let new = first == Mode::ForgetOld;
    let cut = async {
        while *mode.borrow_and_update() != Mode::Cut {
            if mode.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = cut => {}
        () = pump(from_client, to_server, there, new) => {}
        () = pump(from_server, to_client, back, new) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    new: bool,
) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let now = *mode.borrow();
        if let Mode::Delay(delay) = now {
            tokio::time::sleep(delay).await;
        }
        let through = |mode: &Mode| match mode {
            Mode::BlackHole => false,
            Mode::ForgetOld => new,
            _ => true,
        };
        if mode.wait_for(through).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
