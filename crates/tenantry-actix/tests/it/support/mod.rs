//! Requests to a server on top of a database with tenants, and its log.

mod client;
mod log;
mod server;

pub(crate) use client::{Answer, ask, get, get_without_tenant};
pub(crate) use log::Log;
pub(crate) use server::{TestServer, serve};
pub(crate) use tenantry_acceptance::world::{World, eventually, offline, users};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;
