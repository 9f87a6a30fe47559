use std::{
    fmt::Display,
    io,
    net::{TcpListener, ToSocketAddrs},
};

/// Binds a listener, with a one-line error message that contains the remedy.
///
/// Bind before anything else starts, so that an occupied port is detected before the database is
/// contacted. The listener is non-blocking, as tokio and actix require.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let first = tenantry::serve::bind("127.0.0.1:0")?;
/// let taken = first.local_addr()?;
/// let error = tenantry::serve::bind(taken).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     format!("cannot listen on {taken}: another program is already listening there; stop it or choose another port"),
/// );
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// When the address cannot be resolved or bound; the [kind](io::Error::kind) is that of the operating system's error.
pub fn bind(address: impl ToSocketAddrs + Display) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(&address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| readable(&address, &error))
}

fn readable(address: &impl Display, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program is already listening there; stop it or choose another port".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 require a privilege; choose a higher one".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {why}"))
}
