//! A small HTTP client.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::wait::PATIENCE;

/// An answer of a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
    /// `head` as it came.
    as_sent: String,
}

impl Answer {
    /// Reads the body as JSON.
    ///
    /// # Panics
    ///
    /// It is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Returns the value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.as_sent.lines().filter_map(|line| line.split_once(": "));
        { headers }.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends a request on a connection that may be cut.
///
/// # Errors
///
/// The connection is refused or cut, or what comes is not HTTP.
pub fn try_send(
    address: SocketAddr,
    method: &str,
    path: &str,
    tenant: Option<&str>,
    json: Option<&Value>,
) -> io::Result<Answer> {
    let body = json.map(Value::to_string).unwrap_or_default();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    if let Some(tenant) = tenant {
        request += &format!("x-tenant-id: {tenant}\r\n");
    }
    if json.is_some() {
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    talk(address, &format!("{request}\r\n{body}"))
}

/// Sends a GET.
///
/// # Errors
///
/// As [`try_send`].
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    request(address, "GET", path, headers, "")
}

/// Sends a request. HTTP/1.0 has no chunks, which this client does not put together.
///
/// # Errors
///
/// As [`try_send`].
pub(super) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: x\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        request += &format!("content-length: {}\r\n", body.len());
    }
    talk(address, &format!("{request}\r\n{body}"))
}

fn talk(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let malformed = || io::Error::other(format!("not HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(malformed)?;
    let (head, as_sent) = (head.to_lowercase(), head.to_owned());
    Ok(Answer { status, head, body: body.to_owned(), as_sent })
}
