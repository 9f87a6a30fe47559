//! Serving with a graceful shutdown. The phases and their order are in [`tenantry::serve`].

#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod serve;

pub use serve::{Serve, serve};
/// Binds a listener for [`HttpServer::listen`](actix_web::HttpServer::listen), with a one-line
/// error message that contains the remedy.
pub use tenantry::serve::bind;
