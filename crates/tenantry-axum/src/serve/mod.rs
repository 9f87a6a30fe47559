//! Serving with a graceful shutdown. The phases and their order are in [`tenantry::serve`].

mod connections;
mod cut;
mod guarded;
#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod serve;

use std::{fmt::Display, io, net::ToSocketAddrs};

pub use guarded::{Guarded, GuardedIo};
pub use serve::{Listening, Serve, serve};
use tokio::net::TcpListener;

/// Binds a listener for [`serve()`](serve()), with a one-line error message that contains the
/// remedy.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tenantry_axum::bind("127.0.0.1:0").await?;
/// let taken = listener.local_addr()?;
/// let error = tenantry_axum::bind(taken).await.unwrap_err();
/// assert!(error.to_string().contains("another program is already listening there"));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Those of [`tenantry::serve::bind`].
///
/// # Cancel safety
///
/// Safe; a host name is resolved without yielding.
pub async fn bind(address: impl ToSocketAddrs + Display) -> io::Result<TcpListener> {
    TcpListener::from_std(tenantry::serve::bind(address)?)
}
