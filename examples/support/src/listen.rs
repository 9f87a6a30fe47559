//! The port, which is bound before anything else happens.

use std::{
    env, fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

const PORT: u16 = 3000;

/// The reason why an example does not listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// `HOST` is not an IP address.
    Host,
    /// `PORT` is not a number up to 65535.
    Port,
    /// Another program listens there.
    Taken(SocketAddr),
    /// Anything else, such as an address of another machine.
    Bind(SocketAddr, io::Error),
}

/// Listens on `HOST` (127.0.0.1) and `PORT` (3000; 0 for any free one).
///
/// The listener is non-blocking, as `tokio::net::TcpListener::from_std` requires; actix's
/// `HttpServer::listen` accepts it, too.
///
/// # Errors
///
/// If a variable is invalid, or the port is occupied.
pub fn bind() -> Result<TcpListener, ListenError> {
    let host = env::var("HOST").map_or(Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)), |host| host.parse());
    let port = env::var("PORT").map_or(Ok(PORT), |port| port.parse());
    let host = host.map_err(|_| ListenError::Host)?;
    let address = SocketAddr::new(host, port.map_err(|_| ListenError::Port)?);
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Bind(address, error),
    })
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("HOST must be an IP address; 0.0.0.0 listens on all of them"),
            Self::Port => f.write_str("PORT must be a number up to 65535"),
            Self::Taken(address) => write!(
                f,
                "port {} is taken: set PORT to another one, or to 0 for any free port",
                address.port()
            ),
            Self::Bind(address, error) => write!(f, "listening on {address}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {}
