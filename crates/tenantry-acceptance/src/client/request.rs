use super::{Answer, Connection};
use crate::adapter::Server;

/// A request, sent over a connection of its own. Nothing in it is checked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: Vec<u8>,
    has_host: bool,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        Self { head, has_host: false, body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.has_host |= name.eq_ignore_ascii_case("host");
        for part in [name.as_bytes(), b": ", value.as_ref(), b"\r\n"] {
            self.head.extend_from_slice(part);
        }
        self
    }

    pub(crate) fn tenant(self, id: &str) -> Self {
        self.header("x-tenant-id", id)
    }

    /// Sends a body whose length is known.
    pub(crate) fn json(self, body: &str) -> Self {
        let length = body.len().to_string();
        self.json_of_length(&length, body)
    }

    /// Says that the body is of a length, be it true or not.
    pub(crate) fn json_of_length(mut self, length: &str, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.header("content-type", "application/json").header("content-length", length)
    }

    /// Sends a body whose length is not known before its end.
    pub(crate) fn chunked_json(mut self, body: &str) -> Self {
        self.body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes();
        self.header("content-type", "application/json").header("transfer-encoding", "chunked")
    }

    /// Sends it and reads the answer to its end.
    pub(crate) async fn send(self, server: &Server) -> Answer {
        let is_head = self.head.starts_with(b"HEAD ");
        let text = self.open(server).await.read_to_end().await;
        let answer = Answer::parse(&text);
        assert!(!is_head || answer.body.is_empty(), "an answer to HEAD has no body: {answer:?}");
        answer
    }

    /// Sends it, and leaves it to the caller to read.
    pub(crate) async fn open(mut self, server: &Server) -> Connection {
        if !self.has_host {
            self = self.header("host", "x");
        }
        self = self.header("connection", "close");
        let bytes = [&self.head[..], b"\r\n", &self.body].concat();
        let mut connection = Connection::open(server).await;
        connection.write(&bytes).await;
        connection
    }
}

pub(crate) fn get(target: &str) -> Request {
    Request::new("GET", target)
}

pub(crate) fn post(target: &str) -> Request {
    Request::new("POST", target)
}
