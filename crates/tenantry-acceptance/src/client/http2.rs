use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Uri, header::HOST};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::adapter::Server;

/// A connection that begins with HTTP/2, closed when the value is dropped.
#[derive(Debug)]
pub(crate) struct Http2 {
    send: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Http2 {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).await.expect("the server listens");
        let (send, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        let connection = tokio::spawn(async { drop(connection.await) });
        Self { send, connection }
    }

    /// Sends a request for `acme` with this `:authority` and, if given, `host`. Returns what comes back.
    pub(crate) async fn get(
        &self,
        authority: &str,
        path: &str,
        host: Option<&str>,
    ) -> (u16, String) {
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path);
        let uri = uri.build().expect("the crate http takes it");
        let request = Request::get(uri).header("x-tenant-id", "acme");
        let request = host.into_iter().fold(request, |request, host| request.header(HOST, host));
        let request = request.body(()).expect("it is a request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        let (response, _) = send.send_request(request, true).expect("it can be sent");
        let (head, mut body) = response.await.expect("the server answers").into_parts();
        let mut text = Vec::new();
        while let Some(chunk) = body.data().await {
            text.extend_from_slice(&chunk.expect("the body is all there"));
        }
        (head.status.as_u16(), String::from_utf8(text).expect("the body is text"))
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
