//! A small HTTP/1.1 client that sends what no other would.

mod answer;
mod connection;
mod request;

pub(crate) use answer::Answer;
pub(crate) use connection::Connection;
pub(crate) use request::{Request, get, post};
