//! `serve` keeps what axum's own server has: the client's address, and listeners other than TCP's.

use std::{env, fs, net::SocketAddr, process};

use axum::{Router, extract::ConnectInfo, routing::get};
use tenantry_axum::{ServeEnd, bind, serve};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
};

use crate::support::{TestResult, offline};

async fn body(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_client_s_address() -> TestResult {
    let manager = offline([]);
    let listener = bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
    let app = Router::new().route("/", get(peer));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(serve(listener, app, &manager).signals(false).into_future());

    let own = client.local_addr()?.to_string();
    assert_eq!(body(client).await?, own);
    manager.begin_closing();
    assert_eq!(server.await??.end, ServeEnd::Drained);
    Ok(())
}

#[tokio::test]
async fn unix_sockets() -> TestResult {
    let manager = offline([]);
    let path = env::temp_dir().join(format!("tenantry-serve-{}.sock", process::id()));
    let listener = UnixListener::bind(&path)?;
    let app = Router::new().route("/", get(async || "over a file"));
    let server = tokio::spawn(serve(listener, app, &manager).signals(false).into_future());

    assert_eq!(body(UnixStream::connect(&path).await?).await?, "over a file");
    manager.begin_closing();
    assert_eq!(server.await??.end, ServeEnd::Drained);
    fs::remove_file(path)?;
    Ok(())
}
