use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::adapter::Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection, closed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Self {
        Self::open_at(server.address()).await
    }

    pub(crate) async fn open_at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self { stream, read: Vec::new() }
    }

    /// Returns `true` if a server listens at this address.
    pub(crate) async fn listens_at(address: SocketAddr) -> bool {
        TcpStream::connect(address).await.is_ok()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Reads until so many lines have these words in them.
    pub(crate) async fn wait_for(&mut self, words: &str, times: usize) -> String {
        let read = timeout(PATIENCE, async {
            while self.text().matches(words).count() < times {
                let read = self.stream.read_buf(&mut self.read).await;
                assert_ne!(read.expect("the server answers"), 0, "it ends: {}", self.text());
            }
        });
        read.await.unwrap_or_else(|_| panic!("no {words} in time: {}", self.text()));
        self.text()
    }

    /// Reads until the server closes the connection.
    pub(crate) async fn read_to_end(mut self) -> String {
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut self.read)).await;
        read.expect("the server answers in time").expect("the server answers");
        self.text()
    }

    /// Reads until the connection is closed, in order or not. Returns everything that was read.
    pub(crate) async fn until_closed(&mut self) -> String {
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut self.read)).await;
        // A connection that is cut may be reset.
        let _ = read.expect("the connection is closed in time");
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8(self.read.clone()).expect("the answer is text")
    }
}
