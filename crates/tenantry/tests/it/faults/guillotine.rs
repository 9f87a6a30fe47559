use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinHandle,
};

/// When a [`Guillotine`] falls.
#[derive(Debug, Clone, Copy)]
enum Falls {
    Never,
    /// At a message after so many others, on all connections and for ever.
    After(usize),
    /// At a message with one of these texts, on its connection alone.
    At(&'static [&'static str]),
}

/// A TCP proxy that cuts connections at a message of the client, which the server still gets. Where all are cut, it
/// looks to the server as if the client's process had been killed there.
pub(crate) struct Guillotine {
    address: SocketAddr,
    falls: Arc<Mutex<Falls>>,
    fallen: Arc<watch::Sender<bool>>,
    listening: JoinHandle<()>,
}

impl Guillotine {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let falls = Arc::new(Mutex::new(Falls::Never));
        let (fallen, _) = watch::channel(false);
        let fallen = Arc::new(fallen);
        let (counted, told) = (Arc::clone(&falls), Arc::clone(&fallen));
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&counted), Arc::clone(&told)));
            }
        });
        Self { address, falls, fallen, listening }
    }

    /// Kills at a message after so many others.
    pub(crate) fn kill_after(&self, messages: usize) {
        *self.falls.lock().expect("nobody panics") = Falls::After(messages);
    }

    /// Has the answer to the next message with one of these texts get lost, with its connection.
    pub(crate) fn lose_answer_to(&self, texts: &'static [&'static str]) {
        *self.falls.lock().expect("nobody panics") = Falls::At(texts);
    }

    /// Says whether the answer that was to be lost is.
    pub(crate) fn has_lost(&self) -> bool {
        matches!(*self.falls.lock().expect("nobody panics"), Falls::Never)
    }

    /// Ends when all connections were closed.
    pub(crate) async fn fallen(&self) {
        let mut fallen = self.fallen.subscribe();
        fallen.wait_for(|fallen| *fallen).await.expect("it is kept");
    }

    pub(crate) fn has_fallen(&self) -> bool {
        *self.fallen.borrow()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Guillotine {
    fn drop(&mut self) {
        self.fallen.send_replace(true);
        self.listening.abort();
    }
}

async fn serve(
    client: TcpStream,
    server: SocketAddr,
    falls: Arc<Mutex<Falls>>,
    fallen: Arc<watch::Sender<bool>>,
) {
    let mut cut = fallen.subscribe();
    if *cut.borrow_and_update() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = cut.wait_for(|cut| *cut) => {}
        () = count(from_client, to_server, &falls, &fallen) => {}
        () = pump(from_server, to_client) => {}
    }
}

/// Passes messages on until it falls.
async fn count(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    falls: &Mutex<Falls>,
    fallen: &watch::Sender<bool>,
) {
    let mut buffer = [0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let message = &buffer[..count];
        let (kills, loses) = {
            let mut falls = falls.lock().expect("nobody panics");
            match &mut *falls {
                Falls::After(0) => (true, false),
                Falls::After(left) => {
                    *left -= 1;
                    (false, false)
                }
                Falls::At(texts) => {
                    let has = |text: &&str| {
                        message.windows(text.len()).any(|part| part == text.as_bytes())
                    };
                    let is_it = texts.iter().any(has);
                    if is_it {
                        *falls = Falls::Never;
                    }
                    (false, is_it)
                }
                Falls::Never => (false, false),
            }
        };
        if to.write_all(message).await.is_err() || loses {
            return;
        }
        if kills {
            fallen.send_replace(true);
            return;
        }
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = [0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Kills again and again, each time some messages later, until it is too late: at every third message, or at all.
pub(crate) async fn at_every_step(mut at: impl AsyncFnMut(usize) -> bool) {
    let (mut messages, every) = crate::sampling::every(3);
    let mut kills = 0;
    while at(messages).await {
        messages += every;
        kills += 1;
        assert!(messages < 300, "it never ends");
    }
    assert!(kills > 1, "it was over after {messages} messages");
}
