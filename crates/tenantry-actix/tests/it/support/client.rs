use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::TestServer;

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// With names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.get(9..12)).unwrap_or_default();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: StatusCode::from_bytes(status.as_bytes()).expect("a status"),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.0 == name);
        header.map(|header| header.1.as_str())
    }

    /// Reads the body as a problem document, after checking that it is one.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document: Value = serde_json::from_str(&self.body).expect("the body is JSON");
        assert_eq!(document["status"], self.status.as_u16(), "{document}");
        assert!(document["title"].is_string(), "{document}");
        document
    }

    /// The last part of the problem's type.
    pub(crate) fn problem_type(&self) -> String {
        let document = self.problem();
        let uri = document["type"].as_str().expect("a problem has a type");
        uri.rsplit(':').next().unwrap_or_default().to_owned()
    }
}

/// Sends a request head, and whatever is after it, over a connection of its own. `request` is
/// everything but what ends the head: `GET / HTTP/1.1\r\nhost: x`.
pub(crate) async fn ask(server: &TestServer, request: impl AsRef<[u8]>) -> Answer {
    let mut client = TcpStream::connect(server.address).await.expect("the server listens");
    client.write_all(request.as_ref()).await.expect("the server reads");
    let rest = b"\r\nconnection: close\r\n\r\n";
    client.write_all(rest).await.expect("the server reads");
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(30), client.read_to_end(&mut answer)).await;
    read.expect("the server answers in time").expect("the server answers");
    Answer::parse(&String::from_utf8(answer).expect("the answer is text"))
}

/// Sends a request for a tenant.
pub(crate) async fn get(server: &TestServer, path: &str, tenant: &str) -> Answer {
    ask(server, format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-tenant-id: {tenant}")).await
}

/// Sends a request that names no tenant.
pub(crate) async fn get_without_tenant(server: &TestServer, path: &str) -> Answer {
    ask(server, format!("GET {path} HTTP/1.1\r\nhost: x")).await
}
