//! The promises of the layer that need neither a router nor a server.

mod bodies;
mod extensions;
mod future;
mod readiness;
mod support;
