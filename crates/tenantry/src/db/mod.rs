//! Database handles for the application.

mod effect;
mod elsewhere;
mod executor;
mod handle;
mod in_transaction;
mod on_connection;
mod patience;
mod rows;
mod shared;
mod statement;
mod stream;
mod tenant;
mod transaction;

pub(crate) use elsewhere::is_of_names;
pub(crate) use handle::Handle;
pub use shared::SharedDb;
pub use tenant::TenantDb;
pub use transaction::TenantTransaction;
