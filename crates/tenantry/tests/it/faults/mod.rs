//! Faults that are really injected: a proxy that misbehaves, a server that is frozen.

mod frozen;
mod proxy;

pub(crate) use frozen::Frozen;
pub(crate) use proxy::{Mode, Proxy};
