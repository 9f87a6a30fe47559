//! Faults that are really injected: proxies that misbehave, a pooler, a server that is frozen.

mod frozen;
mod guillotine;
mod pgbouncer;
mod proxy;
mod reconnecting;

pub(crate) use frozen::Frozen;
pub(crate) use guillotine::{Guillotine, at_every_step};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use proxy::{Mode, Proxy};
pub(crate) use reconnecting::Reconnecting;
