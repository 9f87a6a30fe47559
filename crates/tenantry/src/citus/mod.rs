//! What a server with the extension Citus is to the library: found out, not configured.
//!
//! ```text
//!   Server ── Remembered: database → Option<Citus> ◀── ask: one question, two on a server with Citus
//!     │
//!     ├─▶ provision: new tenants' schemas are distributed, all others are not; no tenants by row
//!     ├─▶ clone: built plain, then distributed
//!     ├─▶ moves: between nodes of one cluster
//!     └─▶ doctor, health: version, kind of node
//! ```

mod ask;
mod found;
mod node;
mod sharding;

pub(crate) use ask::{Remembered, ask};
pub use found::{Citus, CitusNodeKind};
pub use node::CitusNode;
pub(crate) use sharding::{Sharding, distribute_sql};
