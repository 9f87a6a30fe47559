//! A small HTTP/1.1 client that sends what no other would, and one for HTTP/2.

mod answer;
mod connection;
mod http2;
mod request;

pub(crate) use answer::Answer;
pub(crate) use connection::Connection;
pub(crate) use http2::Http2;
pub(crate) use request::{Request, get, post};
