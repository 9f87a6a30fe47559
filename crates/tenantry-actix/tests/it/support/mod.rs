//! A database with tenants in it, a server on top, and what tests ask it with.

mod client;
mod log;
mod server;
mod world;

pub(crate) use client::{Answer, ask, get, get_without_tenant};
pub(crate) use log::Log;
pub(crate) use server::{TestServer, serve};
#[cfg(feature = "ops")]
pub(crate) use world::TENANTS;
pub(crate) use world::{World, eventually, offline};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;
