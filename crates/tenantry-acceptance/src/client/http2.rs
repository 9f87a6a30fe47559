use bytes::Bytes;
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{
    Request, Uri,
    header::{CONTENT_TYPE, HOST},
    request::Builder,
};
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
        let (response, _) = self.send(request, true).await;
        read(response).await
    }

    /// Sends a request with a body of unknown length, and the first half of that.
    pub(crate) async fn post_half(&self, path: &str, tenant: &str, half: &'static str) -> Half {
        let request = Request::post(format!("http://x{path}")).header("x-tenant-id", tenant);
        let request = request.header(CONTENT_TYPE, "application/json");
        let (response, mut body) = self.send(request, false).await;
        body.send_data(Bytes::from_static(half.as_bytes()), false).expect("the stream is open");
        Half { response, body }
    }

    async fn send(&self, request: Builder, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let request = request.body(()).expect("it is a request");
        let mut send = self.send.clone().ready().await.expect("the connection is open");
        send.send_request(request, ends).expect("it can be sent")
    }
}

/// A request of which half is sent.
pub(crate) struct Half {
    response: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Half {
    /// Sends the rest and returns what comes back.
    pub(crate) async fn send_rest(mut self, rest: &'static str) -> (u16, String) {
        let rest = Bytes::from_static(rest.as_bytes());
        self.body.send_data(rest, true).expect("the stream is open");
        read(self.response).await
    }
}

async fn read(response: ResponseFuture) -> (u16, String) {
    let (head, mut body) = response.await.expect("the server answers").into_parts();
    let mut text = Vec::new();
    while let Some(chunk) = body.data().await {
        text.extend_from_slice(&chunk.expect("the body is all there"));
    }
    (head.status.as_u16(), String::from_utf8(text).expect("the body is text"))
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
